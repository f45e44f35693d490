# The first part of the question: what a host is, its processes, sockets and units. See question.py.
# $1 how many paths of the store are verified
export LC_ALL=C PATH="$PATH:/run/current-system/sw/bin:/usr/sbin:/sbin"
umask 077
tab=$(printf '\t')
# $1 seconds  $2... what is ended then
bounded() { seconds=$1; shift; timeout -k 2 "$seconds" nice -n 19 "$@" 2>/dev/null < /dev/null; }
# Records that end with NUL, as lines of one kind. $1 kind  $2 how many
records() {
  tr '\n\000' '?\n' | awk -v kind="$1" -v most="$2" '
    NR > most { print "cut\t" kind; exit }
    { print kind "\t" substr($0, 1, 4000) }'
}
say() { printf '%s\t%s\n' "$1" "$2"; }
has() { command -v "$1" > /dev/null; }
read_one() { value=; { read -r value < "$1"; } 2>/dev/null; printf %s "$value"; }
real() { readlink -f -- "$1" 2>/dev/null; }
root=no
[ "$(id -u)" != 0 ] || root=yes
system=$(real /run/current-system)
etc=$(real /run/current-system/etc)
container=$(systemd-detect-virt --container 2>/dev/null)
booted=$(real /run/booted-system)

head_() {
  say machine-id "$(read_one /etc/machine-id)"
  say root "$root"
  say boot-id "$(read_one /proc/sys/kernel/random/boot_id)"
  say system "$system"
  say booted "$booted"
  say container "${container:-none}"
  say state "$(bounded 10 systemctl is-system-running)"
  # Who has NixOS's lock, without touching it: proc_locks(5).
  lock=$(stat -c %i /run/nixos/switch-to-configuration.lock 2>/dev/null)
  [ -z "$lock" ] || ! grep -q ":$lock " /proc/locks || say switching yes
}

# The table of one protocol. $1 which
table() {
  [ -r "/proc/net/$1" ] || return 0
  awk -v kind="$1" '
    FNR == 1 { next }
    kind == "packet" { print "socket\tpacket\t0:0\t" $9 "\t" $8; next }
    kind ~ /^tcp/ && $4 != "0A" { next }
    kind !~ /^tcp/ && ($4 != "07" || $3 !~ /:0000$/) { next }
    { print "socket\t" kind "\t" $2 "\t" $10 "\t" $8 }' "/proc/net/$1" | head -n 5000
}
tables() { for kind in tcp tcp6 udp udp6 raw raw6 packet; do table $kind; done; }
sockets() {
  before=$(tables)
  printf '%s\n' "$before"
  {
    printf '%s\n\n' "$before"
    find /proc/[0-9]*/fd -mindepth 1 -maxdepth 1 -lname 'socket:*' -printf '%h\t%l\000' \
      2>/dev/null | tr '\n\000' '?\n'
  } | awk -F '\t' '
    !past && $0 == "" { past = 1; next }
    !past { wanted[$4]; next }
    { gsub(/[^0-9]/, "", $2); if ($2 in wanted) { split($1, part, "/")
      if (!(($2, part[3]) in told)) { told[$2, part[3]]; print "owner\t" $2 "\t" part[3] } } }'
  # One that went meanwhile has no owner to be found.
  tables | awk -F '\t' '{ print "still\t" $4 }'
  say ports "$(cat /proc/sys/net/ipv4/ip_local_port_range 2>/dev/null)"
}

processes() {
  find /proc/[0-9]*/exe -maxdepth 0 -printf '%h\t%U\t%l\000' 2>/dev/null |
    tr '\n\000' '?\n' | sed -n 's|^/proc/\([0-9]*\t[0-9]*\t/.*\)|\1|p' | tr '\n' '\000' |
    records exe 20000
  # Of a process with both, cgroup v2's group comes last, and counts.
  for version in '[0-9]*:name=systemd' 0:; do
    grep -asH '' /proc/[0-9]*/cgroup | tr '\t' '?' |
      sed -n "s|^/proc/\([0-9]*\)/cgroup:$version:\(/..*\)|\1\t\2|p"
  done | tr '\n' '\000' | records cgroup 40000
  # Those in a world of their own: another root, or other numbers for processes.
  numbers=$(readlink /proc/1/ns/pid | sed 's/[][]/\\&/g')
  find /proc/[0-9]*/ns/pid -maxdepth 0 ! -lname "$numbers" -printf '%h\n' 2>/dev/null |
    sed -n 's|^/proc/\([0-9]*\)/ns|inside\t\1|p'
  outer=$(stat -L -c %d:%i /proc/1/root/ 2>/dev/null)
  stat -L -c '%n %d:%i' /proc/[0-9]*/root/ 2>/dev/null |
    sed -n "\| $outer\$|d; s|^/proc/\([0-9]*\)/root/ .*|inside\t\1|p"
}

units() {
  bounded 30 systemctl show --no-pager '*' --property=Id --property=FragmentPath \
    --property=DropInPaths --property=Transient --property=ActiveState --property=Listen |
    awk '
      function flush() {
        if (v["Id"] != "" && v["Id"] !~ /\.device$/)
          print "unit\t" v["Id"] "\t" v["FragmentPath"] "\t" v["Transient"] "\t" \
            v["ActiveState"] "\t" v["DropInPaths"] "\t" v["Listen"]
        split("", v)
      }
      $0 == "" { flush(); next }
      { at = index($0, "="); key = substr($0, 1, at - 1); text = substr($0, at + 1)
        gsub(/\t/, "?", text)
        v[key] = (key == "Listen" && v[key] != "") ? v[key] " " text : text }
      END { flush() }' | head -n 10000
  [ -z "$etc" ] || find -L "$etc/systemd/system/" ! -type d -printf '%P\000' 2>/dev/null |
    records own-unit 20000
  for folder in /etc/systemd/system /etc/systemd/user /run/systemd/system \
    /etc/systemd/system.control /run/systemd/system.control /etc/systemd/system.attached \
    /run/systemd/system.attached /etc/systemd-mutable/system /run/systemd/transient \
    /usr/local/lib/systemd/system /nix/var/nix/profiles/default/lib/systemd/system; do
    [ -d "$folder" ] || continue
    case $folder in /etc/*)
      [ "$(real "$folder")" != "$(real "$etc/${folder#/etc/}")" ] || continue ;;
    esac
    find "$folder/" \( -type f -o -type l \) -printf '%p\t%l\000' 2>/dev/null
  done | tr -s / | records unit-file 10000
}
