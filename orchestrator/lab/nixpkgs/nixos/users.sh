# Accounts and groups: each is made where it is missing; what is there stays as it is, but for
# passwords that are declared.
made=
group() { grep -q "^$1:" /etc/group || groupadd --system "$1"; }
user() {
  grep -q "^$1:" /etc/passwd && return 0
  # '*' and not '!': a locked account is refused by sshd where there is no PAM.
  useradd --shell "$2" --home-dir "$3" "$4" --password '*' \
    ${5:+--gid "$5"} ${6:+--uid "$6"} "$1"
  made="$made $1 "
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
member() {
  case ",$(id -nG "$1" | tr ' ' ,)," in
  *",$2,"*) ;;
  *) usermod --append --groups "$2" "$1" ;;
  esac
}
