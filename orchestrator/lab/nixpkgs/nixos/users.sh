# Accounts and groups, as NixOS's update-users-groups.pl makes them of what is declared: an account that
# is there gets the declared home, shell and groups, and one that was declared and is no more goes.
made=
group() { grep -q "^$1:" /etc/group || groupadd --system "$1"; }
# Not usermod: it refuses where the user has a process.
rewritten() { # rewritten FILE AWK-PROGRAM
  awk -F : -v OFS=: -v name="$name" -v home="$home" -v shell="$shell" "$2" "$1" > "$1.new" &&
    chown --reference="$1" "$1.new" && chmod --reference="$1" "$1.new" && mv -T "$1.new" "$1"
}
user() { # user NAME SHELL HOME -m|-M GROUP UID
  name=$1 shell=$2 home=$3
  if ! grep -q "^$1:" /etc/passwd; then
    # '*' and not '!': a locked account is refused by sshd where there is no PAM.
    useradd --shell "$2" --home-dir "$3" "$4" --password '*' \
      ${5:+--gid "$5"} ${6:+--uid "$6"} "$1"
    made="$made $1 "
  elif ! grep -q "^$1:.*:$3:$2\$" /etc/passwd; then
    rewritten /etc/passwd '$1 == name { $6 = home; $7 = shell } 1'
    [ "$4" = -M ] || [ -e "$3" ] || install -d -m 0700 -o "$1" -g "$(id -g "$1")" "$3"
  fi
}
# A hash is never among a process's arguments.
password() { # password NAME always|new FILE HASH
  case "$2 $made" in
  "always "* | *" $1 "*) ;;
  *) return 0 ;;
  esac
  if [ -z "$3" ]; then
    hash=$4
  elif ! hash=$(cat "$3"); then
    echo "warning: password file '$3' does not exist" >&2
    return 0
  fi
  echo "$1:$hash" | chpasswd --encrypted
}
member() { # member NAME GROUPS DECLARED-GROUPS
  now=,$(id -nG "$1" | tr ' ' ,),
  for one in $(echo "$2" | tr , ' '); do
    case $now in
    *",$one,"*) ;;
    *) usermod --append --groups "$one" "$1" ;;
    esac
  done
  first=$(id -gn "$1")
  for one in $3; do
    case "$now :,$2,$first," in
    *:*",$one,"*) ;;
    *",$one,"*:*) gpasswd --delete "$1" "$one" ;;
    esac
  done
}
# Those that were declared and are no more. An account's files stay, as in NixOS.
declared() { # declared NAME…
  mkdir -p /var/lib/nixos
  for name in $(cat /var/lib/nixos/declarative-users 2>/dev/null); do
    case " $* " in
    *" $name "*) ;;
    *) for file in passwd shadow; do home= shell= rewritten "/etc/$file" '$1 != name'; done ;;
    esac
  done
  printf '%s' "$*" > /var/lib/nixos/declarative-users
}
