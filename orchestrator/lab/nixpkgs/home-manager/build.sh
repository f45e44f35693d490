# Lay out a generation of a home. All that varies comes in variables of the build.
mkdir -p $out/home-files
printf '%s' "$carriedOptions" > $out/carried.json
printf '%s' "$stateVersion" > $out/state-version
ln -s "$path" $out/home-path

refuse() {
  echo "$1 in home.file: $2"
  exit 1
}

: > $out/files
index=0
while [ $index -lt $count ]; do
  eval "target=\$target_$index source=\${source_$index-} force=\$force_$index executable=\$executable_$index"
  case "/$target/" in
  */../* | */./* | *//* | *"
"*) refuse "bad name" "$target" ;;
  esac
  if [ -e "$out/home-files/$target" ] || [ -L "$out/home-files/$target" ]; then refuse "two files of one name" "$target"; fi
  mkdir -p "$(dirname "$out/home-files/$target")"
  if [ -n "$source" ]; then
    ln -s "$source" "$out/home-files/$target"
  else
    eval "printf '%s' \"\$text_$index\"" > "$out/home-files/$target"
    if [ -n "$executable" ]; then chmod +x "$out/home-files/$target"; fi
  fi
  printf '%s %s\n' "${force:-0}" "$target" >> $out/files
  index=$((index + 1))
done

printf '#!%s sh\ngeneration=%s home=%s\n' "$applets/bin/busybox" "$out" "$home" > $out/activate
cat "$activate" >> $out/activate
chmod +x $out/activate
