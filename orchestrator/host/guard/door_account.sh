# The account: its entries, its keys, its files' owners and modes, its way to be root.

# The entry of a name in a file of accounts. $1 file  $2 name
entry_of() {
  [ -r "$1" ] || return
  while IFS= read -r entry_line; do
    case $entry_line in "$2":*) printf '%s\n' "$entry_line" && return ;; esac
  done < "$1"
  return 1
}

record_account() {
  account=$(entry_of /etc/passwd "$user") && printf 'account=%s\n' "$account"
  printf 'home=%s\n' "$(getent passwd "$user" | cut -d : -f 6)"
  printf 'shell=%s\n' "$(getent passwd "$user" | cut -d : -f 7)"
  printf 'groups=%s\n' "$(id -Gn "$user")"
  cp -pL /etc/passwd /etc/group "$door"
  cp -pL /etc/shadow /etc/gshadow "$door_secrets"
  [ -n "$by_sudo" ] || return 0
  sudo_program=$(find_sudo) && printf 'sudo_program=%s\n' "$sudo_program"
  if become_root; then printf 'sudo_works=1\n'; fi
}

# NixOS has one beside its wrapper that may do nothing, and the guard's path has that first.
find_sudo() {
  for file in /run/wrappers/bin/sudo $(command -v sudo) /usr/bin/sudo; do
    [ ! -u "$file" ] || { printf '%s\n' "$file" && return; }
  done
  return 1
}

# Whether the user becomes root without a password.
become_root() {
  timeout 10 setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups \
    "$sudo_program" -n true < /dev/null > /dev/null 2>&1 9>&-
}

# One that is another one by now, or cannot be looked up, is no evidence that nobody gets in.
has_account() {
  account=$(fact account)
  entry=$(getent passwd "$user")
  case $? in
  0) entry=${entry##*:} ;;
  2)
    shut="the account $user is gone" comes_by_itself=1
    # Where the file did not have it, a name service that does not answer says the same.
    [ -z "$account" ] || entry_of /etc/passwd "$user" > /dev/null || evidence=1
    ;;
  *) shut="the account $user cannot be looked up" comes_by_itself=1 ;;
  esac
  if [ -z "$shut" ] && ! [ -x "${entry:-/bin/sh}" ]; then
    shut="the shell of $user, $entry, cannot be run" evidence=1
  elif [ -n "$account" ] && [ "$(entry_of /etc/passwd "$user")" != "$account" ]; then
    shut=${shut:-"the account $user is not as it was"}
  fi
  [ -z "$shut" ]
}

# A file of accounts as it was recorded. $1 name
accounts_before() {
  case $1 in *shadow) printf '%s\n' "$door_secrets/$1" ;; *) printf '%s\n' "$door/$1" ;; esac
}

# Without these nobody gets in: sshd drops its rights to a user of its own.
mend_accounts() {
  for name in passwd group shadow gshadow; do
    before=$(accounts_before $name)
    [ -s "$before" ] || continue
    if [ ! -s "/etc/$name" ]; then
      mend_with "/etc/$name is as it was" put_accounts "$before" "/etc/$name"
    elif [ "$(owned "/etc/$name")" != "$(owned "$before")" ]; then
      mend_with "/etc/$name has its owner and mode" own_as "$before" "/etc/$name"
    fi
  done
  for name in root sshd "$user"; do restore_entry passwd $name && restore_entry shadow $name; done
  for name in $(fact groups); do restore_entry group "$name" && restore_entry gshadow "$name"; done
}

# $1 file
owned() { stat -L -c '%a %u:%g' "$1"; }

# $1 the file that it is to be owned as  $2 file
own_as() { chown --reference "$1" "$2" && chmod --reference "$1" "$2"; }

# $1 file before  $2 file
put_accounts() {
  rm -rf "$2.orchestrator" "$2" && cp -p "$1" "$2.orchestrator" && mv -fT "$2.orchestrator" "$2"
}

# An entry that is gone, where no other has its number by now. $1 file  $2 name
restore_entry() {
  lost=$(entry_of "$(accounts_before "$1")" "$2") || return 0
  entry_of "/etc/$1" "$2" > /dev/null && return
  case $1 in
  *shadow) ;;
  *)
    number=$(printf '%s\n' "$lost" | cut -d : -f 3)
    cut -d : -f 3 "/etc/$1" | grep -Fxq -e "$number" && return 1
    ;;
  esac
  mend_with "$2 is back in /etc/$1" put_entry "/etc/$1" "$2" "$lost"
}

mend_account() {
  mend_accounts
  account=$(fact account)
  if [ -n "$account" ] && [ "$(entry_of /etc/passwd "$user")" != "$account" ]; then
    mend_with "the account $user is as it was" put_entry /etc/passwd "$user" "$account"
  fi
  shadow=$(entry_of "$door_secrets/shadow" "$user")
  if [ -n "$shadow" ] && [ "$(entry_of /etc/shadow "$user")" != "$shadow" ]; then
    mend_with "the password and expiry of $user are as they were" \
      put_entry /etc/shadow "$user" "$shadow"
  fi
  for group in $(fact groups); do
    case " $(id -Gn "$user") " in
    *" $group "*) ;;
    *) mend "$user is in the group $group" usermod -aG "$group" "$user" ;;
    esac
  done
} 2> /dev/null

# As `mend`, for a function of this program.
mend_with() {
  words=$1
  shift
  is_still_known && "$@" >> "$log" 2>&1 || return
  printf 'orchestrator: the way in: %s\n' "$words" >> "$log"
  count_as_mended "$words"
}

# Put an entry into a file of accounts, in place of the name's own. $1 file  $2 name  $3 the entry
put_entry() {
  cp -p "$1" "$1.orchestrator" || { rm -f "$1.orchestrator" && return 1; }
  {
    printed=
    while IFS= read -r entry_line || [ -n "$entry_line" ]; do
      case $entry_line in
      "$2":*) [ -n "$printed" ] || printf '%s\n' "$3" && printed=1 ;;
      *) printf '%s\n' "$entry_line" ;;
      esac
    done < "$1"
    [ -n "$printed" ] || printf '%s\n' "$3"
  } > "$1.orchestrator" && sync "$1.orchestrator" && mv -f "$1.orchestrator" "$1" && return
  rm -f "$1.orchestrator"
  return 1
}

has_sudo() {
  [ -n "$(fact sudo_works)" ] || return 0
  sudo_program=$(fact sudo_program)
  become_root && return
  shut="$user is no more let be root by sudo"
  return 1
}

# Its files are back by now; NixOS has a service that makes its wrapper.
mend_sudo() {
  has_sudo && return
  wrappers=suid-sgid-wrappers.service
  [ "$(timeout 10 systemctl show --property LoadState --value $wrappers)" = loaded ] || return 0
  mend "$wrappers is restarted" systemctl restart $wrappers
}
