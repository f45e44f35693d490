# Which snippets of an activation script fail, and which failed before: those are no new failure. A name
# with its code is `'name' failed (1)`; a list of them has `|` before, between and behind.

# Into $heard what tells best of a failed script, a new failure before an old one; into $snippets all that
# failed, or nothing where that is not known for sure. From standard input.
take_heard() {
  before='' count=0 odd=''
  while IFS= read -r line; do
    count=$((count + 1))
    case $line in
    end) whole=1 ;;
    "Activation script snippet '"*"' failed ("*")")
      name=${line#Activation script snippet }
      snippets=${snippets:-|}$name'|'
      if failed_before "|$name|"; then before=$line; else heard=$line; fi
      name=${name##*(}
      case ${name%)} in '' | *[!0-9]*) odd=1 ;; esac
      ;;
    *"Activation script snippet "*) odd=1 heard=$line ;;
    *) before=${before:-$line} ;;
    esac
  done
  heard=${heard:-$before}
  [ -n "$whole" ] && [ -z "$odd" ] && [ $count -lt 99 ] || snippets=
}

# What was said last before each snippet failed, since the name and the code do not tell one reason from
# another: `'name' failed (1): words|`. What NixOS itself says is none of theirs. From standard input, a log.
words_of() {
  LC_ALL=C sed -n -e 's/[^ -~]/?/g;s/|/?/g' -e 's/^stopping the following units: .*//' \
    -e 's/^activating the configuration\.\.\.$//;s/^setting up \/etc\.\.\.$//' \
    -e "/^Activation script snippet '.*' failed ([0-9]*)\$/{x;s/^\(.\{100\}\).*/\1/;G" \
    -e 's/^\(.*\)\nActivation script snippet \(.*\)$/\2: \1|/p;s/.*//;x;d' -e '}' -e h |
    head -n 20 | tr -d '\n'
}

# What failed of the activation script that was run last; nothing where that is not known.
failed_now() {
  case $script:$code in
  0:* | :0) ;;
  *) printf %s "$snippets" ;;
  esac
}

# Whether all of these failed in the last activation of what ran before too. $1 a list
failed_before() {
  rest=${1#|}
  [ -n "$rest" ] || return
  while [ -n "$rest" ]; do
    case $known in *"|${rest%%|*}|"*) ;; *) return 1 ;; esac
    rest=${rest#*|}
  done
}

# Into $known: what failed when the running system was activated last, `|` for nothing. The last attempt knows, where it was
# the last to activate anything; else the boot does, where nothing was switched since. Of a switch by hand
# the journal has the exit code and no names: then the script is run once more, beside nobody.
look_back() {
  [ -z "$known" ] || return
  said=$(timeout 20 journalctl --boot --quiet --no-pager --output=cat --lines=1 \
    _UID=0 SYSLOG_IDENTIFIER=nixos) || return
  case $said in
  "switching to system configuration $running failed (status "[24]")") rehearse ;;
  '') [ "$(readlink -f /run/booted-system)" != "$running" ] || known=$(failed_at_boot) ;;
  esac
  failing=$known
} 2> /dev/null

# Stage 2 tells the kernel's log, or a file of its own where it may not; a systemd in the initrd its journal.
failed_at_boot() {
  boots=/run/log/stage-2-init.log
  {
    # A later activation made the link again.
    [ "$(stat -c %Z /run/current-system)" -gt $(($(stat -c %Y "$boots") + 60)) ] || cat "$boots"
    timeout 20 journalctl --boot --quiet --no-pager --output=cat --grep='Activation script snippet' \
      _TRANSPORT=kernel + _SYSTEMD_UNIT=initrd-nixos-activation.service
  } | sed -n "s/.*Activation script snippet \('[A-Za-z0-9 _.@-]*' failed ([0-9]*)\)$/\1/p" | sort -u |
    head -n 99 | tr '\n' '|' | sed 's/^./|&/'
}

rehearse() {
  say 5 "$running failed in part when it was activated last: its activation script is run, to learn what"
  asking_how_it_ends flock -n "${locks%% *}" env NIXOS_ACTION=test "$running/activate" "$running"
  [ "$made" = "$(made)" ] || known=$(failed_now) words_before=$heard_words words=$heard_words
}
