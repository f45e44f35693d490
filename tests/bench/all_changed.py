"""Every host changed: the whole deployment against the least that it can take.

The floor is what the slowest host needs by itself: its evaluation, its build, its bytes over the
link, its activation; each is measured alone, on an idle machine, just before. All hosts at once
cannot be faster than that, nor than all evaluations on the cores that there are.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import peers
from tests.bench.bench_lab import NIX, BenchLab, bench_lab
from tests.bench.table import Table, seconds, spread
from tests.bench.timing import Ran, Series, run

HOSTS = 5
PROBE_BYTES = 64 * 1024**2
SWITCH = """
set -e
begin=$(date +%s%N)
nix-env --profile /nix/var/nix/profiles/system --set {out} 2>/dev/null
{out}/bin/switch-to-configuration switch >/dev/null 2>&1
echo $(($(date +%s%N) - begin))
"""


@dataclass(frozen=True, slots=True)
class Parts:
    """One host's way, each part alone, in seconds."""

    evaluate: float
    build: float
    link: float
    activate: float

    @property
    def whole(self) -> float:
        """All of it, one part after the other."""
        return self.evaluate + self.build + self.link + self.activate


@dataclass(frozen=True, slots=True)
class Floor:
    """What one change of all hosts takes at least, in seconds.

    Attributes:
        slowest: The host whose way takes longest.
        evaluations: Of all hosts, added.
        cores: How many evaluations can run at a time.
    """

    slowest: Parts
    evaluations: float
    cores: int

    @property
    def here(self) -> float:
        """With the cores of this machine: all evaluations on them, then the rest of one way."""
        rest = self.slowest.whole - self.slowest.evaluate
        return max(self.slowest.whole, self.evaluations / self.cores + rest)


@dataclass(frozen=True, slots=True)
class AllChanged:
    """Repetitions of the floor and of the deployment, taken in turn."""

    real: bool
    hosts: int
    floors: list[Floor]
    ours: Series


async def measure(nixpkgs: Path | None, repeat: int, hosts: int = HOSTS) -> AllChanged:
    """Measure the floor and a deployment in turn, a commit of its own for each.

    Args:
        nixpkgs: A real nixpkgs to evaluate the hosts with, or none.
        repeat: How many times over.
        hosts: How many hosts there are.
    """
    floors, ours = [], Series()
    with bench_lab(hosts, nixpkgs, peers.activate_program()) as lab:
        speed = _link_speed(lab)
        for number in range(repeat):
            lab.change(lab.hosts, f"floor {number}")
            parts = [_parts(lab, host, speed) for host in lab.hosts]
            floors.append(_floor(parts))
            lab.change(lab.hosts, f"{peers.OURS} {number}")
            ours.add(lab.ours("deploy", *lab.hosts))
            lab.learn()
    return AllChanged(nixpkgs is not None, hosts, floors, ours)


def _floor(parts: Sequence[Parts]) -> Floor:
    slowest = max(parts, key=lambda one: one.whole)
    cores = min(len(parts), os.cpu_count() or 1)
    return Floor(slowest, sum(one.evaluate for one in parts), cores)


def _parts(lab: BenchLab, host: str, speed: float) -> Parts:
    """Take one host all the way by hand, and time each step."""
    installable = f'.#nixosConfigurations."{host}".config.system.build.toplevel'
    evaluated = nix_here(lab, "path-info", "--derivation", installable)
    drv = evaluated.said.strip().splitlines()[-1]
    built = nix_here(lab, "build", "--no-link", "--print-out-paths", f"{drv}^*")
    out = built.said.strip().splitlines()[-1]
    size = _missing_bytes(lab, host, out)
    copied = run(
        lab.inside((*NIX, "copy", "--no-check-sigs", "--to", f"ssh-ng://root@{host}", out)),
        cwd=lab.bench.root,
        env=lab.environment(),
    )
    assert copied.rc == 0, copied.said
    switched = lab.on(host, SWITCH.format(out=out))
    assert switched.rc == 0, switched.said
    nanoseconds = int(switched.said.strip().splitlines()[-1])
    return Parts(evaluated.seconds, built.seconds, size / speed, nanoseconds / 1e9)


def nix_here(lab: BenchLab, *arguments: str) -> Ran:
    """Run one of Nix's verbs in the fleet's folder, to its good end."""
    done = run((*NIX, *arguments), cwd=lab.bench.root, env=lab.environment())
    assert done.rc == 0, done.said
    return done


def _missing_bytes(lab: BenchLab, host: str, out: str) -> int:
    """How many bytes of a closure a host does not have."""
    said = nix_here(lab, "path-info", "--recursive", "--json", out).said
    # Nix before 2.19 gives a list.
    listed = json.loads(said)
    sizes = (
        {path: info["narSize"] for path, info in listed.items()}
        if isinstance(listed, dict)
        else {info["path"]: info["narSize"] for info in listed}
    )
    asked = lab.on(host, f"nix-store --check-validity --print-invalid {' '.join(sizes)}")
    return sum(sizes[path] for path in asked.said.split() if path in sizes)


def _link_speed(lab: BenchLab) -> float:
    """Bytes a second of one open SSH connection to a host; its opening is not counted."""
    host = lab.hosts[0]
    opened = statistics.median(lab.on(host, "true").seconds for _ in range(3))
    sent = lab.on(host, f"head -c {PROBE_BYTES} /dev/zero")
    return PROBE_BYTES / max(sent.seconds - opened, 0.001)


def table(found: AllChanged) -> Table:
    """The parts of the floor, the floors, and how far above them we are."""
    floors = found.floors
    if not floors or found.ours.median is None:
        return Table(("", ""), (("orchestrator", "**failed**"),), (found.ours.failure,))
    parts = [
        ("evaluation", _median([floor.slowest.evaluate for floor in floors])),
        ("build", _median([floor.slowest.build for floor in floors])),
        ("bytes over the link", _median([floor.slowest.link for floor in floors])),
        ("activation", _median([floor.slowest.activate for floor in floors])),
    ]
    slowest = _median([floor.slowest.whole for floor in floors])
    here = _median([floor.here for floor in floors])
    rows = [
        *((f"slowest host: {name}", seconds(value), "") for name, value in parts),
        (
            "floor: the slowest host by itself",
            seconds(slowest),
            f"{found.ours.median / slowest:.2f}",
        ),
        (
            f"floor with {floors[0].cores} cores for {found.hosts} evaluations",
            seconds(here),
            f"{found.ours.median / here:.2f}",
        ),
        (f"`orchestrator deploy`, {found.hosts} hosts", spread(found.ours), ""),
    ]
    return Table(("", "time", "ours in multiples of it"), tuple(rows))


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)
