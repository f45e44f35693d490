"""One host changed: where the time goes, beside the same steps by hand.

The phases are told apart by the events of ``--json``, as they come. By hand it is evaluated, built,
copied by ``nix copy``, set as the profile and switched to: without a check, a guard or a proof.
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.all_changed import SWITCH, nix_here
from tests.bench.bench_lab import NIX, BenchLab, bench_lab
from tests.bench.table import Table, seconds
from tests.bench.timing import run
from tests.lab.fleet_bench import ORCHESTRATOR

BEGIN, END = "start, and the fleet's files", "report, and the end of the process"
PHASES = {
    "evaluate": "evaluate, ask",
    "ask": "evaluate, ask",
    "build": "build",
    "preflight": "check",
    "copy": "copy",
    "activate": "activate",
    "prove": "prove",
    "verify": "prove",
    "commit": "commit",
}
"""The rows, by the events' names. What is asked again once it is built is part of the checks."""
ROWS = (BEGIN, *dict.fromkeys(PHASES.values()), END)
BUILT = "build"


@dataclass(slots=True)
class OneHost:
    """Repetitions, in seconds.

    Attributes:
        ours: Of each phase.
        by_hand: Of each step that has one by hand, under the phase's name.
    """

    ours: dict[str, list[float]] = field(default_factory=dict)
    by_hand: dict[str, list[float]] = field(default_factory=dict)


async def measure(nixpkgs: Path | None, repeat: int) -> OneHost:
    """Change a host by hand and by a deployment in turn, a commit of its own for each.

    Args:
        nixpkgs: A real nixpkgs to evaluate it with, or none.
        repeat: How many times over.
    """
    found = OneHost()
    with bench_lab(1, nixpkgs, None) as lab:
        for number in range(repeat):
            lab.change(lab.hosts, f"by hand {number}")
            _add(found.by_hand, _by_hand(lab, lab.hosts[0]))
            lab.change(lab.hosts, f"ours {number}")
            _add(found.ours, _ours(lab, lab.hosts[0]))
            lab.learn()
    return found


def _add(series: dict[str, list[float]], more: dict[str, float]) -> None:
    for name, value in more.items():
        series.setdefault(name, []).append(value)


def _by_hand(lab: BenchLab, host: str) -> dict[str, float]:
    installable = f'.#nixosConfigurations."{host}".config.system.build.toplevel'
    evaluated = nix_here(lab, "path-info", "--derivation", installable)
    drv = evaluated.said.strip().splitlines()[-1]
    built = nix_here(lab, "build", "--no-link", "--print-out-paths", f"{drv}^*")
    out = built.said.strip().splitlines()[-1]
    argv = lab.inside((*NIX, "copy", "--no-check-sigs", "--to", f"ssh-ng://root@{host}", out))
    copied = run(argv, cwd=lab.bench.root, env=lab.environment())
    assert copied.rc == 0, copied.said
    switched = lab.on(host, SWITCH.format(out=out))
    assert switched.rc == 0, switched.said
    activated = int(switched.said.strip().splitlines()[-1]) / 1e9
    return {
        "evaluate, ask": evaluated.seconds,
        "build": built.seconds,
        "copy": copied.seconds,
        "activate": activated,
    }


def _ours(lab: BenchLab, host: str) -> dict[str, float]:
    """Deploy, and note when each phase begins."""
    marks = [(time.perf_counter(), BEGIN)]
    argv = (str(ORCHESTRATOR), "deploy", "--json", host)
    with subprocess.Popen(
        argv,
        cwd=lab.bench.root,
        env=lab.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if (row := _row(json.loads(line), marks)) is not None:
                marks.append((time.perf_counter(), row))
    assert process.returncode == 0, f"exit {process.returncode}"
    return _between([*marks, (time.perf_counter(), "")])


def _row(event: dict[str, object], marks: Sequence[tuple[float, str]]) -> str | None:
    """The row that an event opens; ``None``: it opens none."""
    match event["type"]:
        case "phase":
            row = PHASES.get(str(event["phase"]))
            built = any(name == BUILT for _, name in marks)
            return "check" if event["phase"] == "ask" and built else row
        case "report":
            return END
    return None


def _between(marks: Sequence[tuple[float, str]]) -> dict[str, float]:
    took = dict.fromkeys(ROWS, 0.0)
    for (began, row), (ended, _) in itertools.pairwise(marks):
        took[row] += ended - began
    return took


def table(found: OneHost) -> Table:
    """Each phase, its step by hand, both together, and what a change may take."""
    ours = {row: statistics.median(values) for row, values in found.ours.items()}
    by_hand = {row: statistics.median(values) for row, values in found.by_hand.items()}
    rows = [
        (row, seconds(ours[row]), seconds(by_hand[row]) if row in by_hand else "-") for row in ROWS
    ]
    whole, least = sum(ours.values()), sum(by_hand.values())
    rows.append(("together", seconds(whole), seconds(least)))
    given = sum(by_hand[row] for row in ("evaluate, ask", "build", "copy"))
    beyond = f"{(whole - given) / by_hand['activate']:.1f} x"
    rows.append(("together, in multiples of the steps by hand", f"{whole / least:.1f} x", ""))
    rows.append(("beyond evaluation, build and copy by hand, in activations", beyond, "1.0 x"))
    return Table(("", "`orchestrator deploy`", "by hand"), tuple(rows))
