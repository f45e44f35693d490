# Make the running machine this generation: /etc, accounts, activation scripts, and last the link
# /run/current-system. Run twice it changes nothing; killed midway it is simply run again, and so is
# the generation before it.
# The shell is bash, as NixOS's is, and may be busybox's: options of POSIX, and few others.
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
status=0

# Never a generation's business: without them nobody logs in, or Nix is not to be reached.
kept="passwd shadow group gshadow sudoers ssh/sshd_config nix/nix.conf machine-id fstab"
# Names of the files that a generation has copied to /etc, as NixOS has it.
copies=/etc/.clean

failed() {
  echo "$1" >&2
  status=1
}

# Whether the generation has a file or a link there, and no mere folder.
has() { [ -L "$system/etc/$1" ] || [ -f "$system/etc/$1" ]; }

copied() { grep -Fxq -e "$1" "$copies" 2>/dev/null; }

# Take away a file of another generation, and show what it hid.
remove() {
  rm -f "/etc/$1"
  if [ -e "/etc/$1.before" ]; then mv -T "/etc/$1.before" "/etc/$1"; fi
}

# Make room for a file: what no generation put there is kept beside it.
make_room() {
  if [ -d "/etc/$1" ] && [ ! -L "/etc/$1" ]; then
    find "/etc/$1" -depth -type d -exec rmdir {} \; 2>/dev/null
  fi
  [ -e "/etc/$1" ] || return 0
  [ ! -L "/etc/$1" ] || return 0
  copied "$1" || mv -T "/etc/$1" "/etc/$1.before"
}

install_link() {
  [ "$(readlink "/etc/$1")" != "/etc/static/$1" ] || return 0
  make_room "$1" && ln -sfn "/etc/static/$1" "/etc/$1"
}

install_copy() { # install_copy TARGET MODE USER GROUP
  make_room "$1" || return 1
  copied "$1" || echo "$1" >> "$copies" || return 1
  cp -L "$system/etc/$1" "/etc/$1.new" && chown "$3:$4" "/etc/$1.new" &&
    chmod "$2" "/etc/$1.new" && mv -T "/etc/$1.new" "/etc/$1"
}

# What this generation has not. First, so that a name may be a file before and a folder now; by what
# is in /etc and not by the last generation's list, which knows nothing of one that failed midway.
find /etc -type l | while read -r link; do
  has "${link#/etc/}" && continue
  case $(readlink "$link") in
  /etc/static/*) remove "${link#/etc/}" ;;
  esac
done
if [ -e "$copies" ]; then
  while read -r target; do
    has "$target" || remove "$target"
  done < "$copies"
fi

# /etc/static is the generation's; a file below /etc is a link through it, so that most of a switch
# is this one rename.
ln -sfn "$system/etc" /etc/.static.new && mv -T /etc/.static.new /etc/static ||
  failed "/etc/static cannot be written"

while read -r mode user group target; do
  case " $kept " in
  *" $target "*)
    echo "/etc/$target is left as it is"
    continue
    ;;
  esac
  case $target in
  */*) mkdir -p "/etc/${target%/*}" ;;
  esac
  if [ "$mode" = symlink ]; then
    install_link "$target" || failed "/etc/$target cannot be written"
  else
    install_copy "$target" "$mode" "$user" "$group" || failed "/etc/$target cannot be written"
  fi
done < "$system/etc-files"

if [ "$status" != 0 ]; then
  echo "Activation script snippet 'etc' failed (1)"
else
  cp "$system/etc-copies" "$copies.new" && mv -T "$copies.new" "$copies" ||
    failed "$copies cannot be written"
fi

# In a shell of its own: an `exit`, or a command that fails, ends the piece and nothing else.
piece() { # piece NAME TEXT
  (
    set -e +u
    eval "$2"
  ) < /dev/null
  code=$?
  [ $code = 0 ] || failed "Activation script snippet '$1' failed ($code)"
}
. "$system/pieces"

ln -sfn "$system" /run/.current.new && mv -T /run/.current.new /run/current-system ||
  failed "/run/current-system cannot be written"
exit $status
