# The network: the link that the deployer's connection came over, its addresses, the route to the peer.

record_network() {
  link=$(link_of "$server")
  [ -n "$link" ] || return 0
  printf '%s=%s\n' link "$link" mac "$(cat "/sys/class/net/$link/address")" \
    way "$(way_to_peer)" members "$(members)" links "$(links)" arp "$(arp)" \
    local "$(route_within)"
  find_hop "$(way_to_peer)"
  printf '%s=%s\n' neighbour "$(neighbour)"
  if is_arriving; then printf 'arrives=1\n'; fi
  ip -o link show | sed -n 's/^[0-9]*: \([^:@]*\)[:@].*[<,]POINTOPOINT[,>].*/point_to_point=\1/p'
  ip -o addr show dev "$link" | grep -v ' temporary ' | sed 's/^[0-9]*: *[^ ]* */address=/'
  for family in 4 6; do
    routes "$family" table all | sed "s/^/route$family=/" | head -n 1000
    rules "$family" | sed "s/^/rule$family=/" | head -n 100
  done
  timeout 10 systemctl list-units --state=active --plain --no-legend --full \
    systemd-networkd.service NetworkManager.service dhcpcd.service network-setup.service \
    "$link-netdev.service" "network-addresses-$link.service" "wireguard-$link.service" \
    "wg-quick-$link.service" | sed 's/ .*//; s/^/network=/'
}

# What the kernel itself keeps for its addresses is left out. $1 family  $2… which
routes() {
  family=$1
  shift
  ip -o "-$family" route show "$@" | grep -v -e ' table local' -e '^multicast' | sed 's/ *$//'
}

rules() { ip -o "-$1" rule show | sed 's/ *$//'; }

# $1 address
link_of() {
  ip -o addr show | while read -r _ name _ address _; do
    [ "${address%%/*}" != "$1" ] || printf '%s\n' "${name%%@*}"
  done | head -n 1
}

# The link's own ports, where it is a bridge or a bond.
members() {
  for master in /sys/class/net/*/master; do
    [ "$(readlink -f "$master")" = "$(readlink -f "/sys/class/net/$link")" ] || continue
    master=${master%/master}
    printf '%s ' "${master##*/}"
  done
}

links() { for file in /sys/class/net/*; do printf '%s ' "${file##*/}"; done; }

family_of_peer() { case $peer in *:*) echo 6 ;; *) echo 4 ;; esac; }

# The gateway and the link by which sshd's packets reach the peer; nothing where they do not.
way_to_peer() {
  way=$(route_to_peer) || return
  case $way in
  unreachable* | blackhole* | prohibit* | throw*) ;;
  *)
    printf '%s\n' "$way" | tr '\\' ' ' | sed -n \
      '/ dev /{s/\( dev [^ ]*\).*/\1/;s/.* via /via /;/^via /!s/.* dev /dev /;p;}' | head -n 1
    ;;
  esac
}

# As the tables have it, and not what a neighbour told since. 6: TCP, where no file names that.
route_to_peer() {
  set -- "$peer" from "$server" ipproto 6 sport "$port"
  case $peer in [Ff][Ee]80:*) set -- "$@" oif "$link" ;; esac
  ip -o "-$(family_of_peer)" route get fibmatch "$@" 2> /dev/null
}

# Routes of a router's, a lease's or a routing daemon's word change by themselves. $1 the route
is_told() {
  case $1 in
  *' proto static'* | *' proto kernel'* | *' proto boot'*) return 1 ;;
  *' proto '*) ;;
  *) return 1 ;;
  esac
}

is_way_as_before() {
  now_way=$(way_to_peer)
  [ "$now_way" = "$(fact way)" ] && return
  [ -n "$now_way" ] && is_told "$(route_to_peer)"
}

# Whether the link asks for its neighbours' addresses, and what it is a port of.
arp() {
  case $(ip -o link show dev "$link") in *[\<,]NOARP[,\>]*) printf 'off ' ;; *) printf 'on ' ;; esac
  readlink "/sys/class/net/$link/master" | sed 's|.*/||'
}

# The route by which the host takes the address for its own.
route_within() { ip -o "-$(family_of_peer)" route show table local exact "$server" | sed 's/ *$//'; }

# Whether what the peer sends reaches sshd, by the host's own routes.
is_arriving() {
  case $(ip -o "-$(family_of_peer)" route get "$server" from "$peer" iif "$link" \
    ipproto 6 dport "$port" 2> /dev/null) in local\ *) ;; *) return 1 ;; esac
}

# Whom the packets to the peer go to. $1 the way
find_hop() {
  dev_of_way=${1##*dev }
  case $1 in via\ *) hop=${1% dev *} hop=${hop##* } ;; *) hop=$peer ;; esac
}

# Its entry that was written by hand.
neighbour() {
  ip -o neigh show to "$hop" dev "${dev_of_way:-lo}" nud permanent 2> /dev/null | sed 's/ *$//'
}

is_up() { case $(ip -o link show dev "$1" 2> /dev/null) in *[\<,]UP[,\>]*) ;; *) return 1 ;; esac; }

# PPP, a tunnel, a VPN: such a link goes with whoever comes over it. $1 link
is_point_to_point() { fact point_to_point | grep -Fxq -e "$1"; }

went_with_peer() { is_point_to_point "$1" && ! [ -e "/sys/class/net/$1" ]; }

has_link() {
  [ -n "$link" ] && ! went_with_peer "$link" || return 0
  some=''
  for name in $(fact members); do is_up "$name" && some=1; done
  for name in $link $(fact members); do
    is_up "$name" && continue
    # A container's or a VM's port goes with it: another one that was there carries the way in.
    [ "$name" = "$link" ] || [ -e "/sys/class/net/$name" ] || [ -z "$some" ] || continue
    shut="the link $name is down" comes_by_itself=1
    [ -e "/sys/class/net/$name" ] || shut="the link $name is gone"
    return 1
  done
}

# A lease may be another one by now: what else came by a lease there will do.
has_address() {
  [ -n "$link" ] && [ -z "$(link_of "$server")" ] && ! went_with_peer "$link" || return 0
  if fact address | grep -F " $server/" | grep -q ' dynamic '; then
    ip -o addr show dev "$link" scope global | grep -q "inet6* .* dynamic " && return
  fi
  shut="the address $server is gone" comes_by_itself=1
  ip_tells && ! is_point_to_point "$link" && evidence=1
  return 1
}

has_route() {
  [ -n "$(fact way)" ] || return 0
  # Where the address is another one by now, so is the way from it.
  [ -n "$(link_of "$server")" ] || return 0
  is_way_as_before && return
  find_hop "$(fact way)"
  went_with_peer "$dev_of_way" && return
  shut="packets to $peer leave another way, $now_way" comes_by_itself=1
  [ -z "$now_way" ] || return
  shut="there is no route to $peer"
  ip_tells && ! is_point_to_point "$dev_of_way" && evidence=1
  return 1
}

# Where the tool itself does not work, nothing is known.
ip_tells() { [ -n "$(ip -o link show dev lo)" ]; } 2> /dev/null

# Where the address is another link's by now, as a bridge's, this one is nobody's door.
has_arp() {
  [ -n "$(fact arp)" ] && [ "$(link_of "$server")" = "$link" ] || return 0
  [ "$(arp)" = "$(fact arp)" ] && return
  shut="the link $link asks for no neighbour, or is a port of another one"
  return 1
}

mend_arp() {
  has_arp && return
  arp_before=$(fact arp)
  case $(arp) in
  "${arp_before%% *} "*) ;;
  *)
    mend "$link asks for its neighbours as before" ip link set dev "$link" arp "${arp_before%% *}"
    has_arp && return
    ;;
  esac
  case $arp_before in
  *' ') mend "$link is no port any more" ip link set dev "$link" nomaster ;;
  *) mend "$link is a port of ${arp_before#* }" ip link set dev "$link" master "${arp_before#* }" ;;
  esac
}

has_neighbour() {
  find_hop "$(fact way)"
  [ -n "$dev_of_way" ] && [ "$(neighbour)" != "$(fact neighbour)" ] || return 0
  shut="the link's address of a neighbour, $hop, is another one"
  return 1
}

mend_neighbour() {
  has_neighbour && return
  if [ -n "$(fact neighbour)" ]; then
    hardware=$(fact neighbour | sed -n 's/.*lladdr \([^ ]*\).*/\1/p')
    mend "the neighbour $hop is as it was" \
      ip neigh replace "$hop" lladdr "$hardware" nud permanent dev "$dev_of_way"
  else
    mend "the neighbour $hop, which was written by hand, is asked for" \
      ip neigh del "$hop" dev "$dev_of_way"
  fi
}

arrives() {
  [ -n "$(fact arrives)" ] && [ -n "$(link_of "$server")" ] || return 0
  is_arriving && return
  shut="packets from $peer do not reach $server"
  return 1
}

mend_arrival() {
  arrives && return
  if [ -n "$(fact local)" ] && [ -z "$(route_within)" ]; then
    # Words, of the kernel's own.
    # shellcheck disable=SC2046
    mend "the route to $server within the host is back" \
      ip "-$(family_of_peer)" route replace $(route_words "$(fact local)") table local
  fi
  arrives && return
  drop_strange_rules
  add_lost_rules
}

mend_link() {
  [ -n "$link" ] || return 0
  [ -e "/sys/class/net/$link" ] || rename_back
  if ! [ -e "/sys/class/net/$link" ]; then mend_network_units start; fi
  for name in $(fact members); do
    [ -e "/sys/class/net/$name" ] || continue
    [ "$(readlink -f "/sys/class/net/$name/master")" = "$(readlink -f "/sys/class/net/$link")" ] ||
      mend "$name is a port of $link" ip link set dev "$name" master "$link"
  done
  for name in $link $(fact members); do
    [ -e "/sys/class/net/$name" ] || continue
    is_up "$name" || mend "$name is set up" ip link set dev "$name" up
  done
}

# By its hardware's address, where one link alone has that and its name was no other's: what is on top of
# a link (a VLAN, a bridge) has the same.
rename_back() {
  found_link=
  # A tunnel has none, and every other tunnel has the same.
  case $(fact mac) in '' | 00:00:00:00:00:00) return 0 ;; esac
  for file in /sys/class/net/*/address; do
    read -r found_mac < "$file"
    [ "$found_mac" = "$(fact mac)" ] || continue
    [ -z "$found_link" ] || return 0
    file=${file%/address}
    found_link=${file##*/}
    case " $(fact links)" in *" $found_link "*) return 0 ;; esac
  done
  [ -n "$found_link" ] || return 0
  mend "$found_link is set down" ip link set dev "$found_link" down
  mend "$found_link is $link again" ip link set dev "$found_link" name "$link"
  mend "$link is set up" ip link set dev "$link" up
} 2> /dev/null

mend_network_units() {
  for unit_of_network in $(fact network); do
    [ "$1" != start ] || [ "$(timeout 10 systemctl is-active "$unit_of_network")" != active ] || continue
    mend "$unit_of_network: $1" systemctl "$1" "$unit_of_network"
  done
}

mend_address() {
  has_address && return
  while read -r inet address rest; do
    # Another one may be a neighbour's by now: one that floats between two hosts.
    [ "${address%%/*}" = "$server" ] && [ -z "$(link_of "$server")" ] || continue
    # Words, of the kernel's own.
    # shellcheck disable=SC2046
    mend "$link has the address $address" \
      ip addr replace "$address" dev "$link" $(address_words "$inet" "$rest")
  done << END
$(fact address)
END
  mend_network_units start
}

# What `ip addr add` takes of what `ip addr show` said. $1 inet or inet6  $2 all behind the address
address_words() {
  printf '%s\n' "$2" | tr -d '\\' | tr ' ' '\n' | {
    while read -r word; do
      case $word in
      peer | brd | scope) read -r value && printf '%s %s ' "$word" "$value" ;;
      valid_lft | preferred_lft) read -r value && printf '%s %s ' "$word" "${value%sec}" ;;
      noprefixroute) printf '%s ' "$word" ;;
      esac
    done
    [ "$1" = inet ] || printf nodad
  }
}

mend_routes() {
  [ -n "$(fact way)" ] || return 0
  # From another address the way is another one.
  if [ -n "$(link_of "$server")" ] && ! is_way_as_before; then
    drop_strange_routes
    drop_strange_rules
    add_lost_rules
    add_lost_routes
  elif lacks_default; then
    add_lost_routes
  fi
}

# Others may come by a default route, even where the deployer does not.
lacks_default() {
  for family in 4 6; do
    fact "route$family" | grep -q '^default ' || continue
    [ -n "$(ip "-$family" route show default)" ] || return 0
  done
  return 1
}

# Routes for the peer that were not there before.
drop_strange_routes() {
  family=$(family_of_peer)
  while read -r route; do
    [ -z "$route" ] || is_told "$route" ||
      fact "route$family" | grep -Fxq -e "$route" && continue
    # Words, of the kernel's own.
    # shellcheck disable=SC2046
    mend "the route $route is removed" ip "-$family" route del $(route_words "$route")
  done << END
$(routes "$family" table main match "$peer")
END
}

# Rules that were not there before: what they match may be the peer.
drop_strange_rules() {
  family=$(family_of_peer)
  while read -r rule; do
    [ -z "$rule" ] || fact "rule$family" | grep -Fxq -e "$rule" && continue
    mend "the rule $rule is removed" ip "-$family" rule del pref "${rule%%:*}"
  done << END
$(rules "$family")
END
}

add_lost_rules() {
  family=$(family_of_peer)
  while read -r rule; do
    [ -z "$rule" ] || rules "$family" | grep -Fxq -e "$rule" && continue
    # Words, of the kernel's own.
    # shellcheck disable=SC2086
    mend "the rule $rule is back" ip "-$family" rule add pref "${rule%%:*}" ${rule#*:}
  done << END
$(fact "rule$family")
END
}

# Those to a neighbour come first: the others go by them.
add_lost_routes() {
  for family in 4 6; do
    for via in no yes; do
      while read -r route; do
        case $route in
        '') continue ;;
        *' via '*) [ $via = yes ] || continue ;;
        *) [ $via = no ] || continue ;;
        esac
        routes "$family" table all | grep -Fxq -e "$route" && continue
        # Words, of the kernel's own.
        # shellcheck disable=SC2046
        mend "the route $route is back" ip "-$family" route replace $(route_words "$route")
      done << END
$(fact "route$family")
END
    done
  done
}

# What `ip route add` takes of what `ip route show` said. $1 the line
route_words() {
  printf '%s\n' "$1" | tr -d '\\' | tr ' ' '\n' | while read -r word; do
    case $word in
    linkdown | dead | cache | offload | trap | rt_offload | rt_trap | pervasive) ;;
    error | nhid) read -r _ ;;
    expires) read -r value && printf '%s %s ' "$word" "${value%sec}" ;;
    *) printf '%s ' "$word" ;;
    esac
  done
}
