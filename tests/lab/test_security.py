"""``security check`` on real hosts: misdeeds, each found; and hosts that live, without an alarm."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from shlex import quote
from typing import Any

import pytest
from fleet_bench import Bench

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST = "p510"


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody does who has become root on a host, and how it is found.

    Attributes:
        script: Does it, as root, in ``set -eu``.
        finding: The id that it is found by; ``*`` stands for more.
        severity: How much it is told to matter.
        undo: Takes it back.
    """

    script: str
    finding: str
    severity: str
    undo: str


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHRoaXMgaXMgbm8ga2V5IG9mIGFueWJvZHkgYXQgYWxs m@x"
DECLARED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGEga2V5IG9mIEFubmEsIHdobyBpcyBkZWNsYXJlZCE= anna"
UNIT = "[Service]\\nExecStart=/bin/sleep infinity\\n"
# As root: an executable that is in no file, and a socket that reads what passes.
MEMFD = (
    "my $f = syscall(319, my $n = q(x), 0); open(my $o, q(>&=), $f); binmode $o; "
    "open(my $i, q(<), q(/bin/sleep)); local $/; print {$o} <$i>; $o->flush; "
    "exec {qq(/proc/self/fd/$f)} q(sleep), q(infinity)"
)
PACKET = "socket(my $s, 17, 3, 768) or die; sleep 99999"
BEGIN = """set -eu
start() { systemd-run --quiet --service-type=exec --expand-environment=no "$@"; }
"""


def listens(unit: str, proto: str, port: int, address: str = "") -> str:
    """Have a transient unit listen."""
    more = ", Listen => 5" if proto == "tcp" else ""
    at = f', LocalAddr => "{address}"' if address else ""
    made = f'IO::Socket::INET->new(Proto => "{proto}", LocalPort => {port}{at}{more})'
    return f"start --unit={unit} perl -MIO::Socket -e 'my $s = {made} or die; sleep 99999'"


DEEDS = {
    "a port by a transient unit": Deed(
        listens("door", "tcp", 4444),
        "socket:tcp/4444",
        "high",
        "systemctl stop door",
    ),
    "a port for this machine alone": Deed(
        listens("inner", "tcp", 4445, "127.0.0.1"),
        "socket:tcp/127.0.0.1:4445",
        "low",
        "systemctl stop inner",
    ),
    "a port of UDP": Deed(
        listens("datagrams", "udp", 4446),
        "socket:udp/4446",
        "high",
        "systemctl stop datagrams",
    ),
    "a socket unit that systemd-run makes": Deed(
        "systemd-run --quiet --unit=waits --socket-property=ListenStream=4447 /bin/true",
        "socket:tcp/4447",
        "moderate",
        "systemctl stop waits.socket",
    ),
    "a socket that reads what passes": Deed(
        f"start --unit=reads perl -e '{PACKET}'",
        "socket:packet/*perl*",
        "moderate",
        "systemctl stop reads",
    ),
    "a process from /tmp": Deed(
        "cp /bin/sleep /tmp/miner; start --unit=miner /tmp/miner infinity",
        "process:/tmp/miner",
        "high",
        "systemctl stop miner; rm /tmp/miner",
    ),
    "a process whose file is gone": Deed(
        "cp /bin/sleep /opt/gone; start --unit=gone /opt/gone infinity; rm /opt/gone",
        "process:/opt/gone",
        "high",
        "systemctl stop gone",
    ),
    "a process in no file": Deed(
        f"start --unit=nofile perl -e '{MEMFD}'",
        "process:/memfd:*",
        "high",
        "systemctl stop nofile",
    ),
    "root runs what is in a home": Deed(
        "cp /bin/sleep /var/lib/deploy/x; start --unit=home /var/lib/deploy/x 99999",
        "process:/var/lib/deploy/x",
        "high",
        "systemctl stop home; rm /var/lib/deploy/x",
    ),
    "a program in the store that Nix does not know": Deed(
        "d=/nix/store/00000000000000000000000000000000-tool; mkdir $d; cp /bin/sleep $d/sleep; "
        "start --unit=tool $d/sleep infinity",
        "process:/nix/store/00000000000000000000000000000000-tool/sleep",
        "high",
        "systemctl stop tool; rm -r /nix/store/00000000000000000000000000000000-tool",
    ),
    "a setuid shell": Deed(
        "cp /bin/dash /usr/local/bin/.sh; chmod 4755 /usr/local/bin/.sh",
        "setuid:/usr/local/bin/.sh",
        "critical",
        "rm /usr/local/bin/.sh",
    ),
    "a setgid program with an odd name": Deed(
        "cp /bin/dash '/opt/a\nsetuid\t4755\t0'; chmod 2755 /opt/a*",
        "setuid:/opt/a[?]setuid",
        "moderate",
        "rm /opt/a*",
    ),
    "capabilities of a file": Deed(
        "cp /bin/dash /opt/cap; setcap cap_setuid+ep /opt/cap",
        "capability:/opt/cap",
        "high",
        "rm /opt/cap",
    ),
    "a wrapper of its own": Deed(
        "mkdir -p /run/wrappers/bin; cp /bin/dash /run/wrappers/bin/root; "
        "chmod 4755 /run/wrappers/bin/root",
        "setuid:/run/wrappers/bin/root",
        "critical",
        "rm /run/wrappers/bin/root",
    ),
    "an account": Deed(
        "useradd --no-user-group mallory", "account:mallory", "moderate", "userdel mallory"
    ),
    "another root": Deed(
        "echo 'toor:x:0:0::/root:/bin/sh' >> /etc/passwd",
        "account:toor",
        "critical",
        "sed -i /^toor:/d /etc/passwd",
    ),
    "a member of wheel": Deed(
        "usermod -aG wheel nobody", "group:wheel/nobody", "high", "gpasswd -d nobody wheel"
    ),
    "a group": Deed("groupadd helpers", "group:helpers", "low", "groupdel helpers"),
    "an account without a password": Deed(
        "cp -p /etc/shadow /root/shadow; passwd -qd anna",
        "unlocked:anna",
        "critical",
        "mv /root/shadow /etc/shadow",
    ),
    "a key of root's": Deed(
        f"echo '{KEY}' >> /root/.ssh/authorized_keys",
        "key:/root/.ssh/authorized_keys SHA256:*",
        "high",
        "sed -i '$d' /root/.ssh/authorized_keys",
    ),
    "a key beside the declared ones": Deed(
        f"echo '{KEY}' > /etc/ssh/authorized_keys.d/games",
        "key:/etc/ssh/authorized_keys.d/games SHA256:*",
        "high",
        "rm /etc/ssh/authorized_keys.d/games",
    ),
    "a declared key that may do more": Deed(
        f"install -d -o anna -m 700 ~anna/.ssh; echo '{DECLARED}' > ~anna/.ssh/authorized_keys; "
        "chown anna ~anna/.ssh/authorized_keys",
        "key:/home/anna/.ssh/authorized_keys SHA256:*",
        "moderate",
        "rm -r ~anna/.ssh",
    ),
    "a unit": Deed(
        f"printf '{UNIT}' > /etc/systemd/system/backdoor.service",
        "unit:/etc/systemd/system/backdoor.service",
        "high",
        "rm /etc/systemd/system/backdoor.service",
    ),
    "what changes sshd's unit": Deed(
        "mkdir -p /run/systemd/system/ssh.service.d; "
        "printf '[Service]\\nEnvironment=A=b\\n' > /run/systemd/system/ssh.service.d/a.conf; "
        "systemctl daemon-reload",
        "unit:/run/systemd/system/ssh.service.d/a.conf",
        "high",
        "rm -r /run/systemd/system/ssh.service.d; systemctl daemon-reload",
    ),
    "a timer": Deed(
        "printf '[Timer]\\nOnCalendar=daily\\n' > /run/systemd/system/later.timer",
        "timer:/run/systemd/system/later.timer",
        "high",
        "rm /run/systemd/system/later.timer",
    ),
    "a timer that systemd-run makes": Deed(
        "systemd-run --quiet --unit=soon --on-active=9h /bin/true",
        "timer:soon.timer",
        "low",
        "systemctl stop soon.timer",
    ),
    "a table of cron's": Deed(
        "mkdir -p /etc/cron.d; echo '* * * * * root true' > /etc/cron.d/sync",
        "cron:/etc/cron.d/sync",
        "high",
        "rm /etc/cron.d/sync",
    ),
    "root's own table of cron's": Deed(
        "mkdir -p /var/spool/cron/crontabs; echo '* * * * * true' > /var/spool/cron/crontabs/root",
        "cron:/var/spool/cron/crontabs/root",
        "moderate",
        "rm /var/spool/cron/crontabs/root",
    ),
    "a replaced link": Deed(
        "cp /etc/security-test /tmp/x; echo more >> /tmp/x; mv /tmp/x /etc/security-test",
        "etc:/etc/security-test",
        "high",
        "ln -sfn /etc/static/security-test /etc/security-test",
    ),
    "a link that is gone": Deed(
        "rm /etc/security-gone",
        "etc:/etc/security-gone",
        "high",
        "ln -s /etc/static/security-gone /etc/security-gone",
    ),
    "a changed copy": Deed(
        "echo more >> /etc/security-copy",
        "etc:/etc/security-copy",
        "moderate",
        "cp /etc/static/security-copy /etc/security-copy",
    ),
    "sshd's settings": Deed(
        "cp -p /etc/ssh/sshd_config /root/kept; echo '#' >> /etc/ssh/sshd_config",
        "etc:/etc/ssh/sshd_config",
        "high",
        "mv /root/kept /etc/ssh/sshd_config",
    ),
    "a rule of sudo's": Deed(
        "echo 'nobody ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/zz; chmod 440 /etc/sudoers.d/zz",
        "etc:/etc/sudoers.d/zz",
        "high",
        "rm /etc/sudoers.d/zz",
    ),
    "a library before all others": Deed(
        "touch /etc/ld.so.preload", "etc:/etc/ld.so.preload", "high", "rm /etc/ld.so.preload"
    ),
    "what each login runs": Deed(
        "echo true > /etc/profile.d/a.sh",
        "etc:/etc/profile.d/a.sh",
        "high",
        "rm /etc/profile.d/a.sh",
    ),
    "a boot entry": Deed(
        "printf 'title x\\nlinux /x\\noptions init=/bin/sh\\n' > /boot/loader/entries/rescue.conf",
        "boot:rescue.conf",
        "moderate",
        "rm /boot/loader/entries/rescue.conf",
    ),
    "a host key that others read": Deed(
        "chmod 644 /etc/ssh/ssh_host_ed25519_key",
        "own:/etc/ssh/ssh_host_ed25519_key",
        "high",
        "chmod 600 /etc/ssh/ssh_host_ed25519_key",
    ),
    "the guard's files, for everybody": Deed(
        "chmod 666 /var/lib/orchestrator/record",
        "own:/var/lib/orchestrator/record",
        "high",
        "chmod 644 /var/lib/orchestrator/record",
    ),
    "a path of the store, changed": Deed(
        "f=$(readlink -f /run/current-system)/nixos-version; chmod u+w $f; cp -p $f /root/version; "
        "printf x >> $f",
        "store:/nix/store/*-nixos-system-*",
        "critical",
        "f=$(readlink -f /run/current-system)/nixos-version; cat /root/version > $f; "
        "chmod 444 $f; touch -d @1 $f",
    ),
}

MODULE = """
  environment.etc."security-test".text = "one";
  environment.etc."security-gone".text = "one";
  environment.etc."security-copy" = { text = "one"; mode = "0644"; };
  networking.firewall.allowedTCPPorts = [ 4444 ];
  networking.firewall.allowedUDPPorts = [ 4446 ];
  users.users.anna = {
    isNormalUser = true;
    openssh.authorizedKeys.keys = [ "command=\\"true\\" DECLARED" ];
  };
""".replace("DECLARED", DECLARED)


def check(fleet: Bench, *words: str) -> dict[str, Any]:
    """What a check of the host says, as JSON; its exit code goes by what it found."""
    done = fleet.run("security", "check", "--json", "--sample", "1000", HOST, *words)
    found: dict[str, Any] = json.loads(done.out)[HOST]
    assert found["checked"], found
    alarms = [one for one in found["findings"] if one["alarm"]]
    assert done.rc == int(bool(alarms)), done
    return found


def alarms(found: dict[str, Any]) -> dict[str, str]:
    """The alarms of a check: each one's severity by its id."""
    return {one["id"]: one["severity"] for one in found["findings"] if one["alarm"]}


def all_of_them(fleet: Bench, scripts: dict[str, str]) -> None:
    """Run scripts on the host, one after another, each in a shell of its own."""
    each = (
        f"sh -c {quote(BEGIN + text)} > /dev/null || echo {quote(name)}"
        for name, text in scripts.items()
    )
    done = fleet.on(HOST, "\n".join(each))
    assert (done.rc, done.out) == (0, ""), done


@pytest.fixture
def rested(fleet: Bench) -> Iterator[Bench]:
    """A host as it was deployed, which is a fresh one afterwards."""
    fleet.module(HOST, MODULE)
    assert fleet.deploy(HOST).rc == 0
    yield fleet
    assert fleet.run("lab", "up", "--fresh", HOST, seconds=300).rc == 0


def test_each_misdeed_is_found_by_its_kind_and_nothing_else(rested: Bench) -> None:
    """A host is quiet; each deed is found with its severity; once all is undone, it is again."""
    first = check(rested)
    assert alarms(first) == {}
    assert first["compared"] == "configuration", first["why"]
    all_of_them(rested, {name: one.script for name, one in DEEDS.items()})
    found = check(rested)
    left = alarms(found)
    for name, one in DEEDS.items():
        ids = [id_ for id_ in left if fnmatchcase(id_, one.finding)]
        assert [left.pop(id_) for id_ in ids][:1] == [one.severity], (name, left)
    assert left == {}
    assert all(one["since"] > first["at"] for one in found["findings"] if one["alarm"])
    all_of_them(rested, {name: one.undo for name, one in DEEDS.items()})
    last = check(rested)
    assert alarms(last) == {}
    assert len(last["gone"]) >= len(DEEDS)


ROUNDS = int(os.environ.get("SECURITY_ROUNDS", "5"))
"""How many deployments in a row are to be quiet: 20 by ``scripts/test --long``."""

LIVING = f"""{BEGIN}
anna() {{ start --slice=user-$(id -u anna).slice --uid=anna "$@"; }}
mkdir -p /root/made/bin && cp /bin/busybox /root/made/bin/sleep
made=$(nix-store --add /root/made)
install -d -o anna ~anna/.local/bin ~anna/.config/systemd/user ~anna/box
cp /bin/sleep ~anna/.local/bin/mine
cp /bin/busybox ~anna/box/sleep
printf '[Service]\nExecStart=/bin/true\n' > ~anna/.config/systemd/user/own.service
anna --unit=of-a-shell "$made/bin/sleep" 99999
anna --unit=of-her-own ~anna/.local/bin/mine 99999
anna --unit=in-a-box unshare -r -p -f chroot ~anna/box /sleep 99999
anna --unit=listening perl -MIO::Socket -e 'my $s = IO::Socket::INET->new(Listen => 5,
  LocalAddr => "127.0.0.1", LocalPort => 3000) or die; my $u = IO::Socket::INET->new(
  Proto => "udp", LocalPort => 5353) or die; sleep 99999'
start --unit=by-hand /bin/sleep 99999
start --unit=of-nobody --property=DynamicUser=yes /bin/sleep 99999
start --unit=asks perl -MIO::Socket -e 'my $u = IO::Socket::INET->new(Proto => "udp",
  LocalPort => 40404) or die; sleep 99999'
"""
"""What people and services do on a host that lives, and nobody has to declare."""

OLD = """
  systemd.services.lasting = {
    wantedBy = [ "multi-user.target" ];
    restartIfChanged = false;
    serviceConfig.ExecStart =
      let
        copy = "mkdir $out; cp ${pkgs.busybox}/bin/busybox $out/sleep";
      in
      "${pkgs.runCommand "lasting-ROUND" { } copy}/sleep 99999";
  };
  systemd.timers.now-and-then = { timerConfig.OnCalendar = "daily"; };
  systemd.services.now-and-then.serviceConfig = {
    Type = "oneshot";
    ExecStart = "${pkgs.busybox}/bin/busybox true ROUND";
  };
  environment.etc."security-round".text = "ROUND";
  environment.etc."security-round-copy" = { text = "ROUND"; mode = "0644"; };
"""
"""A service that outlives deployments, as the process of an earlier closure; and what changes."""


def test_deployments_in_a_row_are_quiet_on_a_host_that_lives(rested: Bench) -> None:
    """After each deployment there is no alarm; what lives there is noted, an old process too."""
    done = rested.on(HOST, LIVING)
    assert done.rc == 0, done
    for number in range(ROUNDS):
        rested.module(HOST, MODULE + OLD.replace("ROUND", str(number)))
        deployed = rested.deploy(HOST)
        assert deployed.outcomes == {HOST: "deployed"}, deployed
        found = check(rested)
        assert alarms(found) == {}, number
        assert found["compared"] == "configuration", found["why"]
    notes = {one["id"] for one in found["findings"]}
    for note in ("*-made/bin/sleep", "*/.local/bin/mine", "*/box/sleep", "*an earlier system's"):
        assert any(fnmatchcase(one, f"process:{note}") for one in notes), (note, notes)
    assert {"socket:tcp/127.0.0.1:3000", "unit:by-hand.service"} <= notes


TOOL = """
  environment.systemPackages = map (one: pkgs.runCommand one.name { inherit (one) patches; } ''
    mkdir -p $out/bin
    echo > $out/bin/${one.name}
  '') [
    { name = "flawed-TOOL"; patches = [ ]; }
    { name = "kept-1.0"; patches = [ ]; }
    { name = "mended-1.0"; patches = [ PATCHES ]; }
    EXTRA
  ];
"""
PATCH = '(builtins.toFile "CVE-2026-3000.patch" "x")'


def advisory(number: int, package: str, fixed: str) -> dict[str, Any]:
    """An advisory as OSV has it."""
    events = [{"introduced": "0"}, {"fixed": fixed}]
    affected = {
        "package": {"ecosystem": "OSS-Fuzz", "name": package},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    return {"id": f"OSV-{number}", "aliases": [f"CVE-2026-{number}000"], "affected": [affected]}


def test_vulnerabilities_are_told_as_a_difference_of_real_closures(rested: Bench) -> None:
    """What a deployment fixes, brings, leaves, and has a patch for, by a made feed."""
    before = TOOL.replace("TOOL", "1.0").replace("PATCHES", "").replace("EXTRA", "")
    rested.module(HOST, MODULE + before)
    deployed = rested.deploy(HOST)
    assert deployed.outcomes == {HOST: "deployed"}, deployed
    after = TOOL.replace("TOOL", "1.1").replace("PATCHES", PATCH)
    rested.module(HOST, MODULE + after.replace("EXTRA", '{ name = "fresh-2.0"; patches = [ ]; }'))
    feed = [advisory(1, "flawed", "1.1"), advisory(2, "kept", "1.1"), advisory(3, "mended", "2")]
    rested.write("feed/all.json", json.dumps([*feed, advisory(4, "fresh", "3")]))
    done = rested.run("security", "vulnerabilities", HOST, "--json", "--feed", "feed")
    found = json.loads(done.out)
    fates = {one["package"]: one["fate"] for one in found["vulnerabilities"]}
    assert fates == {"flawed": "fixes", "kept": "leaves", "mended": "patched", "fresh": "brings"}
    assert found["sentence"] == "fixes 1, brings 1, leaves 1; 1 patched"
    assert done.rc == 1
