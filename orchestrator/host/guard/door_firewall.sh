# The firewall: its rules as far as they can be read, put back where what decides about the host's own
# packets is not what it was. What containers and machines make of their own is theirs: packets that are
# forwarded, translated addresses, the elements of sets.

# Where a packet meets a rule that is not forwarded.
hooks='hook (ingress|prerouting|input|output|postrouting|egress) '

record_firewall() {
  if command -v nft > /dev/null; then record_tables; fi
  for tool in iptables ip6tables; do
    command -v $tool-save > /dev/null || continue
    timeout 10 $tool-save > "$door/$tool"
    # Cut short, or none: what is not known is not put back.
    [ $? = 0 ] && tail -n 1 "$door/$tool" | grep -vq '^# Completed' && rm -f "$door/$tool"
  done
}

record_tables() {
  mkdir -p "$door/nft"
  tables > "$door/tables"
  while read -r _ family table; do
    timeout 10 nft -s list table "$family" "$table" > "$door/nft/$family.$table"
    rules_of "$family" "$table" > "$door/nft/$family.$table.rules"
  done < "$door/tables"
}

# Without counters and elements of sets. $1 family  $2 table
rules_of() { timeout 10 nft -s -t list table "$1" "$2"; }

# Those that iptables made are iptables' own to write.
tables() {
  timeout 10 nft list tables | grep -E '^table [a-z0-9]+ [A-Za-z0-9_.-]+$' | head -n 100 |
    while read -r word family table; do
      rules_of "$family" "$table" 2>&1 | grep -Eq ' xt (match|target) |managed by iptables-nft' ||
        printf '%s %s %s\n' "$word" "$family" "$table"
    done
}

mend_firewall() {
  if [ -e "$door/tables" ]; then mend_tables 2> /dev/null; fi
  for tool in iptables ip6tables; do
    [ -e "$door/$tool" ] && command -v $tool-restore > /dev/null || continue
    timeout 10 $tool-save > "$door_secrets/$tool.now" || continue
    for table in filter raw mangle; do
      own_rules $table < "$door/$tool" > "$door_secrets/$tool.new"
      [ "$(own_rules $table < "$door_secrets/$tool.now")" != "$(cat "$door_secrets/$tool.new")" ] || continue
      mend "the rules of $tool in $table are as they were" \
        $tool-restore --noflush "$door_secrets/$tool.new"
    done
  done
}

# Of what iptables-save says, a table's chains that the host's own packets meet, and those that they lead
# to, as iptables-restore takes them beside all others. $1 the table
own_rules() {
  rules_now=$(sed -n "/^\*$1\$/,/^COMMIT/{s/^\(:.*\) \[[0-9:]*\]\$/\1/;/^[-:]/p;}")
  case $1 in
  filter) builtin='INPUT OUTPUT' ;;
  raw) builtin='PREROUTING OUTPUT' ;;
  *) builtin='PREROUTING INPUT OUTPUT POSTROUTING' ;;
  esac
  chains=$builtin
  follow_chains
  printf '*%s\n' "$1"
  for chain in $chains; do
    policy=$(printf '%s\n' "$rules_now" | sed -n "s/^:$chain //p")
    printf ':%s %s [0:0]\n' "$chain" "${policy:-ACCEPT}"
  done
  for chain in $builtin; do printf -- '-F %s\n' "$chain"; done
  for chain in $chains; do printf '%s\n' "$rules_now" | grep -e "^-A $chain "; done
  echo COMMIT
}

# Into $chains, all that those in it jump to.
follow_chains() {
  # Words: the names of chains.
  # shellcheck disable=SC2086
  set -- $chains
  while [ $# -gt 0 ]; do
    for target in $(printf '%s\n' "$rules_now" | sed -n "s/^-A $1 \(.* \)*-[jg] \([A-Za-z0-9_.-]*\).*/\2/p" | sort -u); do
      case " $chains " in *" $target "*) continue ;; esac
      printf '%s\n' "$rules_now" | grep -q -e "^:$target " || continue
      chains="$chains $target"
      set -- "$@" "$target"
    done
    shift
  done
}

# Whether a table's rules send elsewhere what comes to sshd's port, of every address or of its own.
redirects() {
  grep -E "dport (\{ ([0-9, -]*, )?)?$port[ ,](.* )?(redirect|dnat)" | while read -r rule; do
    case $rule in *" daddr $server "*) ;; *" daddr "*) continue ;; esac
    echo yes
  done | grep -q yes
}

# A table is replaced as a whole, in one step. A strange one is removed where it can drop what comes
# in or goes out.
mend_tables() {
  tables > "$door_secrets/tables.now"
  while read -r _ family table; do
    before=$door/nft/$family.$table
    grep -Eq "$hooks" "$before.rules" || continue
    [ "$(rules_of "$family" "$table")" != "$(cat "$before.rules")" ] || continue
    {
      printf 'table %s %s {}\ndelete table %s %s\n' "$family" "$table" "$family" "$table"
      cat "$before"
    } > "$door_secrets/nft.new"
    mend "the table $family $table of nft is as it was" nft -f "$door_secrets/nft.new"
  done < "$door/tables"
  while read -r entry; do
    read -r _ family table << END
$entry
END
    grep -Fxq -e "$entry" "$door/tables" && continue
    rules_of "$family" "$table" > "$door_secrets/table.now"
    grep -Eq "type (filter|route) $hooks" "$door_secrets/table.now" ||
      redirects < "$door_secrets/table.now" || continue
    mend "the table $family $table of nft, which was not there, is removed" \
      nft delete table "$family" "$table"
  done < "$door_secrets/tables.now"
}
