# Accounts and groups: each is made where it is missing; what is there stays as it is.
group() { grep -q "^$1:" /etc/group || groupadd --system "$1"; }
user() {
  grep -q "^$1:" /etc/passwd && return 0
  # '*' and not '!': a locked account is refused by sshd where there is no PAM.
  useradd --shell "$2" --home-dir "$3" "$4" --password '*' \
    ${5:+--gid "$5"} ${6:+--uid "$6"} "$1"
}
member() {
  case ",$(id -nG "$1" | tr ' ' ,)," in
  *",$2,"*) ;;
  *) usermod --append --groups "$2" "$1" ;;
  esac
}
