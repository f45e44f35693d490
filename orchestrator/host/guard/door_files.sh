# Files that the way in hangs on: kept with owner, mode and content, and put back where they differ.

# Folders in which a file that was not there before takes effect.
drop_ins='/etc/ssh/sshd_config.d /etc/sudoers.d'

record_files() {
  ask_sshd > "$door/sshd"
  key_files | plain_paths > "$door/keys"
  door_paths | plain_paths > "$door/paths"
  host_keys | plain_paths > "$door_secrets/paths"
  describe "$door/paths" > "$door/files"
  describe "$door_secrets/paths" > "$door_secrets/files"
  keep "$door/paths" "$door/tree"
  keep "$door_secrets/paths" "$door_secrets/tree"
  if names_server; then cp -L /etc/resolv.conf "$door/resolv.conf"; fi
}

# Those that are words in every list.
plain_paths() { grep '^/[A-Za-z0-9/._@+:,-]*$' | sort -u | head -n 400; }

# sshd tells what it reads for this user. What the store holds does not change.
door_paths() {
  printf '%s\n' /etc/ssh/sshd_config /etc/sudoers /etc/sudo.conf /etc/nsswitch.conf /etc/pam.d
  # sshd's empty root, where it is told in no file.
  printf '%s\n' /run/sshd /var/empty
  files_of_units
  find /etc/pam.d/ -maxdepth 1 ! -type d
  for folder in $drop_ins; do find "$folder" -maxdepth 1; done
  for file in $(cat "$door/keys"); do with_parents "$file"; done
  host_keys | sed 's/$/.pub/'
  for program_of_door in "$(fact sudo_program)" "$(fact shell)" \
    "$(sshd_says authorizedkeyscommand)" "$(sshd_says authorizedprincipalscommand)"; do
    program_of_door=${program_of_door%% *}
    case $program_of_door in
    /nix/store/* | /run/current-system/* | '') ;;
    *) printf '%s\n' "$program_of_door" ;;
    esac
  done
}

# All that sshd would go by for this user, by its own word.
ask_sshd() {
  timeout 10 "$(command -v sshd || echo /usr/sbin/sshd)" -T -f /etc/ssh/sshd_config \
    -C "user=$user,host=$peer,addr=$peer,laddr=$server,lport=$port"
}

# $1 the keyword; OpenSSH writes it in lower case, since some version after 10.0 as its manual does.
sshd_says() {
  sed -n "h;s/ .*//;y/ABCDEFGHIJKLMNOPQRSTUVWXYZ/abcdefghijklmnopqrstuvwxyz/;G;s/\n[^ ]*//;s/^$1 //p" "$door/sshd"
}

host_keys() {
  for file in $(sshd_says hostkey); do
    if [ -f "$file" ] && [ ! -L "$file" ]; then printf '%s\n' "$file"; fi
  done
}

# Those of a unit that may be put back.
files_of_units() {
  { fact unit_file && fact env_file; } | while read -r file; do
    case $file in
    /run/* | /nix/store/*) ;;
    *.d/*) printf '%s\n' "${file%/*}" "$file" ;;
    *) printf '%s\n' "$file" ;;
    esac
  done
}

# Where sshd looks for the user's keys, and for whom and what it trusts.
key_files() {
  home=$(fact home)
  patterns=$(sshd_says authorizedkeysfile)
  for pattern in ${patterns:-.ssh/authorized_keys .ssh/authorized_keys2} \
    /etc/ssh/authorized_keys.d/%u $(sshd_says authorizedprincipalsfile) \
    $(sshd_says trustedusercakeys) $(sshd_says revokedkeys) $(sshd_says hostcertificate); do
    [ "$pattern" != none ] || continue
    file=$(printf '%s' "$pattern" | sed "s|%u|$user|g; s|%h|$home|g; s|%%|%|g")
    case $file in /*) ;; *) file=$home/$file ;; esac
    printf '%s\n' "$file"
  done | sort -u
}

# A path, and the folders above it: sshd trusts no keys in one that others may write.
with_parents() {
  path=$1
  while [ -n "$path" ]; do
    printf '%s\n' "$path"
    path=${path%/*}
  done
}

# Of each path its kind, mode, owner, group, and a link's target; of each file its content. The root is
# always there: without it nothing could be described.
describe() {
  timeout 10 xargs -d '\n' -r sh -c \
    'exec find / "$@" -maxdepth 0 -printf "%y %m %U %G %p %l\n" 2> /dev/null' sh < "$1"
  [ $? != 124 ] || return
  timeout 10 xargs -d '\n' -r sh -c \
    'exec find "$@" -maxdepth 0 -type f -size -8M -exec sha256sum {} + 2> /dev/null' sh < "$1"
  [ $? != 124 ]
}

# Copies with owner and mode. $1 list  $2 folder
keep() {
  mkdir -p "$2"
  while IFS= read -r path; do
    if [ -L "$path" ] || [ -f "$path" ]; then printf '%s\n' "$path"; fi
  done < "$1" | timeout 20 xargs -d '\n' -r sh -c \
    'folder=$1; shift; find "$@" -maxdepth 0 -size -8M -exec cp -a --parents -t "$folder" {} +' sh "$2"
}

# Which paths are not as they were. $1 the folder of the record
differing() {
  [ -s "$1/files" ] || return 0
  # In memory: the disk may be full. What cannot be looked at is not held to differ.
  now_described=$(describe "$1/paths") || return 0
  [ -n "$now_described" ] || return 0
  while IFS= read -r described; do
    case "
$now_described
" in
    *"
$described
"*) ;;
    *) path_of "$described" ;;
    esac
  done < "$1/files" | sort -u
}

path_of() {
  case $1 in
  ?\ *) printf '%s\n' "$1" | cut -d ' ' -f 5 ;;
  *) printf '%s\n' "${1#*  }" ;;
  esac
}

has_keys() {
  for path in $(differing_keys); do
    is_lost "$path" || continue
    shut="the keys of $user are not as they were: $path"
    return 1
  done
}

differing_keys() { differing "$door" | grep -Fxf "$door/keys"; }

# Whether a file of keys that had some has none any more, or sshd may not trust it. Where it has others,
# somebody may have taken one back: those stay out. $1 path
is_lost() {
  recorded_of "$1"
  # sshd lets nobody in without a file of revoked keys that it was told of, which may be empty.
  [ -n "$kind" ] && [ ! -e "$1" ] && return
  [ "$kind" = l ] || holds_key "$door/tree$1" || return
  holds_key "$1" || return 0
  now_owned=$(find "$1" -maxdepth 0 -type f -printf '%m %U:%G')
  [ "$kind" = f ] && [ -n "$now_owned" ] && [ "$now_owned" != "$mode $owner:$group" ]
}

# $1 path
holds_key() { [ -f "$1" ] && grep -q '^[[:space:]]*[^#[:space:]]' "$1"; } 2> /dev/null

mend_keys() {
  if ! holds_key "$1"; then
    mend_with "the keys in $1, which were lost, are back" put_back "$door" "$1"
  else
    mend_with "$1 has its owner and mode" own_again "$1"
  fi
}

own_again() {
  recorded_of "$1"
  [ ! -L "$1" ] && chown -h "$owner:$group" "$1" && chmod "$mode" "$1"
}

# Say of a file that has keys and none of those from before: nobody knows who put them there.
note_other_keys() {
  for path in $(differing_keys); do
    holds_key "$door/tree$path" && holds_key "$path" || continue
    grep '^[[:space:]]*[^#[:space:]]' "$door/tree$path" | grep -Fxq -f - "$path" && continue
    left="${left:+$left; }$path has none of the keys from before any more, and was left as it is"
  done
} 2> /dev/null

# What the record says of a path, into $kind, $mode, $owner and $group. $1 path  $2 the record's folder
recorded_of() {
  IFS=' ' read -r kind mode owner group _ << END
$(grep -F -e " $1 " "${2:-$door}/files" | head -n 1)
END
}

mend_files() {
  restart_listener=
  # A boot between: there is nothing in memory.
  for kept_in in "$door" "$door_secrets"; do
    for path in $(differing "$kept_in"); do
      if grep -Fxq -e "$path" "$door/keys"; then
        if is_lost "$path"; then mend_keys "$path"; fi
        continue
      fi
      case $path in
      /etc/ssh/authorized_keys.d) ;;
      /etc/ssh/* | /etc/pam.d/*) restart_listener=1 ;;
      *) { is_host_key "$path" || files_of_units | grep -Fxq -e "$path"; } && restart_listener=1 ;;
      esac
      mend_with "$path is as it was" put_back "$kept_in" "$path"
    done
  done
  set_strangers_aside
}

is_host_key() { grep -Fxq -e "$1" "$door_secrets/paths" 2> /dev/null; }

# $1 the folder of the record  $2 path
put_back() {
  recorded_of "$2" "$1"
  if [ "$kind" = d ]; then
    [ -d "$2" ] && [ ! -L "$2" ] || { set_aside "$2" && mkdir "$2"; } || return
    chown "$owner:$group" "$2" && chmod "$mode" "$2"
    return
  fi
  [ ! -d "$2" ] || [ -L "$2" ] || set_aside "$2" || return
  cp -a "$1/tree$2" "$2.orchestrator" && mv -fT "$2.orchestrator" "$2" && return
  rm -f "$2.orchestrator"
  return 1
}

# Out of the way, and not lost. $1 path
set_aside() {
  [ -e "$1" ] || [ -L "$1" ] || return 0
  mkdir -p -m 0700 "$lib/aside" && mv -fT "$1" "$lib/aside/${1##*/}"
}

set_stranger_aside() { mend_with "$1, which was not there, is in $lib/aside" set_aside "$1"; }

set_strangers_aside() {
  for path in $(environment_files "$(service_of_door)"); do
    [ -e "$path" ] && grep -Fxq -e "$path" "$door/paths" && ! grep -Fq -e " $path " "$door/files" || continue
    set_stranger_aside "$path" && restart_listener=1
  done
  for folder in $drop_ins; do
    for path in "$folder"/*; do
      [ -e "$path" ] || [ -L "$path" ] || continue
      grep -Fxq -e "$path" "$door/paths" && continue
      case $path in *[!A-Za-z0-9/._@+:,-]*) continue ;; esac
      set_stranger_aside "$path"
      case $path in /etc/ssh/*) restart_listener=1 ;; esac
    done
  done
}

names_server() { grep -q '^nameserver' /etc/resolv.conf 2> /dev/null; }

# What a lease or a person changed is left: only a host that has no resolver any more gets its own back.
mend_resolver() {
  [ -s "$door/resolv.conf" ] && ! names_server || return 0
  [ ! -d /etc/resolv.conf ] && rm -f /etc/resolv.conf
  mend "/etc/resolv.conf is as it was" cp "$door/resolv.conf" /etc/resolv.conf
  chmod 0644 /etc/resolv.conf
}
