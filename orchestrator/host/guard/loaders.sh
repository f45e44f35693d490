# What boots next, read from the boot loader's own files by the loader's own rules. Where they cannot be
# followed to the end, nothing is said but why: a loader is followed exactly, or not at all.
#
#   boot_default=PATH   the system that boots from now on
#   boot_source=LOADER  the loader whose files say it
#   boot_file=PATH      the file of its that was read, or could not be
#   boot_entry=NAME     the entry in it, where it has a name
#   boot_note=TEXT      why it cannot be read, or what the next boot alone starts
#   boot_by=TEXT        what chose it, where that is a person's choice and not the loader's own file
#
# awk is on every NixOS (environment.corePackages); where it is not, nothing can be read.
# It has ten seconds: whoever writes there may write what takes for ever.

boot_default() {
  newest='' kind='' twin=''
  newest_of systemd-boot /boot/loader/loader.conf /efi/loader/loader.conf /boot/efi/loader/loader.conf
  newest_of grub /boot*/grub/grub.cfg /boot/*/grub/grub.cfg
  newest_of extlinux /boot*/extlinux/extlinux.conf
  newest_of Limine /boot/limine/limine.conf /boot/EFI/limine/limine.conf /efi/limine/limine.conf \
    /efi/EFI/limine/limine.conf /boot/efi/limine/limine.conf /boot/efi/EFI/limine/limine.conf
  newest_of rEFInd /boot/EFI/refind/refind.conf /efi/EFI/refind/refind.conf \
    /boot/efi/EFI/refind/refind.conf
  [ -z "$newest" ] || printf 'boot_file=%s\n' "$newest"
  if [ -z "$kind" ]; then
    echo "boot_note=no boot loader's file is in /boot or /efi"
  elif bare=$(unmounted) && [ -n "$bare" ]; then
    printf 'boot_note=%s is not mounted, as /etc/fstab has it: no boot loader reads what is there instead\n' "$bare"
  elif [ -n "$twin" ]; then
    printf 'boot_note=%s and %s are as old as each other: which one boots is not known\n' "$newest" "$twin"
  elif ! command -v awk > /dev/null; then
    echo "boot_note=there is no awk to read $newest with"
  else
    case $kind in
    systemd-boot) systemd_boot "${newest%/loader/loader.conf}" ;;
    grub)
      unread_nul "$newest" /boot*/grub/grub.cfg /boot/*/grub/grub.cfg /boot*/grub/grubenv /boot/*/grub/grubenv ||
        LC_ALL=C timeout 10 awk "$init_of$grub_words$grub" /boot*/grub/grub.cfg /boot/*/grub/grub.cfg
      ;;
    extlinux)
      unread_nul "$newest" /boot*/extlinux/extlinux.conf ||
        LC_ALL=C timeout 10 awk "$init_of$extlinux" /boot*/extlinux/extlinux.conf
      ;;
    *) echo "boot_note=$kind, whose $newest is the newest, is a loader that cannot be followed" ;;
    esac 2> /dev/null || echo "boot_note=$newest could not be read to its end"
  fi
}

# Print where a partition for the loader's files should be mounted and is not: fstab(5). What is there then is
# left over, or was written to where no loader looks.
unmounted() (
  [ -r /etc/fstab ] && [ -r /proc/self/mounts ] || return
  while read -r device at _; do
    case $device in '#'*) continue ;; esac
    at=${at%/}
    case $at in /boot* | /efi*) ;; *) continue ;; esac
    [ ! -L "$at" ] || continue
    case $newest in
    "$at"/*) ;;
    # Another of mirrored boots.
    *) [ -e "$at/grub/grub.cfg" ] || [ -e "$at/extlinux/extlinux.conf" ] || continue ;;
    esac
    while read -r _ on _; do [ "$on" != "$at" ] || continue 2; done < /proc/self/mounts
    printf '%s\n' "$at"
    return
  done < /etc/fstab
)

# Whether files have a NUL: a loader's text ends there, and awk's goes on, or its line does not. $1… files
has_nul() { [ -n "$(timeout 10 cat "$@" | LC_ALL=C tr -cd '\000' | head -c 1 | tr '\000' x)" ]; }
# $1 the file to name  $2… files
unread_nul() {
  named=$1
  shift
  has_nul "$@" && printf 'boot_note=%s, or a file beside it, has a NUL byte: what counts of it is not followed\n' "$named"
}

# A loader that was replaced may leave its files behind: the one that was written last boots. Into $newest
# and its $kind, and into $twin what is as new as that, and another one. $1 kind  $2… files
newest_of() {
  which=$1
  shift
  for file; do
    [ -f "$file" ] || continue
    if [ -z "$newest" ] || [ "$file" -nt "$newest" ]; then
      newest=$file kind=$which twin=
    elif [ "$newest" -nt "$file" ] || [ "$newest" -ef "$file" ]; then
      :
    elif [ "$which" != "$kind" ] || [ "$which" = systemd-boot ]; then
      twin=$file
    fi
  done
}

# The one system that a kernel's command line names; empty where none or several are named.
# shellcheck disable=SC2016 # awk's own
init_of='
BEGIN { store = "/nix/store/" }
function is_system(path,  name) {
  if (index(path, store) != 1) return 0
  name = substr(path, length(store) + 1)
  return name ~ /^[0-9a-z]+-[0-9A-Za-z+._?=-]+$/ && index(name, "-") == 33
}
function init_of(line,  words, n, i, path) {
  path = ""
  gsub(/[\t\r\n]/, " ", line)
  n = split(line, words, " ")
  for (i = 1; i <= n; i++) {
    if (index(words[i], "init=") != 1) continue
    if (path != "" && path != substr(words[i], 6)) return ""
    path = substr(words[i], 6)
  }
  if (path !~ /\/init$/) return ""
  path = substr(path, 1, length(path) - 5)
  return is_system(path) ? path : ""
}
# What is printed of names is a part of them.
function safe(text) {
  gsub(/[^ -~]/, "?", text)
  return substr(text, 1, 100)
}
'

# extlinux.conf as U-Boot reads it (boot/pxe_utils.c) and NixOS writes it; mirrored ones must agree.
# shellcheck disable=SC2016 # awk's own
extlinux='
function unread(why) { print "boot_note=extlinux: " why; exit }
function rest(line) { sub(/^[^ \t]+[ \t]*/, "", line); return line }
# What one file boots. Keywords are in any case; of several DEFAULTs or APPENDs the last one counts, of
# several labels of one name the first.
function boots(file,  line, key, label, labels, name, append, kernels, got) {
  name = label = ""
  split("", append)
  split("", labels)
  while ((got = (getline line < file)) > 0) {
    sub(/\r$/, "", line)
    gsub(/^[ \t]+|[ \t]+$/, "", line)
    key = tolower(line)
    sub(/[ \t].*/, "", key)
    if (key == "include" || key == "ontimeout" || tolower(line) ~ /^menu[ \t]+(default|include)/)
      unread("its " safe(line) " cannot be followed")
    if (key == "default") name = rest(line)
    if (key == "label") { label = rest(line); label = label in labels ? "" : label; labels[label] = 1 }
    if (key == "append" && label != "") append[label] = rest(line)
    if (key == "localboot" && label != "") append[label] = ""
    if (key ~ /^(linux|kernel|fit)$/ && label != "") kernels[label] = 1
  }
  close(file)
  if (got < 0 && file ~ /[*]/) return "-"
  if (got < 0) unread(file " cannot be read")
  if (name == "") unread(file " names no DEFAULT")
  if (!(name in labels)) unread(file " has no LABEL " safe(name))
  if (!(name in kernels)) unread(safe(name) " names no kernel")
  if ((got = init_of(append[name])) == "") unread("the options of " safe(name) " name no one system of NixOS")
  taken = safe(name)
  return got
}
BEGIN {
  path = ""
  for (k = 1; k < ARGC; k++) {
    one = boots(ARGV[k])
    if (one == "-") continue
    if (path != "" && one != path) unread(was " and " ARGV[k] " boot different systems")
    path = one
    was = ARGV[k]
  }
  if (path == "") unread("it cannot be read")
  print "boot_source=extlinux\nboot_default=" path "\nboot_entry=" taken
}
'

# How systemd-boot orders its menu: strverscmp_improved(), and a glob of `*` and `?`.
# shellcheck disable=SC2016 # awk's own
order='
function leading(text, set) { return match(text, "^" set "+") ? substr(text, 1, RLENGTH) : "" }
function by_text(a, b) { a = a ""; b = b ""; return (a > b) - (a < b) }
function by_version(a, b,  i, mark, r, x, y) {
  for (;;) {
    sub(/^[^0-9A-Za-z~^.-]+/, "", a)
    sub(/^[^0-9A-Za-z~^.-]+/, "", b)
    for (i = 1; i <= 4; i++) {
      mark = substr("~-^.", i, 1)
      if (i == 2 && (a == "" || b == "")) return (a != "") - (b != "")
      x = substr(a, 1, 1) == mark
      y = substr(b, 1, 1) == mark
      if (x != y) return y - x
      if (x) { a = substr(a, 2); b = substr(b, 2) }
    }
    if (a ~ /^[0-9]/ || b ~ /^[0-9]/) {
      x = leading(a, "[0-9]")
      y = leading(b, "[0-9]")
      if ((x == "") != (y == "")) return (x != "") - (y != "")
      a = substr(a, length(x) + 1)
      b = substr(b, length(y) + 1)
      sub(/^0+/, "", x)
      sub(/^0+/, "", y)
      if (length(x) != length(y)) return length(x) > length(y) ? 1 : -1
      r = by_text(x, y)
    } else {
      x = leading(a, "[A-Za-z]")
      y = leading(b, "[A-Za-z]")
      a = substr(a, length(x) + 1)
      b = substr(b, length(y) + 1)
      i = length(x) < length(y) ? length(x) : length(y)
      r = by_text(substr(x, 1, i), substr(y, 1, i))
      if (!r) r = (length(x) > length(y)) - (length(x) < length(y))
    }
    if (r) return r
  }
}
function glob(p, s,  c) {
  for (;;) {
    c = substr(p, 1, 1)
    if (c == "*") {
      sub(/^[*]+/, "", p)
      for (;;) {
        if (glob(p, s)) return 1
        if (s == "") return 0
        s = substr(s, 2)
      }
    }
    if (c == "") return s == ""
    if (s == "" || (c != "?" && c != substr(s, 1, 1))) return 0
    p = substr(p, 2)
    s = substr(s, 2)
  }
}
'
