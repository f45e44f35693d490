# The firewall: its rules as far as they can be read, put back where they are not what they were.

record_firewall() {
  if command -v nft > /dev/null; then record_tables; fi
  for tool in iptables ip6tables; do
    command -v $tool-save > /dev/null || continue
    timeout 10 $tool-save > "$door/$tool" && without_counters < "$door/$tool" > "$door/$tool.rules"
  done
}

record_tables() {
  mkdir -p "$door/nft"
  tables > "$door/tables"
  while read -r _ family table; do
    timeout 10 nft -s list table "$family" "$table" > "$door/nft/$family.$table"
  done < "$door/tables"
}

# Those that iptables made are iptables' own to write.
tables() {
  timeout 10 nft list tables | grep -E '^table [a-z0-9]+ [A-Za-z0-9_.-]+$' | head -n 100 |
    while read -r word family table; do
      timeout 10 nft -s list table "$family" "$table" 2> /dev/null | grep -Eq ' xt (match|target) ' ||
        printf '%s %s %s\n' "$word" "$family" "$table"
    done
}

without_counters() { sed '/^#/d; s/\[[0-9]*:[0-9]*\]//g'; }

mend_firewall() {
  if [ -e "$door/tables" ]; then mend_tables 2> /dev/null; fi
  for tool in iptables ip6tables; do
    [ -e "$door/$tool.rules" ] && command -v $tool-restore > /dev/null || continue
    timeout 10 $tool-save > "$door_secrets/$tool.now"
    [ "$(without_counters < "$door_secrets/$tool.now")" != "$(cat "$door/$tool.rules")" ] || continue
    # A table that was not there before: emptied. Then those that were, as they were.
    { blank < "$door_secrets/$tool.now" && cat "$door/$tool"; } > "$door_secrets/$tool.new"
    mend "the rules of $tool are as they were" $tool-restore "$door_secrets/$tool.new"
  done
}

blank() { sed -n '/^\*/p; s/^\(:[A-Z]*\) [A-Z]* .*/\1 ACCEPT [0:0]/p; /^COMMIT/p'; }

# A table is replaced as a whole, in one step. A strange one is removed where it can drop what comes
# in or goes out.
mend_tables() {
  tables > "$door_secrets/tables.now"
  while read -r _ family table; do
    before=$door/nft/$family.$table
    [ "$(timeout 10 nft -s list table "$family" "$table")" != "$(cat "$before")" ] || continue
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
    timeout 10 nft -s list table "$family" "$table" | grep -q 'type filter hook' || continue
    mend "the table $family $table of nft, which was not there, is removed" \
      nft delete table "$family" "$table"
  done < "$door_secrets/tables.now"
}
