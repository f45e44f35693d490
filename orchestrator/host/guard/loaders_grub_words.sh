# The words of GRUB's script: what a file says, and what its quotes and variables stand for.

# shellcheck disable=SC2016 # awk's own
grub_words='
# Into tokens 1 to n: a word as it is written, or ";" "{" "}" with mark[].
function read_script(file,  line, more, open, got) {
  n = 0
  while ((got = (getline line < file)) > 0) {
    while (line != "") {
      if (match(line, /^[ \t\r]+/)) line = substr(line, RLENGTH + 1)
      else if (line ~ /^#/) line = ""
      else if (line ~ /^;/ && (!n || mark[n] && tokens[n] != "}")) unread("a line of " file " has no command before its `;`")
      else if (line ~ /^[;{}]/) { token(substr(line, 1, 1), 1); line = substr(line, 2) }
      else if (line ~ /^[|&<>]/) unread("a line of " file " cannot be read: " safe(line))
      else if (match(line, word) && substr(line, RLENGTH + 1) !~ /^["\047\\]/) {
        token(substr(line, 1, RLENGTH), 0)
        line = substr(line, RLENGTH + 1)
      } else if ((getline more < file) > 0) {
        # A quotation goes on, or a line that ends with a backslash that is none itself.
        open = match(line, word) ? substr(line, RLENGTH + 1) : line
        if (open !~ /^\047/ && match(line, /\\+$/) && RLENGTH % 2) line = substr(line, 1, length(line) - 1) more
        else line = line "\n" more
        if (length(line) > 65536) unread("a quotation in " file " has no end")
      } else unread("a line of " file " cannot be read: " safe(line))
    }
    token(";", 1)
  }
  close(file)
  return got == 0
}
function token(text, special) { tokens[++n] = text; mark[n] = special }
function is_mark(i, text) { return mark[i] && tokens[i] == text }
# Several words, or none, where a variable that is not quoted has a space in it or is empty.
function is_one_word(raw,  text) {
  text = raw
  gsub(/[\\].|\047[^\047]*\047|"([^"\\]|[\\].)*"/, "", text)
  if (!index(text, "$")) return 1
  text = expand(raw)
  return !unknown && text != "" && text !~ /[ \t\n]/
}
# A word with its quotes and variables taken for what they stand for; `unknown` where that is not known.
function expand(raw,  out, c) {
  out = ""
  while (raw != "") {
    c = substr(raw, 1, 1)
    if (c == "\047") {
      match(raw, /^\047[^\047]*\047/)
      out = out substr(raw, 2, RLENGTH - 2)
      raw = substr(raw, RLENGTH + 1)
    } else if (c == "\"") {
      raw = substr(raw, 2)
      while (raw != "" && raw !~ /^"/) {
        if (raw ~ /^\\["$\\]/) { out = out substr(raw, 2, 1); raw = substr(raw, 3) }
        else if (raw ~ /^[$]/) { out = out variable(raw); raw = substr(raw, RLENGTH + 1) }
        else { out = out substr(raw, 1, 1); raw = substr(raw, 2) }
      }
      raw = substr(raw, 2)
    } else if (c == "\\") { out = out substr(raw, 2, 1); raw = substr(raw, 3) }
    else if (c == "$") { out = out variable(raw); raw = substr(raw, RLENGTH + 1) }
    else { out = out c; raw = substr(raw, 2) }
  }
  return out
}
# The value of the variable that a text begins with, whose length is RLENGTH then.
function variable(raw,  name) {
  if (!match(raw, /^[$]([A-Za-z_][A-Za-z0-9_]*|[{][A-Za-z_][A-Za-z0-9_]*[}])/)) {
    # A dollar that names nothing is one.
    if (!match(raw, /^[$]([0-9?#*@]|[{][^}"]*[}]?)/)) { RLENGTH = 1; return "$" }
    unknown = 1
    return ""
  }
  name = substr(raw, 2, RLENGTH - 1)
  gsub(/[{}]/, "", name)
  return get(name)
}
# What the firmware or a module may have set is not known; what nobody has set is empty.
function get(name) {
  if (name in value) return value[name]
  if (name in doubtful || name ~ /^(root|prefix|cmdpath|chosen|lang|pager|debug|theme|(grub|net|pxe|feature|color|gfx|shim|lock|check|locale|secondary|config|bli|fw)[a-z_]*)$/)
    unknown = 1
  return ""
}
function put(name, text, sure) {
  if (sure && !unknown) { value[name] = text; delete doubtful[name] }
  else { delete value[name]; doubtful[name] = 1 }
}
# What the grammar of GRUB refuses is left out of the menu with all that it stands in, which moves the rest:
# where its rules are broken anywhere, nothing is read. These are commands up to a word, or to "}" where none
# is given; at that in the end. $2 the pattern  $3 whether it is the file itself
function check(i, stop, whole,  some) {
  for (some = 0; ; some = 1) {
    while (i <= n && is_mark(i, ";")) i++
    if (i > n && whole) return i
    if (i > n) refused("which has no end")
    if (is_mark(i, "}") || !mark[i] && stop != "" && tokens[i] ~ stop) {
      if (whole || !some || is_mark(i, "}") != (stop == "")) refused(tokens[i])
      return i
    }
    i = check_one(i, whole)
    if (i <= n && !mark[i] || is_mark(i, "{")) refused(tokens[i])
  }
}
function refused(at) { unread("its script breaks off at " safe(at)) }
# One command; at what is behind it.
function check_one(i, whole,  kind) {
  if (mark[i]) refused(tokens[i])
  kind = tokens[i]
  if (kind ~ /^(then|elif|else|fi|do|done|in|case|esac|select|until|time|!|\[\[|\]\])$/) refused(kind)
  if (kind == "if") {
    do {
      i = check(check(i + 1, "^then$") + 1, "^(elif|else|fi)$")
      kind = tokens[i]
    } while (kind == "elif")
    return (kind == "else" ? check(i + 1, "^fi$") : i) + 1
  }
  if (kind == "while") return check(check(i + 1, "^do$") + 1, "^done$") + 1
  if (kind == "for") {
    if (mark[i + 1] || tokens[i + 1] !~ /^[A-Za-z_][A-Za-z0-9_]*$/) refused(kind)
    for (i++; i <= n && !mark[i]; i++);
    for (; i <= n && is_mark(i, ";"); i++);
    if (mark[i] || tokens[i] != "do") refused(kind)
    return check(i + 1, "^done$") + 1
  }
  if (kind == "function" && !whole) refused(kind)
  for (; i <= n && !mark[i]; i++);
  if (kind ~ /^(menuentry|submenu|function)$/ && is_mark(i, "{")) return check(i + 1, "") + 1
  return i
}
'
