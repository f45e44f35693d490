# A user's part of a switch, as that user and by the user's own manager: units of /etc/systemd/user that
# changed, then nixos-activation.service. Ends with 4 where any of it fails. $1 the system before
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
old=$1 status=0
. "$system/bin/changed-units"
stop= skip= start= restart= reload=
changed_units user "$(systemctl --user list-units --plain --no-legend --no-pager --full \
  --state=active,activating | cut -d ' ' -f 1)"
# It is restarted each time, whatever is in it.
for word in stop skip start restart reload; do
  eval "$word=\$(printf '%s\n' \$$word | grep -v '^nixos-activation.service\$')"
done

job() { # job WORD SAID UNIT…
  word=$1 said=$2
  shift 2
  [ $# != 0 ] || return 0
  echo "$said the following user units: $*"
  systemctl --user "$word" "$@" || {
    for unit; do echo "Failed to $word user unit $unit"; done
    status=4
  }
}
job stop stopping $stop
systemctl --user daemon-reexec
systemctl --user reset-failed
systemctl --user daemon-reload
job reload reloading $reload
job restart restarting $restart
job start starting $start
systemctl --user start default.target || status=4
if [ -e "$system/etc/systemd/user/nixos-activation.service" ]; then
  job restart restarting nixos-activation.service
fi
exit $status
