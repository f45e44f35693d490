# Decrypt secrets into a generation of their own, then show it: agenix's activation.
# $age, $mount_point and $secrets_dir are set by the module.
status=0
generation() { basename "$(readlink "$secrets_dir" || echo 0)"; }
# The file that a secret is decrypted to: in the generation, or at its path. ($1 name $2 path $3 symlink)
place() {
  if [ -n "$3" ]; then echo "$mount_point/$generation/$1"; else echo "$2"; fi
}
identities() {
  identities=
  for path in "$@"; do
    [ -r "$path" ] && [ -s "$path" ] || continue
    identities="$identities -i $path"
  done
  [ -n "$identities" ] || echo "[agenix] WARNING: no readable identities found!"
}
new_generation() {
  generation=$(($(generation) + 1))
  echo "[agenix] creating new generation in $mount_point/$generation"
  mkdir -p "$mount_point"
  chmod 0751 "$mount_point"
  grep -q "$mount_point ramfs" /proc/mounts ||
    mount -t ramfs none "$mount_point" -o nodev,nosuid,mode=0751
  mkdir -p "$mount_point/$generation"
  chmod 0751 "$mount_point/$generation"
}
install() { # install FILE NAME PATH MODE SYMLINK
  target=$(place "$2" "$3" "$5")
  echo "decrypting '$1' to '$target'..."
  mkdir -p "$(dirname "$target")"
  [ "$3" = "$secrets_dir/$2" ] || mkdir -p "$(dirname "$3")"
  if (umask u=r,g=,o=; "$age" --decrypt $identities -o "$target.tmp" "$1"); then
    chmod "$4" "$target.tmp"
    mv -f "$target.tmp" "$target"
  else
    rm -f "$target.tmp"
    status=1
  fi
  if [ -n "$5" ] && [ "$3" != "$secrets_dir/$2" ]; then ln -sfn "$secrets_dir/$2" "$3"; fi
}
finish() {
  echo "[agenix] symlinking new secrets to $secrets_dir (generation $generation)..."
  ln -sfn "$mount_point/$generation" "$secrets_dir.new"
  mv -T "$secrets_dir.new" "$secrets_dir"
  if [ "$generation" -gt 1 ]; then
    echo "[agenix] removing old secrets (generation $((generation - 1)))..."
    rm -rf "${mount_point:?}/$((generation - 1))"
  fi
  return $status
}
own() { # own NAME PATH OWNER GROUP SYMLINK
  generation=$(generation)
  chown "$3:$4" "$(place "$1" "$2" "$5")"
}
