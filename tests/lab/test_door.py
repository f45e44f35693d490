"""The way into a real host: recorded, shut in every way that was thought of, and open again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from guard_bench import NAME, GuardHost

from orchestrator.adapters.host.guard.program import program
from orchestrator.lab.lab import Lab
from orchestrator.model.store import OutPath

pytestmark = pytest.mark.lab

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
printf 'shut=%s\\n' "$shut"
mend_door
printf 'then=%s\\nmended=%s\\n' "$shut" "$mended"
"""
HERE = "10.77.0.1 4000 10.77.0.2 22"


@dataclass
class Door:
    """What the program found and did.

    Attributes:
        shut: What it found to be gone.
        then: What was gone after it had repaired the rest.
        mended: What it repaired.
    """

    shut: str
    then: str
    mended: str


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


def shut(host: GuardHost, harm: str, connection: str = HERE, before: str = "true") -> Door:
    """Record the way in, do harm, and have the program judge and repair it."""
    assert host.sh(f"{{ {before}; }} 2>&1") == ""
    assert said(host, RECORD, connection) == ""
    host.sh(harm)
    found = said(host, "read_lines < /dev/null\nsame_boot() { :; }\n" + JUDGE, connection)
    values = dict(line.split("=", 1) for line in found.splitlines())
    return Door(values["shut"], values["then"], values["mended"])


def test_a_way_in_that_is_open_is_left_alone(host: GuardHost) -> None:
    """Nothing is repaired where nothing is gone."""
    assert shut(host, "true") == Door("", "", "")


def test_where_nobody_came_over_ssh_there_is_no_way_in(host: GuardHost) -> None:
    """On the machine that one sits at nothing is recorded, and nothing is ever shut."""
    argv = ("/bin/sh", "-s")
    stdin = f"{FUNCTIONS}\n{RECORD}\n{JUDGE}".encode()
    done = asyncio.run(host.inside.run(argv, deadline=60, stdin=stdin))
    assert (done.out, done.err) == ("shut=\nthen=\nmended=", "")


@pytest.mark.parametrize(
    "connection",
    ["; touch /hurt 1 2 3", "$(touch /hurt) 1 x 22", "a b c d", "10.1.1.1 1 10.2.2.2 x"],
)
def test_a_connection_that_is_none_is_not_taken_for_one(host: GuardHost, connection: str) -> None:
    """It is what a user's own process says: a value, and never run."""
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
    """With socket activation the socket is what is started again."""
    before = "systemctl stop ssh.service; systemctl start ssh.socket"
    door = shut(host, "systemctl stop ssh.socket", before=before)
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
