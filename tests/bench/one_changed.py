"""One host of ten changed: the time, and what was done to the other nine."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import peers
from tests.bench.bench_lab import BenchLab, bench_lab
from tests.bench.table import Table, failures, ratio, spread
from tests.bench.timing import Ran, Series, interleaved

HOSTS = 10
COUNT = (
    "wc -l < /var/log/bench-activations;"
    " journalctl --quiet --unit ssh --output cat | grep -c 'Accepted publickey'"
)
_HAS_FLAKES = "builtins.getFlake"
NIX_PROGRAMS = (
    *("nix", "nix-build", "nix-copy-closure", "nix-env", "nix-eval-jobs", "nix-instantiate"),
    "nix-store",
)


@dataclass(frozen=True, slots=True)
class Done:
    """What one run of a tool did.

    Attributes:
        nix: Command lines of Nix, as they were started here.
        changed_activations: Of the host that changed.
        other_activations: Of all hosts that did not.
        other_connections: SSH connections to all hosts that did not.
    """

    nix: tuple[str, ...]
    changed_activations: int
    other_activations: int
    other_connections: int

    @property
    def evaluations(self) -> int:
        """How many of the Nix processes evaluated something of the flake."""
        return sum(_evaluates(line) for line in self.nix)


@dataclass(frozen=True, slots=True)
class OneChanged:
    """Each tool's repetitions, and what its last one did."""

    real: bool
    hosts: int
    series: dict[str, Series]
    done: dict[str, Done]


async def measure(nixpkgs: Path | None, repeat: int, hosts: int = HOSTS) -> OneChanged:
    """Measure; each run of each tool has a commit of its own, so no cache helps the next one.

    Args:
        nixpkgs: A real nixpkgs to evaluate the hosts with, or none.
        repeat: How many changes each tool deploys.
        hosts: How many hosts there are.
    """
    activate = peers.activate_program()
    with counted_nix() as spy, bench_lab(hosts, nixpkgs, activate, front=spy) as lab:
        done: dict[str, Done] = {}
        contenders = {tool.name: _contender(tool, lab, spy, done) for tool in peers.present()}
        series = interleaved(contenders, repeat)
    return OneChanged(nixpkgs is not None, hosts, series, done)


def _contender(
    tool: peers.Tool, lab: BenchLab, spy: Path, done: dict[str, Done]
) -> peers.Contender:
    def contender(number: int) -> Ran:
        changed = lab.hosts[0]
        lab.change([changed], f"{tool.name} {number}")
        log = spy / "log"
        log.write_text("")
        before = _counts(lab)
        ran = tool.switch(lab, lab.hosts)
        nix = tuple(log.read_text().splitlines())
        done[tool.name] = _difference(nix, before, _counts(lab), changed)
        if tool.name == peers.OURS:
            lab.learn()
        return ran

    return contender


def _counts(lab: BenchLab) -> dict[str, tuple[int, int]]:
    """Each host's activations and accepted connections, since it was made."""
    said = lab.on_all(lab.hosts, COUNT)
    return {host: (int(text.split()[0]), int(text.split()[1])) for host, text in said.items()}


def _difference(
    nix: tuple[str, ...],
    before: dict[str, tuple[int, int]],
    after: dict[str, tuple[int, int]],
    changed: str,
) -> Done:
    activations = {host: after[host][0] - before[host][0] for host in after}
    # The question itself is a connection.
    connections = {host: after[host][1] - before[host][1] - 1 for host in after}
    return Done(
        nix,
        activations.pop(changed),
        sum(activations.values()),
        sum(number for host, number in connections.items() if host != changed),
    )


@contextmanager
def counted_nix() -> Iterator[Path]:
    """Give a folder for the front of the ``PATH``, whose ``nix`` writes its arguments to ``log``.

    It adds about a millisecond to each process of Nix.
    """
    spy = Path(tempfile.mkdtemp(prefix="orchestrator-bench-nix-"))
    try:
        for name in NIX_PROGRAMS:
            if (program := shutil.which(name)) is None:
                continue
            script = spy / name
            log = shlex.quote(str(spy / "log"))
            script.write_text(
                "#!/bin/sh\n"
                # One write a line: several at once must not mix.
                f'line=$(printf "%s " {name} "$@" | tr "\\n" " ")\n'
                f'printf "%s\\n" "$line" >> {log}\n'
                f'exec {shlex.quote(program)} "$@"\n'
            )
            script.chmod(0o755)
        yield spy
    finally:
        shutil.rmtree(spy, ignore_errors=True)


def _evaluates(line: str) -> bool:
    """Whether a command line of Nix evaluates the flake; to ask Nix what it can do is none."""
    words = line.split()
    if words[0] == "nix-instantiate":
        return not {"--find-file", "--parse", "--version"} & set(words) and words[-1] != _HAS_FLAKES
    if words[0] in ("nix-build", "nix-eval-jobs"):
        return True
    if {"eval", "check"} & set(words[:5]):
        return words[-1] != _HAS_FLAKES
    if "--derivation" in words:
        return "#" in line
    return "build" in words and any("#" in word for word in words)


def table(found: OneChanged) -> Table:
    """A row for each tool: its time, and what it did."""
    rows = [
        (
            name,
            spread(series),
            ratio(series, found.series[peers.OURS]),
            *_counts_of(found.done.get(name)),
        )
        for name, series in found.series.items()
    ]
    columns = (
        *("tool", "time", "ratio", "Nix processes", "that evaluate"),
        *("activations: the changed host", "the others", "connections to the others"),
    )
    return Table(columns, tuple(rows), (*failures(found.series), *peers.absent_notes()))


def _counts_of(done: Done | None) -> Sequence[str]:
    if done is None:
        return ("-",) * 5
    numbers = (
        *(len(done.nix), done.evaluations, done.changed_activations),
        *(done.other_activations, done.other_connections),
    )
    return [str(number) for number in numbers]
