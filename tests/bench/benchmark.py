"""What the runner knows of a benchmark, and how one is run to a piece of the document."""

from __future__ import annotations

import asyncio
import os
import shutil
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.lab import seed
from tests.bench import peers
from tests.bench.machine import describe
from tests.bench.table import Table


@dataclass(frozen=True, slots=True)
class Options:
    """What a person chose.

    Attributes:
        nixpkgs: A real nixpkgs; without one, hosts cost what the lab's stand-in costs.
        repeat: How many times each contender is measured.
        quick: Small sizes, one repetition: to see that it works.
        largest: The most hosts that peers are measured with: with real NixOS, 20 take an hour.
    """

    nixpkgs: Path | None
    repeat: int
    quick: bool
    largest: int = 20


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One part of the document.

    Attributes:
        name: For ``--only``, and for the markers.
        run: Measures, and gives the tables with what stands above each.
        lacks: Why it cannot run here, in words; empty where it can.
        peers: Whether other tools take part.
    """

    name: str
    run: Callable[[Options], Awaitable[list[tuple[str, Table]]]]
    lacks: Callable[[Options], str] = lambda _: ""
    peers: bool = False


def lacks_lab(_: Options) -> str:
    """Why there can be no lab."""
    if os.geteuid() != 0:
        return "a lab needs root"
    return "" if seed.machine_has_nix() else "no Nix on the PATH"


def lacks_real(options: Options) -> str:
    """Why no real NixOS can be evaluated."""
    if options.nixpkgs is None:
        return "needs a real nixpkgs: --nixpkgs PATH"
    return "" if shutil.which("nix") else "no Nix on the PATH"


def part(benchmark: Benchmark, options: Options) -> tuple[str, bool]:
    """Run a benchmark; give its part of the document, and whether it ran to its end."""
    if reason := benchmark.lacks(options):
        return f"Not run: {reason}.", True
    footer = describe()
    try:
        pieces = asyncio.run(_awaited(benchmark, options))
    except Exception:
        traceback.print_exc()
        last = " ".join(traceback.format_exc().strip().splitlines()[-1].split())
        return f"Not run: {last[:400]}\n\n{_small(footer)}", False
    body = "\n\n".join(f"{title}\n\n{table.markdown()}".strip() for title, table in pieces)
    if benchmark.peers and (versions := peers.versions()):
        footer = f"{footer}; beside it {versions}"
    return f"{body}\n\n{_small(footer)}", True


async def _awaited(benchmark: Benchmark, options: Options) -> list[tuple[str, Table]]:
    return await benchmark.run(options)


def _small(text: str) -> str:
    return f"*Measured {text}.*"
