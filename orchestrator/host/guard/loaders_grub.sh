# GRUB: grub.cfg is a script, which GRUB runs before it shows its menu. What cannot change the menu or its
# default is passed over; all else is run here too, or the default cannot be read. Mirrored boots are several
# files, each with its own environment: they must agree. (GRUB's manual; grub-core/normal/menu.c.)

# shellcheck disable=SC2016 # awk's own
grub='
function unread(why) { print "boot_note=GRUB: " why; exit }

# grubenv: a signature, then lines; a backslash goes before what is meant as it is.
function load_env(  name) {
  for (name in stored) { value[name] = stored[name]; delete doubtful[name] }
  for (name in lost) { delete value[name]; doubtful[name] = 1 }
}
# The last line counts only where it ends: grub_envblk_iterate(). Without such an end nothing is written, either.
function read_env(file,  line, next_line, got, at, text, whole) {
  split("", stored)
  split("", lost)
  has_env = (getline line < file) > 0
  writable = has_env && line == "# GRUB Environment Block"
  whole = writable && ends_a_line(file)
  got = writable && (getline next_line < file) > 0
  while (got) {
    line = next_line
    got = (getline next_line < file) > 0
    if (line ~ /\\$/) unread(file " has a value of several lines")
    if (line ~ /^#/) continue
    at = index(line, "=")
    if (at < 2) unread(file " has a line without a value")
    if (!got && !whole) { writable = 0; break }
    text = substr(line, at + 1)
    gsub(/\\\\/, "\001", text)
    gsub(/\\/, "", text)
    gsub(/\001/, "\\", text)
    stored[substr(line, 1, at - 1)] = text
  }
  close(file)
}
function quoted(file) { gsub(/\047/, "\047\\\047\047", file); return "\047" file "\047" }
function first_of(command,  line) {
  line = ""
  command | getline line
  close(command)
  return line
}
function ends_a_line(file) { return first_of("tail -c 1 " quoted(file) " | od -An -tu1") + 0 == 10 }
# Whether GRUB writes to where a file is: 1, 0, or -1 where that is not known. It does on a plain disk and a
# filesystem that it changes in place; through RAID and LVM it only reads (its manual: Environment block).
function is_written(file,  on, kind, command, line) {
  on = quoted(file)
  kind = first_of("findmnt -rnvo FSTYPE -T " on)
  if (kind == "zfs") return 0
  command = "lsblk -rsno TYPE \"$(findmnt -rnvo SOURCE -T " on ")\""
  on = ""
  while ((command | getline line) > 0) on = on " " line
  close(command)
  if (on ~ / (lvm|raid[0-9]+|linear)( |$)/) return 0
  return kind ~ /^(ext[234]|vfat|xfs)$/ && on ~ /^( (part|disk|loop))+$/ ? 1 : -1
}

# Run tokens from one to another; where it is not sure that GRUB does, whatever counts is not known.
function run(from, to, sure,  i, end) {
  for (i = from; i <= to; i = end + 1) {
    end = i
    if (is_mark(i, ";")) continue
    if (mark[i]) unread("a bracket stands alone")
    if (tokens[i] == "if") end = run_if(i, to, sure)
    else if (tokens[i] ~ /^(for|while|until)$/) end = run_loop(i, to)
    else if (tokens[i] ~ /^(menuentry|submenu|function)$/) end = take_block(i, to, sure)
    else {
      end = to_mark(i, to)
      command(i, end - 1, sure)
    }
  }
}
function to_mark(i, to) { while (i <= to && !is_mark(i, ";")) i++; return i }
# The end of a block whose "{" is at a token.
function closing(i, to,  depth) {
  for (depth = 0; i <= to; i++) {
    if (is_mark(i, "{")) depth++
    if (is_mark(i, "}") && !--depth) return i
  }
  unread("a block has no end")
}
# The next of some words that stands where a command does, outside of what is nested. $3 a pattern
function next_word(i, to, words,  depth, first) {
  depth = 0
  first = 1
  for (; i <= to; i++) {
    if (mark[i]) { first = 1; continue }
    if (first && !depth && tokens[i] ~ words) return i
    if (first && tokens[i] ~ /^(if|for|while|until)$/) depth++
    if (first && tokens[i] ~ /^(fi|done)$/) depth--
    first = tokens[i] ~ /^(then|else|do|elif|if)$/ && first
  }
  unread("an `if` or a loop has no end")
}
function run_if(i, to, sure,  then, end, truth, open) {
  open = 1
  for (;;) {
    then = next_word(i + 1, to, "^then$")
    truth = open == 1 ? test(i + 1, then - 1) : -1
    run(i + 1, then - 1, sure && open == 1)
    end = next_word(then + 1, to, "^(elif|else|fi)$")
    # `open`: 1 where no branch before ran, -1 where that is not known, 0 where one did.
    if (open && truth) run(then + 1, end - 1, sure && open == 1 && truth == 1)
    if (open && truth) open = truth == 1 && open == 1 ? 0 : -1
    if (tokens[end] != "elif") break
    i = end
  }
  if (tokens[end] == "else") {
    then = end
    end = next_word(then + 1, to, "^fi$")
    if (open) run(then + 1, end - 1, sure && open == 1)
  }
  return end
}
function run_loop(i, to,  body, end) {
  body = next_word(i + 1, to, "^do$")
  end = next_word(body + 1, to, "^done$")
  if (tokens[i] != "for") run(i + 1, body - 1, 0)
  else put(tokens[i + 1], "", 0)
  run(body + 1, end - 1, 0)
  return end
}

# Whether a condition holds: 1, 0, or -1 where that is not known.
function test(from, to,  i, k, w, x, env) {
  while (from <= to && mark[to]) to--
  for (i = from; i <= to; i++) if (mark[i]) return -1
  if (tokens[from] != "[" || tokens[to] != "]" || to < from + 1) return -1
  unknown = 0
  k = to - from - 1
  w = tokens[from + 1]
  env = k == 2 && tokens[to - 1] ~ /^"?[$]([{]prefix[}]|prefix)\/grubenv"?$/
  if (env && w ~ /^-[sef]$/) return has_env
  for (i = from + 1; i < to; i++) if (!is_one_word(tokens[i])) return -1
  if (k == 1) x = expand(w) != ""
  else if (k == 2 && w == "-n") x = expand(tokens[to - 1]) != ""
  else if (k == 2 && w == "-z") x = expand(tokens[to - 1]) == ""
  else if (k == 3 && tokens[from + 2] ~ /^(=|==)$/) x = expand(w) "" == expand(tokens[to - 1]) ""
  else if (k == 3 && tokens[from + 2] == "!=") x = expand(w) "" != expand(tokens[to - 1]) ""
  else return -1
  return unknown ? -1 : x
}

function take_block(i, to, sure,  open, end) {
  for (open = i; open <= to && !mark[open]; open++);
  if (!is_mark(open, "{")) unread("a " tokens[i] " has no block")
  end = closing(open, to)
  if (tokens[i] == "function") {
    # GRUB takes its own command, where it has that.
    if (tokens[i + 1] ~ harmless || tokens[i + 1] ~ setting || tokens[i + 1] ~ /^(un)?set$|^(load|save)_env$/ || tokens[i + 1] !~ /^[A-Za-z_][A-Za-z0-9_]*$/)
      unread("which `" safe(tokens[i + 1]) "` its own function or a command is, is not known")
    body[tokens[i + 1]] = open + 1
    body_end[tokens[i + 1]] = end - 1
  }
  else if (!sure) unread("whether it has the entry " safe(tokens[i + 1]) " is not known")
  else take_entry(i, open, end)
  return end
}
# A menu entry: its title, and its id, which is the title where none is given.
function take_entry(i, open, end,  k, w, argument, take) {
  k = ++count[menu]
  title[menu, k] = ident[menu, k] = ""
  is_menu[menu, k] = tokens[i] == "submenu"
  from_[menu, k] = open + 1
  to_[menu, k] = end - 1
  take = argument = ""
  unknown = 0
  for (i++; i < open; i++) {
    w = expand(tokens[i])
    # An empty variable that is not quoted is no word.
    if (w == "" && !is_one_word(tokens[i])) continue
    if (!is_one_word(tokens[i])) unknown = 1
    if (take == "id") { ident[menu, k] = w; take = "" }
    else if (take != "") take = ""
    else if (w ~ /^--id=/) ident[menu, k] = substr(w, 6)
    else if (w == "--id") take = "id"
    else if (w ~ /^--(class|users|hotkey)$/) take = w
    else if (w ~ /^--/ && w !~ /^--(unrestricted$|(class|users|hotkey)=)/) unread("what " safe(w) " does is not known")
    else if (w !~ /^--/ && !argument++) title[menu, k] = w
  }
  if (unknown || take != "" || !argument) unread("the title of an entry is not known")
  if (ident[menu, k] == "") ident[menu, k] = title[menu, k]
}

# A command of the menu itself.
function command(from, to, sure,  i, name, at) {
  for (i = from; i <= to; i++) if (mark[i]) unread("a bracket stands alone")
  unknown = 0
  name = expand(tokens[from])
  if (unknown) unread("which command it runs is not known")
  if (name == "set" && from == to) return
  # It takes one word, and passes over the others.
  if (name == "set") to = ++from
  if (tokens[from] ~ /^[A-Za-z_][A-Za-z0-9_]*=/ && from == to) {
    at = index(tokens[from], "=")
    put(substr(tokens[from], 1, at - 1), expand(substr(tokens[from], at + 1)), sure)
  } else if (name == "load_env" && from == to && sure) load_env()
  else if (name == "unset" && sure) for (i = from + 1; i <= to; i++) put(tokens[i], "", 1)
  else if (name == "save_env") for (i = from + 1; i <= to; i++) save(tokens[i], sure)
  else if (name == "export" && sure) for (i = from + 1; i <= to; i++) exported[tokens[i]] = 1
  else if (name in body && depth < 9) {
    depth++
    run(body[name], body_end[name], sure)
    depth--
  } else if (name ~ setting)
    # What they set is not known.
    for (i = from + 1; i <= to; i++) {
      at = tokens[i]
      sub(/^(--set=|-s=?|--set)/, "", at)
      sub(/^[0-9]+:/, "", at)
      if (at ~ /^[A-Za-z_][A-Za-z0-9_]*$/) put(at, "", 0)
    }
  else if (name !~ harmless) unread("what its `" safe(name) "` does to the menu is not known")
}
function save(name, sure) {
  if (sure && name in value) saved[name] = value[name]
  else if (sure && !(name in doubtful)) saved[name] = ""
  else unsure[name] = 1
}

# get_entry_number(), and what grub_menu_execute_entry() makes of the rest. Fails as GRUB does: to the first.
function choose(spec,  k, head, tail, at, more, m) {
  if (!count[menu]) unread("its menu has no entry")
  head = spec
  gsub(/>>/, "\001", head)
  at = index(head, ">")
  more = at
  tail = at ? substr(head, at + 1) : ""
  if (at) head = substr(head, 1, at - 1)
  gsub(/\001/, ">", head)
  gsub(/\001/, ">>", tail)
  sub(/^[ \t\n]+/, "", spec)
  k = 1
  if (match(spec, /^[0-9]+/)) {
    if (RLENGTH > 9 || spec ~ /^0[0-9xX]/) unread("its default " safe(spec) " cannot be followed")
    if (substr(spec, 1, RLENGTH) + 1 <= count[menu]) k = substr(spec, 1, RLENGTH) + 1
  } else if ("default" in value)
    for (m = 1; m <= count[menu]; m++)
      if (title[menu, m] == head || ident[menu, m] == head) { k = m; break }
  if (!is_menu[menu, k]) return system_of(from_[menu, k], to_[menu, k], title[menu, k])
  at = menu
  menu = menu "." k
  leave_menu()
  delete doubtful["default"]
  if (more) value["default"] = tail
  run(from_[at, k], to_[at, k], 1)
  return chosen_of()
}
# A submenu knows the variables that were exported, and those of GRUB itself.
function leave_menu(  name, kept) {
  split("", kept)
  for (name in value) if (name in exported) kept[name] = value[name]; else doubtful[name] = 1
  split("", value)
  for (name in kept) value[name] = kept[name]
}
function chosen_of(  spec) {
  unknown = 0
  spec = get("default")
  if (unknown) unread("its default depends on what is known at boot only")
  return choose(spec)
}
# The one system whose kernel an entry starts.
function system_of(from, to, name,  i, end, k, line, path, one) {
  path = ""
  for (i = from; i <= to; i = end + 1) {
    end = to_mark(i, to)
    for (k = i; k < end && (mark[k] || tokens[k] ~ /^(then|else|do)$/); k++);
    if (tokens[k] ~ /^(configfile|source|[.]|chainloader|legacy_.*|ntldr|normal|menuentry|submenu)$/ && !mark[k])
      unread("its default " safe(name) " starts no kernel of NixOS")
    if (tokens[k] !~ /^(linux(16|efi)?|module2?)$/) continue
    for (line = ""; k < end; k++) if (!mark[k]) line = line " " argument_of(tokens[k])
    if (line !~ / init=/) continue
    if ((one = init_of(line)) == "" || path != "" && path != one) unread("its default " safe(name) " names no one system of NixOS")
    path = one
  }
  if (path == "") unread("its default " safe(name) " starts no kernel of NixOS")
  return path
}

# A variable of which nothing is known is no part of a system name.
function argument_of(raw,  text) { unknown = 0; text = expand(raw); return unknown && text ~ /^init=/ ? "init=?" : text }

# What a file boots with the environment as it is stored.
function boots() {
  split("", value); split("", doubtful); split("", saved); split("", unsure)
  split("", body); split("", body_end); split("", count); split("", exported)
  menu = "m"
  depth = 0
  run(1, n, 1)
  return chosen_of()
}
# Then, and from then on: what a boot saves is what the next one finds.
function both(file,  name, env, now) {
  if (!read_script(file)) { if (file ~ /[*]/) return 0; unread(file " cannot be read") }
  check(1, "", 1)
  env = file
  sub(/[^\/]*$/, "grubenv", env)
  read_env(env)
  once = later = boots()
  if (!saves()) return 1
  for (name in saved) { stored[name] = saved[name]; delete lost[name] }
  for (name in unsure) { delete stored[name]; lost[name] = 1 }
  now = boots()
  if (now == once) return 1
  env = writable ? is_written(env) : 0
  if (env < 0) unread("the next boot starts " once " by grubenv; whether GRUB can clear that, so that it is the next one alone, is not known")
  if (env) later = now
  else by = "grubenv, which GRUB cannot write where it is (grub-editenv - unset next_entry lifts it)"
  return 1
}
function saves(  name) {
  for (name in saved) return 1
  for (name in unsure) return 1
  return 0
}
BEGIN {
  word = "^([^{}|&$;<> \t\r\n\"\047\\\\]|[\\\\].|\"([^\"\\\\]|[\\\\].)*\"|\047[^\047]*\047|[$][A-Za-z_][A-Za-z0-9_]*|[$][{][A-Za-z0-9_?#*@]+[}]|[$][0-9?#*@])+"
  harmless = "^(\\[|test|true|false|echo|insmod|rmmod|export|loadfont|terminal|terminal_(in|out)put|serial|background_(image|color)|play|sleep|clear|password|password_pbkdf2|keymap|videoinfo|videotest|nativedisk|hwmatch|cat|ls|help|lsmod|vbeinfo|usb|outb|inb|beep|rdmsr|wrmsr|keystatus)$"
  setting = "^(search[.a-z_]*|probe|regexp|smbios|read|getdate|cpuid|cryptomount|loopback)$"
  path = ""
  for (f = 1; f < ARGC; f++) {
    # A pattern that no file matched.
    if (!both(ARGV[f]) && ARGV[f] ~ /[*]/) continue
    if (path != "" && (later != path || once != first)) unread(was " and " ARGV[f] " boot different systems")
    path = later
    first = once
    was = ARGV[f]
  }
  if (path == "") unread("it cannot be read")
  print "boot_source=grub\nboot_default=" path
  if (by != "") print "boot_by=" by
  if (first != path) print "boot_note=the next boot alone starts " first " (saved in grubenv)"
}
'
