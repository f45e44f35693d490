# Bring a home to its generation: what was there and is not ours stays, and is an error.
set -eu
cd "$home"
state=.local/state/home-manager/gcroots
old=$(readlink "$state/current-home" || true)

ours() { case "$(readlink "$1" || true)" in /nix/store/*-home-manager-generation/home-files/*) ;; *) false ;; esac }

failed=
while read -r force target; do
  if { [ ! -e "$target" ] && [ ! -L "$target" ]; } || ours "$target" || [ "$force" = 1 ]; then continue; fi
  if [ -n "${HOME_MANAGER_BACKUP_EXT-}" ] && [ ! -e "$target.$HOME_MANAGER_BACKUP_EXT" ]; then
    mv "$target" "$target.$HOME_MANAGER_BACKUP_EXT"
  else
    echo "Existing file '$home/$target' would be clobbered" >&2
    failed=1
  fi
done < "$generation/files"
if [ -n "$failed" ]; then exit 1; fi

if [ -n "$old" ] && [ -e "$old/files" ]; then
  while read -r _ target; do
    if ours "$target" && [ ! -e "$generation/home-files/$target" ]; then rm "$target"; fi
  done < "$old/files"
fi
while read -r _ target; do
  mkdir -p "$(dirname "$target")"
  rm -rf "$target"
  ln -s "$generation/home-files/$target" "$target"
done < "$generation/files"

mkdir -p "$state"
ln -sfn "$generation" "$state/current-home"
