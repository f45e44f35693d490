"""Changes that shut the way in, each by an activation script; no old system has the antidote."""

from __future__ import annotations

from tests.lab.faults.change import Change

# The deployer is reached by the default route and by no other.
_BY_DEFAULT_ROUTE = """
ip route add default via 10.77.0.1 dev eth0 onlink
ip route del 10.77.0.0/16 dev eth0
"""
_BY_ITS_OWN_ROUTE = """
ip route replace 10.77.0.0/16 dev eth0 src 10.77.0.2
ip route del default || true
"""
_DROPS = """
nft add table inet fault
nft 'add chain inet fault in { type filter hook input priority 0; }'
nft add rule inet fault in tcp dport 22 drop
"""
_OWN_RULES = """
nft add table inet own
nft 'add chain inet own in { type filter hook input priority 0; }'
nft add rule inet own in tcp dport 22 counter accept
"""
_OWN_RULES_DROP = "nft flush chain inet own in; nft add rule inet own in tcp dport 22 drop"
_OTHER_KEY = """
cd /etc/ssh
rm -f ssh_host_ed25519_key*
ssh-keygen -q -t ed25519 -N "" -f ssh_host_ed25519_key
systemctl restart ssh.service
"""
_KEY_IN_PLACE = """
ssh-keygen -q -t ed25519 -N "" -f /run/key
cat /run/key > /etc/ssh/ssh_host_ed25519_key
rm -f /run/key*
systemctl restart ssh.service
"""
# What was set for the old name is not set for the new one.
_RENAMED = """
ip link set eth0 down
ip link set eth0 name lan0
ip addr flush dev lan0
ip link set lan0 up
"""
_SHELL_GONE = "sed -i '/^deploy:/s|:[^:]*$|:/nowhere|' /etc/passwd"
_DENIED = """
echo DenyUsers deploy > /etc/ssh/sshd_config.d/00-denied.conf
systemctl restart ssh.service
"""
_NO_DROP_IN = """
folder=/run/systemd/system/ssh.service.d
mkdir -p $folder
printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' > $folder/zz.conf
systemctl daemon-reload
systemctl restart ssh.service || true
"""
_DENIES_FOR_NOW = """
mkdir -p /run/systemd/system/ssh.service.d
printf '[Service]\\nExecStart=\\nExecStart=/usr/sbin/sshd -D -o DenyUsers=deploy\\n' \\
  > /run/systemd/system/ssh.service.d/zz.conf
systemctl daemon-reload
systemctl restart ssh.service
"""
_DROPS_ANSWERS = """
nft add table ip fault
nft 'add chain ip fault out { type route hook output priority 0; }'
nft add rule ip fault out tcp sport 22 drop
"""
_NO_GROUP = "sed -i '/^admins:/d' /etc/group /etc/gshadow"
_BY_GROUP = """
groupadd admins
usermod -aG admins deploy
mkdir /root/rules
mv /etc/sudoers.d/* /root/rules
echo '%admins ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/admins
"""
_BY_RULES = """
rm /etc/sudoers.d/admins
mv /root/rules/* /etc/sudoers.d
rmdir /root/rules
groupdel admins
"""


# What the guard records nothing of, and so cannot repair; the suite takes it away as its own. By
# classic BPF, as in the lab's cable: a packet whose TCP flags are SYN and ACK is dropped.
_QUEUE_DROPS = """
tc qdisc add dev eth0 clsact
tc filter add dev eth0 egress bpf direct-action \\
  bytecode "4,48 0 0 47,21 0 1 18,6 0 0 2,6 0 0 4294967295"
"""


def _shuts(
    name: str, words: str, script: str, *, phase: str = "prove", before: str = "", after: str = ""
) -> Change:
    """A change whose activation runs a script."""
    # On NixOS an activation has little on its PATH.
    path = "export PATH=$PATH:/run/current-system/sw/bin"
    body = f"system.activationScripts.shuts.text = ''\n{path}\n{script}\n'';"
    return Change(f"activation-{name}", words, phase, body, before=before, after=after)


SHUT_DOORS = (
    _shuts("cuts-network", "the new system takes the network down", "ip link set eth0 down"),
    # A unit and no script: what a script stops, the switch starts again with its target.
    Change(
        "activation-stops-sshd",
        "the new system stops sshd",
        "prove",
        """
        systemd.services.shuts = {
          wantedBy = [ "multi-user.target" ];
          after = [ "ssh.service" ];
          serviceConfig.Type = "oneshot";
          script = "systemctl stop ssh.service";
        };
        """,
    ),
    _shuts("changes-host-key", "the new system has another host key", _OTHER_KEY),
    Change(
        "activation-breaks-sudo",
        "the new system lets the deployer's user do nothing",
        "prove",
        """
        environment.etc."sudoers.d/zz-broken" = {
          text = "deploy ALL=(ALL) !ALL\\n";
          mode = "0440";
        };
        # NixOS's sudoers reads no folder.
        security.sudo.extraRules = lib.mkAfter [ { users = [ "deploy" ]; commands = [ "!ALL" ]; } ];
        """,
    ),
    _shuts("flushes-addresses", "the new system has no address", "ip addr flush dev eth0"),
    _shuts(
        "removes-default-route",
        "the new system has no default route, by which it was reached",
        "ip route del default",
        before=_BY_DEFAULT_ROUTE,
        after=_BY_ITS_OWN_ROUTE,
    ),
    _shuts("blackholes-deployer", "a route leads nowhere", "ip route add blackhole 10.77.0.1"),
    _shuts("drops-ssh", "the new system's firewall drops what comes to port 22", _DROPS),
    _shuts(
        "changes-firewall",
        "rules that let the deployer in drop it",
        _OWN_RULES_DROP,
        before=_OWN_RULES,
        after="nft delete table inet own",
    ),
    _shuts(
        "masks-sshd",
        "the new system stops and masks sshd",
        "systemctl stop ssh.service; systemctl mask ssh.service",
    ),
    _shuts(
        "masks-sshd-for-now",
        "the same, until the next boot",
        "systemctl stop ssh.service; systemctl mask --runtime ssh.service",
    ),
    _shuts("overrides-sshd", "sshd's unit is overridden, and fails", _NO_DROP_IN),
    _shuts("empties-keys", "the user's keys are gone", ": > /var/lib/deploy/.ssh/authorized_keys"),
    _shuts("removes-keys", "the user's folder of keys is gone", "rm -rf /var/lib/deploy/.ssh"),
    _shuts("opens-home", "others may write to the user's home", "chmod 0777 /var/lib/deploy"),
    _shuts("removes-shell", "the user's shell is none", _SHELL_GONE),
    _shuts("removes-user", "the user is gone", "sed -i /^deploy:/d /etc/passwd /etc/shadow"),
    _shuts("locks-user", "the user is locked", "usermod -L deploy"),
    _shuts("expires-user", "the user has expired", "usermod -e 1 deploy"),
    _shuts("removes-sudo", "sudo is gone", "rm /usr/bin/sudo"),
    _shuts("disarms-sudo", "sudo is not setuid any more", "chmod u-s /usr/bin/sudo"),
    _shuts("removes-sudoers", "sudo has no rules", "rm -f /etc/sudoers /etc/sudoers.d/*"),
    _shuts("denies-user", "sshd denies the user", _DENIED),
    _shuts(
        "breaks-sshd",
        "sshd's configuration is broken",
        "echo Nonsense >> /etc/ssh/sshd_config; systemctl restart ssh.service || true",
    ),
    _shuts(
        "removes-host-keys",
        "the host keys are gone",
        "rm -f /etc/ssh/ssh_host_*; systemctl restart ssh.service || true",
    ),
    _shuts("overwrites-host-key", "the host key is overwritten in place", _KEY_IN_PLACE),
    _shuts("renames-interface", "the network's interface has another name", _RENAMED),
    Change(
        "activation-removes-dns",
        "the host itself resolves no name, and a check fails of it",
        "verify",
        'system.activationScripts.shuts.text = "rm /etc/resolv.conf";',
        "def test_dns(host):\n    assert host.file('/etc/resolv.conf').exists\n",
        before="echo nameserver 10.77.0.1 > /etc/resolv.conf",
        holds="grep -q '^nameserver 10.77.0.1$' /etc/resolv.conf",
    ),
    Change(
        "activation-denies-by-etc",
        "sshd denies the user by a file of the new system's /etc, and was begun again",
        "prove",
        """
        environment.etc."ssh/sshd_config.d/00-denied.conf".text = "DenyUsers deploy\\n";
        system.activationScripts.shuts.text = "systemctl restart ssh.service";
        """,
    ),
    _shuts("denies-for-now", "an override has sshd deny the user", _DENIES_FOR_NOW),
    _shuts(
        "sets-sshd-options",
        "sshd's environment has it deny the user",
        "echo SSHD_OPTS=-oDenyUsers=deploy > /etc/default/ssh; systemctl restart ssh.service",
    ),
    _shuts(
        "freezes-sshd",
        "sshd is stopped by a signal",
        "systemctl kill -s STOP --kill-whom=main ssh.service",
    ),
    _shuts("removes-sshd-root", "sshd's empty root is gone", "rm -rf /run/sshd"),
    _shuts("removes-sshd-user", "sshd's own user is gone", "sed -i /^sshd:/d /etc/passwd"),
    _shuts(
        "wrong-gateway",
        "the default route leads by another gateway",
        "ip route replace default via 10.77.0.99 dev eth0 onlink",
        before=_BY_DEFAULT_ROUTE,
        after=_BY_ITS_OWN_ROUTE,
    ),
    _shuts(
        "detours-deployer",
        "the deployer is reached by a gateway that is none",
        "ip route add 10.77.0.1 via 10.77.0.99 dev eth0",
    ),
    _shuts(
        "adds-rule",
        "a rule sends what sshd answers nowhere",
        "ip rule add ipproto 6 sport 22 pref 50 blackhole",
    ),
    _shuts("drops-answers", "a table of another kind drops what sshd answers", _DROPS_ANSWERS),
    _shuts("stops-arp", "the interface asks for no neighbour", "ip link set eth0 arp off"),
    _shuts(
        "fixes-neighbour",
        "the deployer's hardware is another's",
        "ip neigh replace 10.77.0.1 lladdr 02:00:00:00:00:99 nud permanent dev eth0",
    ),
    _shuts(
        "disowns-address",
        "the host takes its address for nobody's",
        "ip route del local 10.77.0.2 table local",
    ),
    _shuts("removes-accounts", "no account is left", "rm /etc/passwd"),
    _shuts("empties-accounts", "the file of accounts is empty", ": > /etc/passwd"),
    _shuts(
        "removes-group",
        "sudo's group is gone",
        _NO_GROUP,
        before=_BY_GROUP,
        after=_BY_RULES,
    ),
    _shuts("forbids-logins", "/etc/nologin keeps users out", "echo no > /etc/nologin"),
    Change(
        "activation-drops-in-a-queue",
        "traffic control answers no new connection, which no guard repairs",
        "prove",
        _shuts("", "", _QUEUE_DROPS).body,
        outcome="unreached",
    ),
)
"""Every way that is shut."""
