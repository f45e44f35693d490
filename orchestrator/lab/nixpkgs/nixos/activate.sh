# Make the running machine this generation: /etc, accounts, activation scripts, and last the link
# /run/current-system. Run twice it changes nothing; killed midway it is simply run again.
# Called as boot-activate it is what the boot loader starts.
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
status=0
old=$(readlink -f /run/current-system 2>/dev/null) || old=

# Never a generation's business: without them nobody logs in, or Nix is not to be reached.
kept="passwd shadow group gshadow sudoers ssh/sshd_config nix/nix.conf machine-id fstab"

# /etc/static is the generation's; a file below /etc is a link through it, so that most of a switch
# is this one rename.
ln -sfn "$system/etc" /etc/.static.new && mv -T /etc/.static.new /etc/static

while read -r mode user group target; do
  case " $kept " in *" $target "*) echo "/etc/$target is left as it is"; continue ;; esac
  case $target in */*) [ -d "/etc/${target%/*}" ] || mkdir -p "/etc/${target%/*}" ;; esac
  if [ "$mode" = symlink ]; then
    [ "$(readlink "/etc/$target")" = "/etc/static/$target" ] && continue
    [ -e "/etc/$target" ] && [ ! -L "/etc/$target" ] && mv "/etc/$target" "/etc/$target.before"
    ln -sfn "/etc/static/$target" "/etc/$target" || status=2
  else
    cp -L "$system/etc/$target" "/etc/$target.new" && chown "$user:$group" "/etc/$target.new" &&
      chmod "$mode" "/etc/$target.new" && mv -T "/etc/$target.new" "/etc/$target" || status=2
  fi
done < "$system/etc-files"

# What the last generation had and this one has not.
[ -n "$old" ] && [ "$old" != "$system" ] && [ -e "$old/etc-files" ] &&
  while read -r mode user group target; do
    [ -e "$system/etc/$target" ] || [ -L "$system/etc/$target" ] && continue
    case " $kept " in *" $target "*) continue ;; esac
    rm -f "/etc/$target"
    [ -e "/etc/$target.before" ] && mv "/etc/$target.before" "/etc/$target"
    :
  done < "$old/etc-files"

piece() {
  name=$1
  ( . /dev/stdin ) || { echo "Activation script snippet '$name' failed ($?)"; status=2; }
}
. "$system/pieces"

case $0 in
*boot-activate)
  ln -sfn "$system" /run/.booted.new && mv -T /run/.booted.new /run/booted-system
  ;;
esac
ln -sfn "$system" /run/.current.new && mv -T /run/.current.new /run/current-system
exit $status
