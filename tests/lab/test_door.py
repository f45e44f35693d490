"""The way into a real host: recorded, shut in every way that was thought of, and open again."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from guard_bench import NAME, GuardHost

from orchestrator.core.store import OutPath
from orchestrator.host.guard.orders import program
from orchestrator.lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

# The program without its last lines, which choose a verb.
FUNCTIONS = program().rpartition("verb=$1\n")[0]
RECORD = """
mkdir -p "$lib" "$run"
read_lines < /dev/null
boot_id=$(cat /proc/sys/kernel/random/boot_id)
: > "$log"
record_door || echo 'not recorded'
"""
JUDGE = """
say() { :; }
door_is_open
printf 'shut=%s\\nevidence=%s\\n' "$shut" "$evidence"
mend_door
printf 'then=%s\\nmended=%s\\nleft=%s\\n' "$shut" "$mended" "$left"
"""
HERE = "10.77.0.1 4000 10.77.0.2 22"
# Another program at sshd's port, which is its own there, of an address of its own.
ANOTHER = """
echo 'ListenAddress 10.77.0.2' > /etc/ssh/sshd_config.d/l.conf; systemctl restart ssh.service
mkdir -p /run/systemd/system
printf '[Socket]\\nListenStream=127.0.0.9:22\\nAccept=yes\\n' > /run/systemd/system/a.socket
printf '[Service]\\nExecStart=/bin/cat\\nStandardInput=socket\\n' > /run/systemd/system/a@.service
systemctl daemon-reload; systemctl start a.socket
"""
NO_OTHER = """
systemctl stop a.socket; rm -f /run/systemd/system/a* /etc/ssh/sshd_config.d/l.conf
systemctl daemon-reload; systemctl restart ssh.service
"""
# A bridge that a machine's port is in, beside the one by which the deployer came.
BRIDGE = (
    "ip link add br7 type bridge; "
    "ip link add veth1 type veth peer name veth1p; ip link set veth1p up; "
    "ip link add vnet0 type veth peer name vnet0p; ip link set vnet0p up; "
    "ip link set veth1 master br7; ip link set vnet0 master br7; "
    "ip link set veth1 up; ip link set vnet0 up; ip link set br7 up; "
    "ip addr add 10.97.0.2/24 dev br7"
)
FORWARDS = (
    "nft add table inet netavark; "
    "nft 'add chain inet netavark fwd { type filter hook forward priority 0; }'; "
    "nft add rule inet netavark fwd ip saddr 10.88.0.0/16 accept"
)
# A file of rules that sshd read, and that is there no more.
DENIED = (
    "echo DenyUsers deploy > /etc/ssh/sshd_config.d/00.conf; systemctl {} ssh.service; sleep 0.3; "
)
DENIED += "rm /etc/ssh/sshd_config.d/00.conf"
OVERRIDE = (
    "folder=/run/systemd/system/ssh.service.d; mkdir -p $folder; printf '[Service]\\nExecStart=\\n"
    "ExecStart=/usr/sbin/sshd -D -o DenyUsers=deploy\\n' > $folder/z.conf; "
    "systemctl daemon-reload; systemctl restart ssh.service"
)
OPTIONS = "echo SSHD_OPTS=-oDenyUsers=deploy > /etc/default/ssh; systemctl restart ssh.service"
TAKEN = (
    "systemctl stop ssh.service; systemd-run -q -u taken perl -MSocket -e 'socket(S,2,1,6);"
    'setsockopt(S,1,2,pack("i",1));bind(S,sockaddr_in(22,INADDR_ANY)) or die;listen(S,5);sleep\'; '
    "sleep 0.5"
)
STRAY = (
    "systemctl stop ssh.service; mkdir -p /run/sshd; "
    "setsid /usr/sbin/sshd -D -o DenyUsers=deploy > /dev/null 2>&1 < /dev/null & sleep 0.5"
)
REVOKES = "echo RevokedKeys /etc/ssh/gone > /etc/ssh/sshd_config.d/r.conf; : > /etc/ssh/gone"
REVOKES += "; systemctl restart ssh.service"
TABLE = (
    "nft add table ip strange; nft 'add chain ip strange c {{ type {} priority -100; }}'; "
    "nft add rule ip strange c tcp {}"
)
ACCOUNTS = "for file in passwd group shadow gshadow; do cp -p /etc/$file /root/$file.kept; done"
AS_BEFORE = (
    "for file in passwd group shadow gshadow; do sort /root/$file.kept > /root/1; "
    "sort /etc/$file | cmp - /root/1; stat -c '%n %a %u:%g' /etc/$file; done; id -Gn deploy"
)
STUBS = ("same_boot", "is_before", "leave_boot_unit", "save", "say", "sync", "sleep")
KEYS = "/root/.ssh/authorized_keys"
# Of iptables-save: what is forwarded is not the host's own.
SAVED = """*filter
:INPUT DROP [7:9]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:fw - [0:0]
:fw-accept - [0:0]
-A INPUT -j fw
-A FORWARD -j DOCKER
-A fw -p tcp -m comment --comment "a [b] -j DOCKER" -m tcp --dport 22 -j fw-accept
-A fw-accept -j ACCEPT
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE
COMMIT
# Completed
"""
OWN = """*filter
:INPUT DROP [0:0]
:OUTPUT ACCEPT [0:0]
:fw - [0:0]
:fw-accept - [0:0]
-F INPUT
-F OUTPUT
-A INPUT -j fw
-A fw -p tcp -m comment --comment "a [b] -j DOCKER" -m tcp --dport 22 -j fw-accept
-A fw-accept -j ACCEPT
COMMIT
*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-F PREROUTING
-F OUTPUT
COMMIT"""


# An attempt that went back just now, and the word that one got in over this connection.
WENT_BACK = """
mkdir -p "$lib" "$run"
read -r boot_id < /proc/sys/kernel/random/boot_id
uptime_in_hundredths
printf '%s\\n' token=t goal=switch target=/x state=returned reached=0 "boot_id=$boot_id" \\
  "back=$hundredths $boot_id" > "$newer"
sleep 0.1
"""
REACHED = """
reached t {word} > /dev/null
sed -n s/^reached=//p "$newer"
"""


@dataclass
class Door:
    """What the program found and did.

    Attributes:
        shut: What it found to be gone.
        then: What was gone after it had repaired the rest.
        mended: What it repaired.
        evidence: Whether nobody can have got in, before it repaired anything.
        left: What it did not dare to repair.
    """

    shut: str
    then: str
    mended: str
    evidence: bool = False
    left: str = ""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardHost]:
    """One host for the whole file."""
    fleet = tmp_path_factory.mktemp("door") / "fleet"
    (fleet / "inventory").mkdir(parents=True)
    (fleet / "inventory/hosts.yaml").write_text(f"hosts:\n  {NAME}:\n    address: x.invalid\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_LAB_HOME", str(tmp_path_factory.getbasetemp() / "labs"))
        lab = Lab.of(fleet)
        try:
            lab.up([NAME])
            yield GuardHost(lab, OutPath("/nix/store/" + "0" * 32 + "-none"))
        finally:
            lab.down(purge=True)


def said(host: GuardHost, text: str, connection: str = HERE) -> str:
    """Run shell after the program's own, as somebody who came over a connection."""
    argv = ("env", f"SSH_CONNECTION={connection}", "LOGNAME=root", "/bin/sh", "-s")
    stdin = f"{FUNCTIONS}\n{text}\n".encode()
    done = asyncio.run(host.inside.run(argv, deadline=120, stdin=stdin))
    assert done.err == "", done
    return done.out


def over_ssh(host: GuardHost, command: str, text: str) -> str:
    """Run shell after the program's own, over a connection of its own."""
    keeper = host.lab.network.require()
    done = subprocess.run(
        (
            *("nsenter", f"--net=/proc/{keeper}/ns/net", "--"),
            *("ssh", "-F", str(host.lab.places.ssh_config), "-l", "deploy", NAME, command),
        ),
        input=f"{FUNCTIONS}\n{text}\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.strip()


@pytest.mark.parametrize("word", ["''", "anew"])
@pytest.mark.parametrize("drops", ["", "env -i PATH=$PATH "])
def test_only_a_new_connection_settles_a_roll_back(host: GuardHost, drops: str, word: str) -> None:
    """Whatever the deployer says of it, and though its session drops what tells of a connection."""
    shell, reached = f"{drops}sudo -n sh -s", REACHED.format(word=word)
    assert over_ssh(host, shell, WENT_BACK + reached) == "0"
    assert over_ssh(host, shell, reached) == "1"
    host.sh("rm /run/orchestrator/attempt /var/lib/orchestrator/attempt")


@pytest.mark.parametrize(("word", "settled"), [("''", "0"), ("anew", "1")])
def test_where_no_connection_is_found_the_deployers_word_is_taken(
    host: GuardHost, word: str, settled: str
) -> None:
    """What makes one root may do so in a unit, and none of its processes is the session's."""
    assert (
        said(
            host,
            WENT_BACK.replace("sleep", "find_session() { return 1; }; sleep")
            + REACHED.format(word=word),
        )
        == settled
    )
    host.sh("rm -f /run/orchestrator/attempt /var/lib/orchestrator/attempt")


def shut(
    host: GuardHost, harm: str, connection: str = HERE, before: str = "true", user: str = "root"
) -> Door:
    """Record the way in, do harm, and have the program judge and repair it."""
    assert host.sh(f"{{ {before}; }} 2>&1") == ""
    assert said(host, f"find_user() {{ user={user}; }}\n{RECORD}", connection) == ""
    host.sh(harm)
    found = said(host, "read_lines < /dev/null\nsame_boot() { :; }\n" + JUDGE, connection)
    values = dict(line.split("=", 1) for line in found.splitlines())
    evidence = values["evidence"] == "1"
    return Door(values["shut"], values["then"], values["mended"], evidence, values["left"])


def test_a_way_in_that_is_open_is_left_alone(host: GuardHost) -> None:
    """Nothing is repaired where nothing is gone."""
    assert shut(host, "true") == Door("", "", "")


def test_where_nobody_came_over_ssh_there_is_no_way_in(host: GuardHost) -> None:
    """On the machine that one sits at nothing is recorded, and nothing is ever shut."""
    argv = ("/bin/sh", "-s")
    stdin = f"{FUNCTIONS}\n{RECORD}\n{JUDGE}".encode()
    done = asyncio.run(host.inside.run(argv, deadline=60, stdin=stdin))
    assert (done.out, done.err) == ("shut=\nevidence=\nthen=\nmended=\nleft=", "")


@pytest.mark.parametrize(
    "connection",
    ["; touch /hurt 1 2 3", "$(touch /hurt) 1 x 22", "a b c d", "10.1.1.1 1 10.2.2.2 x"],
)
def test_a_connection_that_is_none_is_not_taken_for_one(host: GuardHost, connection: str) -> None:
    """A connection that a user's own process claims is a value, and is never run."""
    assert shut(host, "systemctl stop ssh.service", connection) == Door("", "", "")
    assert host.sh("systemctl start ssh.service; ls /hurt 2>/dev/null") == ""


@pytest.mark.parametrize("harm", ["ip addr flush dev eth0", "ip link set eth0 down"])
def test_a_host_that_has_ipv6_only(host: GuardHost, harm: str) -> None:
    """The kernel forgets IPv6 addresses of a link that is down; both come back, with the route."""
    before = (
        "ip addr flush dev eth0; ip -6 addr add fd00::2/64 dev eth0 nodad; "
        "ip -6 route replace default via fd00::1"
    )
    door = shut(host, harm, "fd01::9 4000 fd00::2 22", before)
    assert door.shut
    assert door.then == ""
    assert "fd00::2/64" in host.sh("ip -6 -o addr show dev eth0")
    assert "via fd00::1" in host.sh("ip -6 route show default")
    host.sh("ip addr flush dev eth0; ip addr add 10.77.0.2/16 dev eth0")


def test_a_host_with_two_interfaces(host: GuardHost) -> None:
    """The one by which the deployer came is repaired; the other is left as it was made."""
    before = (
        "ip link add veth0 type veth peer name veth0p; ip link set veth0p up; "
        "ip addr add 10.99.0.2/24 dev veth0; "
        "ip link set veth0 up; ip route add 10.98.0.0/16 via 10.99.0.1 dev veth0"
    )
    harm = "ip addr flush dev veth0; ip addr add 10.55.0.1/24 dev eth0"
    door = shut(host, harm, "10.98.0.7 4000 10.99.0.2 22", before)
    assert "10.99.0.2" in door.shut
    assert door.then == ""
    assert "via 10.99.0.1 dev veth0" in host.sh("ip route get 10.98.0.7")
    assert "10.55.0.1/24" in host.sh("ip -o addr show dev eth0")
    host.sh("ip link del veth0; ip addr del 10.55.0.1/24 dev eth0")


def test_a_bridge_gets_its_port_back(host: GuardHost) -> None:
    """The address is the bridge's; what comes in comes by its port."""
    before = (
        "ip link add br7 type bridge; "
        "ip link add veth1 type veth peer name veth1p; ip link set veth1p up; "
        "ip link set veth1 master br7; ip link set veth1 up; ip link set br7 up; "
        "ip addr add 10.97.0.2/24 dev br7"
    )
    harm = "ip link set veth1 nomaster; ip link set veth1 down"
    door = shut(host, harm, "10.97.0.9 4000 10.97.0.2 22", before)
    assert (door.shut, door.then) == ("the link veth1 is down", "")
    assert "master br7" in host.sh("ip link show dev veth1")
    host.sh("ip link del br7; ip link del veth1")


def test_sshd_at_another_port(host: GuardHost) -> None:
    """What is recorded is the port that the deployer came to, and the unit that serves it."""
    file = "/etc/ssh/sshd_config.d/01-port.conf"
    before = f"printf 'Port 2222\\nPort 22\\n' > {file}; systemctl restart ssh.service"
    door = shut(
        host,
        "systemctl stop ssh.service; systemctl mask ssh.service 2>/dev/null",
        HERE.replace(" 22", " 2222"),
        before,
    )
    assert "port 2222 (ssh.service)" in door.shut
    assert door.then == ""
    host.sh(f"rm {file}; systemctl restart ssh.service")


def test_sshd_that_systemd_listens_for(host: GuardHost) -> None:
    """Where systemd listens for sshd, its socket is what is started again."""
    before = "systemctl stop ssh.service; systemctl start ssh.socket"
    door = shut(host, "systemctl stop ssh.socket ssh.service", before=before)
    assert "(ssh.socket)" in door.shut
    assert door.then == ""
    assert host.sh("systemctl is-active ssh.socket") == "active"
    host.sh("systemctl stop ssh.socket; systemctl start ssh.service")


def test_a_lease_that_changed_is_not_fought(host: GuardHost) -> None:
    """An address by DHCP may be another one by now: the old one may be somebody else's."""
    before = "ip link add veth2 type veth peer name veth2p; ip link set veth2p up; "
    before += "ip link set veth2 up; "
    before += "ip addr add 10.96.0.2/24 dev veth2 valid_lft 600 preferred_lft 600"
    harm = "ip addr del 10.96.0.2/24 dev veth2; "
    harm += "ip addr add 10.96.0.3/24 dev veth2 valid_lft 600 preferred_lft 600"
    door = shut(host, harm, "10.96.0.9 4000 10.96.0.2 22", before)
    assert door == Door("", "", "")
    assert "10.96.0.2/" not in host.sh("ip -o addr show dev veth2")
    host.sh("ip link del veth2")


def test_what_cannot_be_repaired_is_told(host: GuardHost) -> None:
    """The listener is gone, and its program cannot run: that is said, and not that it is open."""
    harm = "mount --bind /bin/false /usr/sbin/sshd; systemctl restart ssh.service"
    door = shut(host, harm)
    assert "nothing listens any more at port 22" in door.then
    host.sh("umount /usr/sbin/sshd; systemctl reset-failed; systemctl start ssh.service")


def test_the_record_is_roots_alone_and_holds_no_secret(host: GuardHost) -> None:
    """Host keys and password hashes are in memory only; nobody else reads any of it."""
    host.sh("usermod -p '$6$hash$hash' root")
    assert said(host, RECORD) == ""
    assert host.sh("stat -c %a /var/lib/orchestrator/door /run/orchestrator/door") == "700\n700"
    secrets = r"grep -rlE 'PRIVATE KEY|\$6\$hash' /var/lib/orchestrator; "
    assert host.sh(secrets) == ""
    assert host.sh(r"stat -f -c %T /run/orchestrator/door") == "tmpfs"
    host.sh("usermod -p '*' root; rm -rf /var/lib/orchestrator/door /run/orchestrator/door")


@pytest.mark.parametrize(
    "damage",
    [
        "for file in $(find {} -type f); do echo garbage > $file; done",
        "for file in $(find {} -type f); do truncate -s $(($(stat -c %s $file) / 2)) $file; done",
        ": > {}/paths",
        "rm {}/paths",
        "rm -r {}/tree",
        "ln -sfn /etc/shadow {}/paths",
    ],
)
@pytest.mark.parametrize("record", ["/var/lib/orchestrator/door", "/run/orchestrator/door"])
def test_a_damaged_record_repairs_nothing(host: GuardHost, record: str, damage: str) -> None:
    """What it no longer lists is no stranger's: sudo's rules, sshd's and the password stay."""
    files = "/etc/passwd /etc/shadow /etc/ssh/*_key $(find /etc/sudoers* /etc/ssh/*.d -type f)"
    kept = f"sha256sum {files}"
    before = host.sh(kept)
    door = shut(host, damage.format(record))
    # Where the other record is whole, sshd may be asked, and begun again where it is too slow.
    assert door.then == ""
    assert door.mended in ("", " ssh.service is restarted")
    assert host.sh(kept) == before
    if record.startswith("/var"):
        why = said(host, 'read_lines < /dev/null\nsay() { :; }\nmend_door\necho "$why"')
        assert "its record is damaged" in why
    host.sh("rm -rf /var/lib/orchestrator/door /run/orchestrator/door")


@pytest.mark.parametrize("step", ["await_door", "mend_link", "mend_firewall", "mend_files"])
def test_a_record_that_goes_meanwhile_repairs_nothing_more(host: GuardHost, step: str) -> None:
    """A record that is emptied while the guard is at work by it repairs nothing more."""
    files = "/etc/passwd /etc/shadow /etc/ssh/*_key $(find /etc/sudoers* /etc/ssh/*.d -type f)"
    before = host.sh(f"sha256sum {files}; ip route; nft list tables 2>&1 || :")
    assert said(host, RECORD) == ""
    text = "read_lines < /dev/null\nsame_boot() { :; }\nsay() { :; }\nwhy=\n"
    gone = f'{step}() {{ rm -rf "$door" "$door_secrets"; mkdir -p "$door_secrets"; }}\n'
    assert said(host, f'{text}{gone}{{ mend_door; }} 2> /dev/null || :; echo "$mended"') == ""
    assert host.sh(f"sha256sum {files}; ip route; nft list tables 2>&1 || :") == before
    host.sh("rm -rf /var/lib/orchestrator/door /run/orchestrator/door")


def test_a_port_that_went_with_its_machine_is_no_shut_door(host: GuardHost) -> None:
    """One came in by another port of the bridge, which is up."""
    door = shut(host, "ip link del vnet0", "10.97.0.9 4000 10.97.0.2 22", BRIDGE)
    assert door == Door("", "", "")
    host.sh("ip link del br7; ip link del veth1")


@pytest.mark.parametrize(
    ("harm", "evidence"),
    [
        ("systemctl stop ssh.service", True),
        ("ip addr flush dev eth0", True),
        ("ip route add blackhole 10.77.0.1", True),
        (f"mkdir -p /root/.ssh; : > {KEYS}", False),
        ("sed -i '/^root:/s/:root:/:Root:/' /etc/passwd", False),
        ("sed -i '/^root:/s|:[^:]*$|:/nowhere|' /etc/passwd", True),
    ],
)
def test_only_what_nobody_gets_in_without_is_evidence(
    host: GuardHost, harm: str, evidence: bool
) -> None:
    """A host may be rebooted for that and for nothing else; all of it is repaired here."""
    before = f"mkdir -p -m 700 /root/.ssh; echo ssh-ed25519 AAAA > {KEYS}"
    door = shut(host, harm, before=before)
    assert door.shut
    assert (door.then, door.evidence) == ("", evidence)
    host.sh(f"rm {KEYS}")


@pytest.mark.parametrize(
    ("evidence", "went", "boots"), [("", 1, ""), ("1", 1, "booted"), ("1", 0, "")]
)
def test_the_last_resort_takes_evidence(
    host: GuardHost, evidence: str, went: int, boots: str
) -> None:
    """That something is not as it was is not enough, nor where the link went with the deployer."""
    stubs = f"went_with_peer() {{ return {went}; }}\nlink=''\n"
    stubs += "".join(f"{name}() {{ :; }}\n" for name in STUBS) + "timeout() { echo booted; }\n"
    wanted = (
        "last_resort=reboot boot_source=grub boot_default=/a running=/a shut=x resort='' why=''"
    )
    text = f"{stubs}{wanted}\nevidence={evidence}\nresort_to_boot\ntrue"
    assert said(host, text) == boots


TUNNEL = (
    "ip tuntap add ppp0 mode tun; ip addr add 10.94.0.1 peer 10.94.0.2 dev ppp0; "
    "ip link set ppp0 up; ip route add 10.93.0.0/24 dev ppp0"
)


@pytest.mark.parametrize(
    "connection", ["10.94.0.2 4000 10.94.0.1 22", "10.93.0.9 4000 10.77.0.2 22"]
)
def test_a_link_that_goes_with_the_deployer_is_no_shut_door(
    host: GuardHost, connection: str
) -> None:
    """A VPN's ends when his lid is closed, be the address its own or only the way to him."""
    assert shut(host, "ip link del ppp0", connection, TUNNEL) == Door("", "", "")


@pytest.mark.parametrize(
    ("harm", "connection"),
    [
        ("ip addr flush dev ppp0", "10.94.0.2 4000 10.94.0.1 22"),
        ("ip route add blackhole 10.93.0.9", "10.93.0.9 4000 10.77.0.2 22"),
    ],
)
def test_what_is_gone_of_a_vpn_that_is_there_is_repaired(
    host: GuardHost, harm: str, connection: str
) -> None:
    """A part of a VPN that is gone is repaired, and no evidence: it may be the other end."""
    door = shut(host, harm, connection, TUNNEL)
    assert door.shut
    assert (door.then, door.evidence) == ("", False)
    host.sh("ip link del ppp0; ip route del blackhole 10.93.0.9 2>/dev/null")


def test_a_name_service_that_does_not_answer_is_no_evidence(host: GuardHost) -> None:
    """A name service that is silent or flaps is no evidence: it is asked for a while."""
    assert said(host, RECORD) == ""
    text = "read_lines < /dev/null\nsame_boot() { :; }\n"
    told = said(host, text + "getent() { return 124; }\nawait_door; echo $shut,$evidence")
    assert told == "the account root cannot be looked up,"
    # It says "there is none" too: evidence is what is gone from /etc/passwd.
    none = text + "getent() { return 2; }\n"
    said_so = "door_is_open; echo $shut,$evidence"
    assert said(host, none + said_so) == "the account root is gone,"
    gone = "entry_of() { return 1; }\n"
    assert said(host, none + gone + said_so) == "the account root is gone,1"
    assert said(host, none + gone + "sed -i /^account=/d $door/facts\nseal $door\n" + said_so) == (
        "the account root is gone,"
    )
    assert said(host, RECORD) == ""
    flaps = (
        "getent() { n=$((n + 1)); [ $(cat $run/n | wc -c) -gt 3 ] && command getent $@ && return; "
    )
    flaps += "printf x >> $run/n; return 2; }\n: > $run/n\n"
    assert said(host, text + flaps + "await_door; echo $shut,$evidence") == ","


def test_another_program_at_the_port_of_another_address_is_left_alone(host: GuardHost) -> None:
    """Another program at the port of another address is neither a shut door nor started again."""
    host.sh(ANOTHER)
    assert shut(host, "systemctl stop a.socket") == Door("", "", "")
    host.sh("systemctl start a.socket")
    door = shut(host, "systemctl stop ssh.service")
    assert door.mended.endswith(" ssh.service is started")
    assert "a.socket" not in door.mended
    assert host.sh("systemctl is-active ssh.service") == "active"
    host.sh(NO_OTHER)


def test_sshd_at_one_address_of_ipv6(host: GuardHost) -> None:
    """An sshd at one IPv6 address is found as the kernel's own table has that address."""
    file = "/etc/ssh/sshd_config.d/l.conf"
    before = "ip -6 addr add fd00::1:2 dev eth0 nodad; "
    before += f"echo 'ListenAddress fd00::1:2' > {file}; systemctl restart ssh.service"
    door = shut(host, "systemctl stop ssh.service", "fd01::9 4000 fd00::1:2 22", before)
    assert "port 22 (ssh.service)" in door.shut
    assert door.then == ""
    host.sh(f"rm {file}; ip -6 addr del fd00::1:2 dev eth0; systemctl restart ssh.service")


def test_an_address_that_floats_stays_with_its_neighbour(host: GuardHost) -> None:
    """What comes back is the address that the deployer came to."""
    door = shut(host, "ip addr flush dev eth0", before="ip addr add 10.77.9.9/32 dev eth0")
    assert door.then == ""
    assert "10.77.9.9" not in host.sh("ip -o addr show dev eth0")


@pytest.mark.parametrize(
    ("add", "then"),
    [
        # Of each, no address of hardware.
        ("ip tuntap add t{} mode tun", ""),
        # As a VLAN has its link's.
        (
            "ip link add t{} address 02:00:00:00:00:07 type veth peer name t{}p",
            "the address 10.95.0.2 is gone",
        ),
    ],
)
def test_no_other_link_gets_the_name_of_one_that_is_gone(
    host: GuardHost, add: str, then: str
) -> None:
    """One that was there before, beside it, is another one whatever its hardware's address."""
    before = f"{add.format(0, 0)}; {add.format(1, 1)}; ip link set t0 up; ip link set t1 up; "
    before += "ip addr add 10.95.0.2/24 dev t1"
    door = shut(host, "ip link del t1", "10.95.0.9 4000 10.95.0.2 22", before)
    assert door.then == then
    assert host.sh("ls -d /sys/class/net/t[01]") == "/sys/class/net/t0"
    host.sh("ip link del t0")


def test_tables_that_only_forward_are_their_makers(host: GuardHost) -> None:
    """Containers make them while a host is verified; nor are the elements of a set ours."""
    assert shut(host, FORWARDS).mended == ""
    assert "netavark" in host.sh("nft list tables; nft delete table inet netavark")
    before = "nft add table ip dyn; nft add set ip dyn bans '{ type ipv4_addr; }'; "
    before += "nft add chain ip dyn in '{ type filter hook input priority 0; }'; "
    before += "nft add rule ip dyn in ip saddr @bans drop"
    door = shut(host, "nft add element ip dyn bans { 192.0.2.10 }", before=before)
    assert door.mended == ""
    assert "192.0.2.10" in host.sh("nft list table ip dyn; nft delete table ip dyn")


def test_of_iptables_only_the_hosts_own_chains_are_put_back(host: GuardHost) -> None:
    """Those that its own packets meet, and where they lead; a table that was not there is empty."""
    text = f"saved=$(cat << 'END'\n{SAVED}END\n)\n"
    text += 'for table in filter raw; do printf "%s\\n" "$saved" | own_rules $table; done'
    assert said(host, text) == OWN


@pytest.mark.parametrize(
    ("harm", "kept", "mended", "left"),
    [
        (f"echo ssh-ed25519 GOOD > {KEYS}", "ssh-ed25519 GOOD", False, True),
        (f"sed -i /STOLEN/d {KEYS}", "ssh-ed25519 AAAA", False, False),
        (f": > {KEYS}", "ssh-ed25519 AAAA\nssh-ed25519 STOLEN", True, False),
        ("rm -r /root/.ssh", "ssh-ed25519 AAAA\nssh-ed25519 STOLEN", True, False),
        (f"chmod 666 {KEYS}", "ssh-ed25519 AAAA\nssh-ed25519 STOLEN", True, False),
    ],
)
def test_a_key_that_was_taken_back_stays_out(
    host: GuardHost, harm: str, kept: str, mended: bool, left: bool
) -> None:
    """A file of keys comes back where it has none any more, and that is told; others are left."""
    before = "mkdir -p -m 700 /root/.ssh; "
    before += f"printf 'ssh-ed25519 AAAA\\nssh-ed25519 STOLEN\\n' > {KEYS}; chmod 600 {KEYS}"
    door = shut(host, harm, before=before)
    assert host.sh(f"cat {KEYS}; stat -c %a {KEYS}") == f"{kept}\n600"
    assert (door.then, KEYS in door.mended, KEYS in door.left) == ("", mended, left)
    host.sh(f"rm {KEYS}")


@pytest.mark.parametrize(
    "harm", [DENIED.format("restart"), DENIED.format("reload"), OVERRIDE, OPTIONS, TAKEN, STRAY]
)
def test_sshd_that_goes_by_other_rules_is_begun_anew(host: GuardHost, harm: str) -> None:
    """What it was started with may be there no more, in no file and no unit that is on the disk."""
    door = shut(host, harm)
    assert "ssh.service is " in door.mended
    served = host.sh("ss -Hltnp sport = 22; cat /proc/$(pidof -s sshd)/cmdline | tr '\\0' ' '")
    assert "sshd" in served
    assert "DenyUsers" not in served + host.sh("systemctl show -p ExecStart --value ssh.service")
    assert (door.then, host.sh("systemctl is-active ssh.service")) == ("", "active")
    host.sh("rm -rf /run/systemd/system/ssh.service.d; systemctl daemon-reload")


@pytest.mark.parametrize(
    ("harm", "mended"),
    [
        ("systemctl kill -s STOP --kill-whom=main ssh.service", "ssh.service is restarted"),
        ("sed -i /^sshd:/d /etc/passwd", "sshd is back in /etc/passwd"),
        ("rm -rf /run/sshd", "/run/sshd is as it was"),
    ],
)
def test_sshd_that_listens_and_does_not_answer(host: GuardHost, harm: str, mended: str) -> None:
    """An sshd that listens is asked for its host key, so that one that hangs is noticed."""
    door = shut(host, harm)
    assert mended in door.mended
    assert (door.then, door.evidence) == ("", False)
    assert "ssh-ed25519" in host.sh("ssh-keyscan -t ed25519 10.77.0.2 2> /dev/null")


def test_a_user_whom_sshd_keeps_out_shuts_no_door(host: GuardHost) -> None:
    """Who comes often and does not log in has the host's own address refused for a while."""
    scan = "ssh-keyscan -T 4 -t ed25519 10.77.0.2 2> /dev/null"
    often = f"for i in $(seq 1 60); do {scan} > /dev/null; done"
    door = shut(host, f"runuser -u nobody -- sh -c '{often}'; test -z \"$({scan})\"")
    assert (door.shut, door.then, door.evidence) == ("", "", False)


def test_a_file_of_revoked_keys_comes_back(host: GuardHost) -> None:
    """Without one that it was told of, be it empty, sshd lets nobody in."""
    door = shut(host, "rm /etc/ssh/gone", before=REVOKES)
    assert "/etc/ssh/gone" in door.shut
    assert door.then == ""
    host.sh("rm /etc/ssh/sshd_config.d/r.conf /etc/ssh/gone; systemctl restart ssh.service")


@pytest.mark.parametrize(
    "harm",
    [
        "ip route add 10.77.0.1 via 10.77.0.99 dev eth0",
        "ip rule add ipproto 6 sport 22 pref 50 blackhole",
        "ip rule flush",
        "ip link set eth0 arp off",
        "ip link add br0 type bridge; ip link set eth0 master br0",
        "ip neigh replace 10.77.0.1 lladdr 02:00:00:00:00:99 nud permanent dev eth0",
        "ip route del local 10.77.0.2 table local",
        TABLE.format("route hook output", "sport 22 drop"),
        TABLE.format("nat hook prerouting", "dport 22 redirect to :9"),
    ],
)
def test_packets_go_where_they_went(host: GuardHost, harm: str) -> None:
    """Packets take the gateway that they took, past no rule or table that was not there."""
    ask = (
        "ip route get 10.77.0.1 from 10.77.0.2 ipproto 6 sport 22; ip rule; "
        "ip route get 10.77.0.2 | grep -c ^local; ip -o link show eth0; "
        "ip neigh show nud permanent; nft list tables"
    )
    before = host.sh(ask)
    door = shut(host, harm)
    assert door.mended
    assert (door.then, host.sh(ask)) == ("", before)
    host.sh("ip link del br0")


def test_a_gateway_that_a_router_told_is_left_alone(host: GuardHost) -> None:
    """A lease or a routing daemon changes it by itself, and knows why."""
    new = "ip route replace 10.77.0.1 via 10.77.0.99 dev eth0 proto {}"
    assert shut(host, new.format("ra")) == Door("", "", "")
    host.sh("ip route del 10.77.0.1")


@pytest.mark.parametrize(
    "harm",
    [
        "rm /etc/passwd",
        ": > /etc/passwd",
        "rm /etc/shadow /etc/gshadow",
        "sed -i /^root:/d /etc/passwd /etc/shadow",
        "chmod 600 /etc/passwd; chmod 666 /etc/shadow",
        "groupdel nix-users",
    ],
)
def test_accounts_that_are_gone_come_back(host: GuardHost, harm: str) -> None:
    """With root's and sshd's own, the groups by their numbers, and nobody reads the passwords."""
    host.sh(ACCOUNTS)
    before = host.sh(AS_BEFORE)
    door = shut(host, harm, user="deploy")
    assert (door.then, host.sh(AS_BEFORE)) == ("", before)


def test_a_socket_unit_that_is_well_is_left_alone(host: GuardHost) -> None:
    """Nothing is restarted for its sake; a rule for the service that it starts is set aside."""
    start = "systemctl stop ssh.service 2> /dev/null; systemctl start ssh.socket"
    assert shut(host, "true", before=start) == Door("", "", "")
    door = shut(host, OVERRIDE)
    assert "z.conf, which was not there" in door.mended
    assert (door.then, host.sh("systemctl is-active ssh.socket")) == ("", "active")
    host.sh("systemctl stop ssh.socket ssh.service; systemctl start ssh.service")
