"""Where faults are tried: a fleet of one host in a lab of its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.lab import network
from orchestrator.lab.faults import FaultOptions
from orchestrator.lab.lab import Lab, Source
from tests.lab.faults.inside import Inside
from tests.lab.faults.observe import Seen, look
from tests.lab.fleet_bench import Bench, committed

HOST = "box"
USER = "deploy"
HOLDS = "/run/fault"
"""On the host: a file ``hold-X`` here holds X open, and ``at-X`` says that X was reached."""

_DISK = "600M"
_DISK_OF_NIXOS = "6G"
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
# On NixOS a host has the accounts that its configuration names, and boots by a loader.
_BASE_OF_NIXOS = """\
{
  imports = [ ./plain.nix ];
  boot.loader.systemd-boot.enable = true;
  users.users.deploy = {
    isSystemUser = true;
    group = "deploy";
    home = "/var/lib/deploy";
    createHome = true;
    useDefaultShell = true;
  };
  users.groups.deploy = { };
  security.sudo.extraRules = [
    { users = [ "deploy" ]; commands = [ { command = "ALL"; options = [ "NOPASSWD" ]; } ]; }
  ];
  nix.settings.trusted-users = [ "deploy" ];
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
INVENTORY_OF_NIXOS = INVENTORY.replace(
    "copy: 30s, activate: 10s, verify: 8s", "copy: 60s, activate: 30s, verify: 20s"
).replace("confirm: 8s, health: 16s", "confirm: 15s, health: 30s")
"""A switch of NixOS takes seconds, where the stand-in's takes a moment."""
_CHECK = """\
def test_it_is_there(host):
    assert host.file("/etc/hostname").content_string.strip() == "box"
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """One host, the fleet that it is, the lab that it lives in, and its nixpkgs, if of its own."""

    bench: Bench
    lab: Lab
    nixpkgs: str = ""

    @property
    def inside(self) -> Inside:
        """The host by the lab's own way."""
        return Inside(self.lab, HOST)

    def renew(self) -> None:
        """Have a newly installed host, and deploy it once."""
        self.configure()
        source = Source(self.nixpkgs, str(self.bench.root)) if self.nixpkgs else None
        disk = _DISK_OF_NIXOS if self.nixpkgs else _DISK
        self.lab.up([HOST], fresh=True, disk_size=disk, source=source)
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
        self.bench.write(
            "change.nix", f"{{ lib, pkgs, ... }}: let {marker} in {{\n{mark}\n{body}\n}}\n"
        )
        self.bench.write("checks/test_it.py", check)


def prepare(folder: Path, inventory: str | None = None, nixpkgs: str = "") -> Ground:
    """Make the fleet, boot its host, and deploy it once.

    Args:
        folder: Where.
        inventory: Its inventory, where it is not :data:`INVENTORY`.
        nixpkgs: What the host is built by; the lab's stand-in where none is named.
    """
    root = folder / "fleet"
    inventory = inventory or (INVENTORY_OF_NIXOS if nixpkgs else INVENTORY)
    (root / "inventory").mkdir(parents=True)
    (root / "checks").mkdir()
    for name, text in (
        ("flake.nix", _FLAKE),
        ("base.nix", _BASE_OF_NIXOS if nixpkgs else _BASE),
        ("plain.nix", _BASE),
        ("change.nix", "{ ... }: { }\n"),
        ("inventory/hosts.yaml", inventory),
        ("checks/test_it.py", _CHECK),
    ):
        (root / name).write_text(text)
    bench = committed(Bench(root, folder / "home"))
    ground = Ground(bench, Lab.of(root), nixpkgs)
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
