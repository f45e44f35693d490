# systemd-boot: loader.conf(5), src/boot/boot.c, UAPI.1 Boot Loader Specification.

# An EFI variable's text, of UTF-16 with four bytes of attributes before it. $1 its name
efi_text() {
  set -- "/sys/firmware/efi/efivars/$1-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
  [ -e "$1" ] || return 0
  # What is there and cannot be read is no name of an entry.
  if [ -r "$1" ]; then tail -c +5 "$1" | tr -d '\000'; else echo '['; fi
}

# $1 ESP
systemd_boot() {
  esp=$1 once=$(efi_text LoaderEntryOneShot) preferred=$(efi_text LoaderEntryPreferred)
  chosen=$(efi_text LoaderEntryDefault) last=$(efi_text LoaderEntryLastBooted)
  # An extended boot loader partition, where there is one, is at /boot.
  more=
  [ "$esp" = /boot ] || more=/boot
  set --
  for file in "$esp"/loader/entries/* "$esp"/EFI/Linux/* ${more:+"$more"/loader/entries/* "$more"/EFI/Linux/*}; do
    [ ! -f "$file" ] || set -- "$@" "$file"
  done
  unread_nul "$esp/loader/loader.conf" "$esp/loader/loader.conf" && return
  nul=
  ! has_nul "$esp"/loader/entries/* ${more:+"$more"/loader/entries/*} || for file; do
    case $file in */loader/entries/*) ! has_nul "$file" || nul="$nul/$file/" ;; esac
  done
  esp=$esp more=$more nul=$nul once=$once preferred=$preferred chosen=$chosen last=$last \
    LC_ALL=C timeout 10 awk "$init_of$order$systemd_boot" "$@"
}

# systemd-boot since 250; a word that is new since then is followed where every version would, or where the
# version is known.
# shellcheck disable=SC2016 # awk's own
systemd_boot='
function say(path, by, note) {
  if (path != "") print "boot_source=systemd-boot\nboot_default=" path "\nboot_entry=" taken
  if (by != "") print "boot_by=" safe(by)
  if (note != "") print "boot_note=" note
  exit
}
function unread(why) { say("", "", "systemd-boot: " why) }

# line_get_key_value(): into key and value. $1 line  $2 what parts them
function pair(line, set) {
  gsub(/^[ \t]+|[ \t]+$/, "", line)
  if (line == "" || line ~ /^#/ || !match(line, "[" set "]+")) return 0
  key = substr(line, 1, RSTART - 1)
  value = substr(line, RSTART + RLENGTH)
  if (value ~ /^["\047]/ && substr(line, length(line)) == substr(value, 1, 1))
    value = substr(value, 2, length(value) - 2)
  return 1
}
function loader_conf(file,  line, lines, n, i, got) {
  while ((got = (getline line < file)) > 0) {
    n = split(line, lines, "\r")
    for (i = 1; i <= n; i++) {
      if (!pair(lines[i], " \t")) continue
      if (key == "default" && (value !~ /^@/ || tolower(value) == "@saved")) usual = tolower(value)
      if (key == "preferred") wanted = tolower(value)
    }
  }
  close(file)
  if (got < 0) unread("its loader.conf cannot be read")
}

# An entry by its file. The ones that a loader might leave out are kept: where such a one is chosen, what
# boots is not known.
function entry(file,  name) {
  name = tolower(file)
  sub(/.*\//, "", name)
  if (name ~ /^auto-/) return
  n++
  full[n] = cut[n] = name
  left[n] = tried[n] = -1
  sort[n] = version[n] = machine[n] = options[n] = doubt[n] = vague[n] = ""
  of_esp[n] = index(file, ENVIRON["esp"] "/loader/") == 1 || index(file, ENVIRON["esp"] "/EFI/") == 1
  if (match(name, /[+][0-9]+(-[0-9]+)?[.](conf|efi)$/)) counters(name)
  if (name ~ /[.]conf$/) type1(file); else type2(file)
}
function counters(name,  part, of) {
  part = substr(name, RSTART + 1, RLENGTH)
  cut[n] = substr(name, 1, RSTART - 1) substr(name, length(name) - (name ~ /f$/ ? 4 : 3))
  of = part
  sub(/[-.].*/, "", of)
  left[n] = of + 0
  sub(/^[0-9]+/, "", part)
  tried[n] = part ~ /^-/ ? substr(part, 2) + 0 : 0
  if (left[n] > 2147483647 || tried[n] > 2147483647) { left[n] = tried[n] = -1; cut[n] = name }
}
function type1(file,  line, lines, m, i, got, kind, path, base) {
  kind = path = ""
  while ((got = (getline line < file)) > 0) {
    m = split(line, lines, "\r")
    for (i = 1; i <= m; i++) {
      if (!pair(lines[i], " \t")) continue
      if (key == "sort-key") sort[n] = value
      else if (key == "version") version[n] = value
      else if (key == "machine-id") machine[n] = value
      else if (key == "options") options[n] = options[n] " " value
      else if (key == "architecture") doubt[n] = "it is for one architecture"
      else if (key ~ /^(linux|efi|uki|uki-url)$/) {
        if (kind != "" && kind != key) doubt[n] = "it has both " kind " and " key
        kind = key
        path = value
      }
    }
  }
  close(file)
  if (got < 0 || index(ENVIRON["nul"], "/" file "/")) vague[n] = got < 0 ? "it cannot be read" : "it has a NUL byte"
  else if (kind == "") { n--; return }
  else if (kind != "linux") doubt[n] = "it starts no kernel of NixOS"
  gsub(/\\/, "/", path)
  base = file
  sub(/\/loader\/entries\/[^\/]*$/, "", base)
  file = base "/" path
  if (kind == "linux" && (getline line < file) < 0) doubt[n] = "its kernel is not there"
  close(file)
}

# Unified kernel images: PE files whose sections have the release and the command line; the stub of Lanzaboote
# has the same two. A shell reads the heads of a hundred, and one their sections: one for each takes too long.
function images(  k, file) {
  for (k = 1; k < ARGC; k++) {
    file = ARGV[k]
    if (tolower(file) !~ /[.]efi$/) continue
    if (file ~ /[^A-Za-z0-9\/._+@~-]/) flaw[file] = "its name is unusual"; else ask(file, "head", 0, 2048)
  }
  answers()
  for (k = 1; k < ARGC; k++) if ((ARGV[k], "head") in got) sections(ARGV[k], got[ARGV[k], "head"])
  answers()
}
function ask(file, part, from, count) {
  asked++
  question[asked] = file SUBSEP part
  command[asked] = "echo =" asked "; od -An -v -tu1 -j" from " -N" count " \"" file "\"; "
  got[file, part] = ""
}
# Into got, as od prints bytes: four columns each. od is as little of a host as there is.
function answers(  k, at, all, line) {
  for (k = 1; k <= asked; k++) {
    all = all command[k]
    if (k % 100 && k < asked) continue
    while ((all | getline line) > 0) {
      if (line ~ /^=/) at = question[substr(line, 2)]
      else got[at] = got[at] line
    }
    close(all)
    all = ""
  }
  asked = 0
}
function sections(file, head,  at, i, begin, name, size, off, twice) {
  at = word(head, 60) % 65536
  if (length(head) < 256 || text(head, 0, 2) != "MZ" || text(head, at, 2) != "PE") { flaw[file] = "none"; return }
  begin = at + 24 + word(head, at + 20) % 65536
  for (i = begin; i < begin + 40 * (word(head, at + 6) % 65536); i += 40) {
    if (4 * (i + 40) > length(head)) { flaw[file] = "its sections cannot be read"; return }
    name = text(head, i, 8)
    twice = name in size
    size[name] = twice ? -1 : word(head, i + 8) < word(head, i + 16) ? word(head, i + 8) : word(head, i + 16)
    off[name] = word(head, i + 20)
  }
  if (!(".osrel" in size)) { flaw[file] = "none"; return }
  if (".profile" in size) flaw[file] = "it may have several profiles"
  if (size[".osrel"] < 1 || size[".osrel"] > 65536) { flaw[file] = "its release cannot be read"; return }
  long[file, ".osrel"] = size[".osrel"]
  if (size[".cmdline"] > 0 && size[".cmdline"] <= 65536) long[file, ".cmdline"] = size[".cmdline"]
  bodies(file, off[".osrel"], off[".cmdline"])
}
# The two stand side by side as a rule, and are read by one program then.
function bodies(file, osrel, cmdline,  low, high) {
  low = high = osrel
  if ((file, ".cmdline") in long && cmdline < low) low = cmdline
  if ((file, ".cmdline") in long && cmdline > high) high = cmdline
  if (high - low <= 65536) ask(file, "body", low, high - low + (high == osrel ? long[file, ".osrel"] : long[file, ".cmdline"]))
  else {
    ask(file, ".osrel", osrel, long[file, ".osrel"])
    ask(file, ".cmdline", cmdline, long[file, ".cmdline"])
  }
  start[file, ".osrel"] = osrel - low
  start[file, ".cmdline"] = cmdline - low
}
function type2(file) {
  if (flaw[file] == "none") { n--; return }
  vague[n] = flaw[file]
  if ((file, ".osrel") in long) release(section(file, ".osrel"))
  if ((file, ".cmdline") in long) options[n] = section(file, ".cmdline")
}
function octet(bytes, i) { return substr(bytes, 4 * i + 1, 4) + 0 }
function word(bytes, i) {
  return octet(bytes, i) + 256 * (octet(bytes, i + 1) + 256 * (octet(bytes, i + 2) + 256 * octet(bytes, i + 3)))
}
function text(bytes, i, count,  k, c, all) {
  all = ""
  for (k = i; k < i + count && (c = octet(bytes, k)); k++) all = all sprintf("%c", c)
  return all
}
function section(file, name,  size, bytes, from) {
  size = long[file, name]
  from = (file, "body") in got ? start[file, name] : 0
  bytes = (file, "body") in got ? got[file, "body"] : got[file, name]
  if (length(bytes) < 4 * (from + size)) vague[n] = "its end is missing"
  return text(bytes, from, size)
}
function release(all,  lines, m, i, of) {
  m = split(all, lines, /[\r\n]/)
  for (i = 1; i <= m; i++) if (pair(lines[i], "=")) of[key] = value
  sort[n] = first(of["IMAGE_ID"], of["ID"], "", "")
  version[n] = first(of["IMAGE_VERSION"], of["VERSION"], of["VERSION_ID"], of["BUILD_ID"])
  if (first(of["PRETTY_NAME"], of["IMAGE_ID"], of["NAME"], of["ID"]) == "") doubt[n] = "it has no name"
}
function first(a, b, c, d) { return a != "" ? a : b != "" ? b : c != "" ? c : d }

# boot_entry_compare() of two entries: below 0 where the first is the higher one in the menu.
function compare(a, b,  r) {
  if ((left[a] == 0) != (left[b] == 0)) return left[a] == 0 ? 1 : -1
  if ((sort[a] == "") != (sort[b] == "")) return sort[a] == "" ? 1 : -1
  if (sort[a] != "") {
    r = by_text(sort[a], sort[b])
    if (!r) r = by_text(machine[a], machine[b])
    if (!r) r = -by_version(version[a], version[b])
    if (r) return r
  }
  r = -by_version(id(a), id(b))
  if (r || left[a] < 0 || left[b] < 0) return r
  if (left[a] != left[b]) return left[a] > left[b] ? -1 : 1
  return (tried[a] > tried[b]) - (tried[a] < tried[b])
}
function id(i) { return strip ? cut[i] : full[i] }
# The highest entry that a pattern means, 0 where there is none, or -1 and why where that is not known.
# $2 whether those that failed too often count
function find(pattern, bad,  i, best, r, plain, other, auto) {
  best = plain = other = 0
  if (pattern == "") return 0
  for (i = 1; i <= n; i++) {
    if (esp_only && !of_esp[i] || !bad && left[i] == 0) continue
    if (vague[i] != "" && glob(pattern, id(i)) || vague[i] ~ /profiles/ && pattern ~ /[*?@]/)
      return not_known(safe(id(i)) " may be its default: " vague[i])
    if (!glob(pattern, id(i))) continue
    r = best ? compare(best, i) : 1
    if (best) many = 1
    if (!r && init_of(options[best]) != init_of(options[i])) return not_known(safe(id(i)) " is there twice")
    if (r > 0) best = i
  }
  # One id with and without counters: the order that a folder is read in may decide.
  for (i = 1; i <= n; i++) {
    if (!best || esp_only && !of_esp[i] || id(i) != id(best)) continue
    if (left[i] < 0) plain = 1
    if (init_of(options[i]) != init_of(options[best])) other = 1
  }
  if (plain && other) return not_known(safe(id(best)) " is there twice")
  # What the loader finds by itself, at the end of its menu.
  for (i = split("windows osx efi-shell efi-default reboot-to-firmware-setup poweroff reboot", auto, " "); i && !best; i--)
    if (n && glob(pattern, "auto-" auto[i])) return not_known("it starts auto-" auto[i] ", where that is there")
  return best
}
function not_known(reason) { why = reason; return -1 }

# config_select_default_entry(). A rule is 1 where counters are a part of an id, as before 258; 2 where they
# are not; 3 and 4 where `preferred` is known, as since 260: its manual has the file before a variable of the
# firmware, bootctl the other way round.
function select(rule, oneshot,  i, chosen, saved) {
  strip = rule > 1
  saved = tolower(ENVIRON["last"])
  chosen = tolower(ENVIRON["chosen"])
  by = "the EFI variable LoaderEntryOneShot"
  if (oneshot && (i = find(tolower(ENVIRON["once"]), 1))) return i
  by = "the EFI variable LoaderEntryPreferred"
  if (rule > 2 && (i = find(tolower(ENVIRON["preferred"]), 0))) return i
  by = ""
  if (rule == 3 && (i = find(wanted, 0))) return i
  by = "the EFI variable LoaderEntryDefault (bootctl set-default \"\" lifts it)"
  if (i = find(chosen == "@saved" ? saved : chosen, 1)) return i
  by = ""
  if (rule == 4 && (i = find(wanted, 0))) return i
  if (usual != "@saved") i = find(usual, 1)
  else if (chosen != "@saved") i = find(saved, 1)
  if (usual == "@saved" && i) by = "the entry that was booted last"
  return i ? i : find("*", 1)
}
# What all rules agree on, or "" and why. $1 first rule  $2 last
function agree(from, to, oneshot,  rule, i, path, all) {
  all = ""
  for (rule = from; rule <= to; rule++) {
    for (esp_only = 0; esp_only <= mixed; esp_only++) {
      i = select(rule, oneshot)
      if (i < 0) return ""
      path = i && doubt[i] == "" ? init_of(options[i]) : ""
      if (!i) why = "it has no entry that boots"
      else if (path == "")
        why = "it starts " safe(id(i)) (doubt[i] == "" ? ", whose options name no one system of NixOS" : ": " doubt[i])
      else if (all != "" && all != path) why = differs(esp_only)
      if (path == "" || all != "" && all != path) return ""
      all = path
      named = safe(id(i))
    }
  }
  return all
}
function differs(esp_only) {
  if (esp_only) return "whether /boot is a partition of its own (XBOOTLDR) decides, and is not known"
  return "its version decides between entries that count their tries, or `preferred` and `default`, and is not known"
}

# Which versions are installed: the number is in the loader itself. Into low and high.
function versions(  command, line) {
  low = high = 0
  command = "grep -a -h -o \"#### LoaderInfo: systemd-boot [0-9]*\" \"" ENVIRON["esp"] "\"/EFI/systemd/systemd-boot*.efi \"" \
    ENVIRON["esp"] "\"/EFI/BOOT/BOOT*.EFI"
  while ((command | getline line) > 0) {
    sub(/.* /, "", line)
    if (!low || line + 0 < low) low = line + 0
    if (line + 0 > high) high = line + 0
  }
  close(command)
}

BEGIN {
  esp_only = many = n = 0
  usual = wanted = ""
  loader_conf(ENVIRON["esp"] "/loader/loader.conf")
  patterns = usual " " wanted " " ENVIRON["once"] " " ENVIRON["preferred"] " " ENVIRON["chosen"] " " ENVIRON["last"]
  if (patterns ~ /[^ -~]/ || patterns ~ /[\[\\]/ || gsub(/[*]/, "*", patterns) > 4)
    unread("what chooses its entry is a pattern that cannot be followed")
  if (wanted ~ /^@/ || ENVIRON["preferred"] ~ /^@/) unread("what `preferred` says cannot be followed")
  if (ARGC > 1001) unread("it has more than 1000 entries")
  images()
  for (k = 1; k < ARGC; k++) if (tolower(ARGV[k]) ~ /[.](conf|efi)$/) entry(ARGV[k])
  mixed = 0
  for (k = 1; k <= n; k++) if (of_esp[k]) mixed = ENVIRON["more"] != ""
  from = 1
  to = 4
  path = agree(from, to, 0)
  if (many || path == "") {
    versions()
    if (high && low < 250) unread("its version " low " is older than what is followed")
    if (low >= 260) from = 3
    if (high && high < 258) to = 1
    else if (high && high < 260) to = 2
    path = agree(from, to, 0)
  }
  if (path == "") unread(why)
  lasting = by
  taken = named
  next_path = ENVIRON["once"] == "" ? path : agree(from, to, 1)
  if (next_path == path) say(path, lasting)
  if (next_path == "") say(path, lasting, "the next boot alone follows the EFI variable LoaderEntryOneShot: " why)
  say(path, lasting, "the next boot alone starts " next_path " (the EFI variable LoaderEntryOneShot)")
}
'
