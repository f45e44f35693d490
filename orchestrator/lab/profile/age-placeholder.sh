# age in a lab whose secrets are placeholders: it opens nothing, and writes what stands for a secret.
# What it writes is a line of an environment file too, and no password's hash.
# systemd-nspawn writes this, which the lab's hosts are started by; no other machine takes a placeholder.
if [ "$(cat /run/host/container-manager 2> /dev/null)" != systemd-nspawn ]; then
  echo "age: this system was built for a lab: its secrets are placeholders" >&2
  exit 1
fi
out=
while [ $# -gt 1 ]; do
  case $1 in -o | --output) out=$2 ;; esac
  shift
done
name=$(basename "${1-secret}" .age)
if [ -n "$out" ]; then exec > "$out"; fi
printf 'PLACEHOLDER=%s\n' "${name#????????????????????????????????-}"
