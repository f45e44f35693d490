"""Where faults are tried: a fleet of one host in a lab of its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.lab import network
from orchestrator.lab.faults import FaultOptions
from orchestrator.lab.lab import Lab
from tests.lab.faults.inside import Inside
from tests.lab.faults.observe import Seen, look
from tests.lab.fleet_bench import Bench, committed

HOST = "box"
USER = "deploy"
HOLDS = "/run/fault"
"""On the host: a file ``hold-X`` here holds X open, and ``at-X`` says that X was reached."""

_DISK = "600M"
# bash reads this before each command that sshd runs with it. The hold names a part of the command.
_HOLD_LOGINS = r"""
cat > /var/lib/deploy/.bashrc << 'END'
hold=/run/fault/hold-login
if [ -e $hold ]; then
  case $BASH_EXECUTION_STRING in *"$(cat $hold)"*)
    : > /run/fault/at-login
    while [ -e $hold ]; do sleep 0.05; done ;;
  esac
fi
END
"""

_FLAKE = """\
{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.05";
  outputs = { nixpkgs, ... }: {
    nixosConfigurations.box = nixpkgs.lib.nixosSystem {
      system = "x86_64-linux";
      modules = [ ./base.nix ./change.nix ];
    };
  };
}
"""
# Nothing in it repairs anything: what a change breaks must be mended by who takes it back.
_BASE = """\
{
  networking.hostName = "box";
  system.stateVersion = "25.05";
  services.openssh.enable = true;
}
"""
# Short deadlines, so that a fault that stays is met within seconds.
INVENTORY = """\
hosts:
  box:
    address: 10.77.0.2
    connect: {user: deploy, sudo: true}
    deadlines: {connect: 4s, copy: 30s, activate: 10s, verify: 8s, lock: 6s}
    guard: {confirm: 8s, health: 16s}
    verify: {suites: [checks], settle: 0s, retries: 1}
"""
_CHECK = """\
def test_it_is_there(host):
    assert host.file("/etc/hostname").content_string.strip() == "box"
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """One host, the fleet that it is, and the lab that it lives in."""

    bench: Bench
    lab: Lab

    @property
    def inside(self) -> Inside:
        """The host by the lab's own way."""
        return Inside(self.lab, HOST)

    def renew(self) -> None:
        """Have a newly installed host, and deploy it once."""
        self.configure()
        self.lab.up([HOST], fresh=True, disk_size=_DISK)
        self.inside.sh(_HOLD_LOGINS)
        first = self.bench.deploy(HOST)
        assert first.rc == 0, first

    def look(self) -> Seen:
        """What the host is now."""
        return look(self.inside)

    def fault(self, kind: str, **options: object) -> None:
        """Put a fault of the lab into the host."""
        self.lab.fault(HOST, kind, FaultOptions(**options))  # type: ignore[arg-type]

    def hold(self, what: str, text: str = "") -> None:
        """Have the host wait when it comes to something.

        Args:
            what: Such as ``login``, for each command that comes over SSH.
            text: Of a command over SSH, what must be in it.
        """
        self.inside.sh(
            f"mkdir -p -m 0777 {HOLDS}; chmod 0777 {HOLDS}; rm -f {HOLDS}/at-{what}; "
            f'printf %s "$1" > {HOLDS}/hold-{what}',
            text,
        )

    def release(self, what: str) -> None:
        """Let the host go on; one that is off holds nothing."""
        if self.inside.on:
            self.inside.sh(f"rm -f {HOLDS}/hold-{what}")

    def holds_at(self, what: str) -> bool:
        """Whether the host waits there."""
        return self.inside.has(f"{HOLDS}/at-{what}")

    def widen(self) -> None:
        """Let the cable carry all that it can, and leave every other fault as it is."""
        host = self.lab.host(HOST)
        if host.running:
            network.mend(host, self.lab.network)

    def thaw(self) -> None:
        """Let a frozen host go on."""
        if self.lab.host(HOST).cgroup.frozen:
            self.fault("thaw")

    def mend(self) -> None:
        """Undo every fault of the lab, and have the host powered on."""
        self.thaw()
        if not self.lab.host(HOST).running:
            self.fault("start")
        self.fault("heal")

    def build(self) -> str:
        """Build what the fleet wants now, and return its path."""
        done = self.bench.run("build", "--json", HOST)
        assert done.rc == 0, done
        return str(done.report["hosts"][HOST]["out_path"])

    def configure(self, body: str = "", check: str = _CHECK) -> None:
        """Have the fleet want a system that no host ever had.

        Args:
            body: Its configuration, beside what every system here has; ``marker`` in it is a text
                of this system alone.
            check: Its verification.
        """
        marker = f'marker = "{time.time_ns()}";'
        mark = 'environment.etc."marker".text = marker;'
        self.bench.write("change.nix", f"{{ pkgs, ... }}: let {marker} in {{\n{mark}\n{body}\n}}\n")
        self.bench.write("checks/test_it.py", check)


def prepare(folder: Path, inventory: str = INVENTORY) -> Ground:
    """Make the fleet, boot its host, and deploy it once."""
    root = folder / "fleet"
    (root / "inventory").mkdir(parents=True)
    (root / "checks").mkdir()
    for name, text in (
        ("flake.nix", _FLAKE),
        ("base.nix", _BASE),
        ("change.nix", "{ ... }: { }\n"),
        ("inventory/hosts.yaml", inventory),
        ("checks/test_it.py", _CHECK),
    ):
        (root / name).write_text(text)
    bench = committed(Bench(root, folder / "home"))
    ground = Ground(bench, Lab.of(root))
    try:
        ground.renew()
    except BaseException:
        dismantle(ground)
        raise
    return ground


def dismantle(ground: Ground) -> None:
    """End the lab, and forget all that it made."""
    ground.lab.down(purge=True)
    shutil.rmtree(ground.bench.root.parent, ignore_errors=True)


def until(what: Callable[[], bool], seconds: float, why: str) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: It is not within so many seconds.
    """
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"{why}: not within {seconds:.0f} s"
        time.sleep(0.05)
