# Lay out a generation. All that varies comes in variables of the build.
mkdir -p $out/bin $out/etc $out/sw/bin
printf '%s' "$version" > $out/nixos-version
printf '%s' "$hostPlatform" > $out/system
printf '%s' "$units" > $out/units
printf '%s' "$carriedOptions" > $out/carried.json
printf '%s' "$pieces" > $out/pieces
printf '%s' "$kernelParams" > $out/kernel-params
printf '%s' "$inhibitors" > $out/switch-inhibitors
printf '%s' "$initInterface" > $out/init-interface-version
printf '#!/bin/bash\n%s' "$preSwitchChecks" > $out/pre-switch-checks
chmod +x $out/pre-switch-checks
ln -s "$kernel/bzImage" $out/kernel
ln -s "$kernel" $out/kernel-modules
ln -s "$initrd" $out/initrd
ln -s "$systemd" $out/systemd

refuse() {
  echo "$1 in environment.etc: $2"
  exit 1
}

: > $out/etc-files
: > $out/etc-copies
index=0
while [ $index -lt $count ]; do
  eval "target=\$target_$index mode=\$mode_$index source=\${source_$index-}"
  case "/$target/" in
  */../* | */./* | *//* | *"
"*) refuse "bad name" "$target" ;;
  esac
  if [ -e "$out/etc/$target" ] || [ -L "$out/etc/$target" ]; then refuse "two files of one name" "$target"; fi
  mkdir -p "$(dirname "$out/etc/$target")"
  if [ -n "$source" ]; then
    ln -s "$source" "$out/etc/$target"
  else
    eval "printf '%s' \"\$text_$index\"" > "$out/etc/$target"
  fi
  printf '%s %s\n' "$mode" "$target" >> $out/etc-files
  case $mode in
  symlink*) ;;
  *) printf '%s\n' "$target" >> $out/etc-copies ;;
  esac
  index=$((index + 1))
done

# As NixOS's: a link for each variant, in a folder that is always there.
mkdir $out/specialisation
index=0
while [ $index -lt $variantCount ]; do
  eval "ln -s \"\$variant_path_$index\" \"\$out/specialisation/\$variant_name_$index\""
  index=$((index + 1))
done

printf '%s' "$wants" | while read -r link; do
  mkdir -p "$(dirname "$out/etc/systemd/system/$link")"
  ln -s "../$(basename "$link")" "$out/etc/systemd/system/$link"
  printf 'symlink root root systemd/system/%s\n' "$link" >> $out/etc-files
done

for package in $packages; do
  for program in "$package"/bin/*; do
    if [ -e "$program" ] || [ -L "$program" ]; then ln -sfn "$program" "$out/sw/bin/$(basename "$program")"; fi
  done
done

script() {
  printf '#!%s\nsystem=%s limit=%s\n' "${3:-$applets/bin/busybox sh}" "$out" "$limit" > "$out/$1"
  cat "$2" >> "$out/$1"
  chmod +x "$out/$1"
}
# By bash, as NixOS's: it may be asked how the script ended.
script activate "$activate" /bin/bash
echo "# accounts: $usersSpec" >> $out/activate
if [ -n "$switch" ]; then script bin/switch-to-configuration "$switch"; fi
script bin/boot-activate "$boot"
script bin/install-boot-loader "$loaders"
sed -i "s/^system=/loader=$loader tries=$tries system=/" $out/bin/install-boot-loader
script bin/changed-units "$changedUnits"
script bin/switch-user "$switchUser"
ln -s activate $out/init
