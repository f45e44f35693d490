"""As many verdicts as wanted: ``scripts/lib/with-nix .venv/bin/python tests/fuzz --help``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from campaign import campaigns
from repository import KINDS, nix

from orchestrator.changes.tracing import evaluation, ways
from orchestrator.changes.tracing.tracer import Tracer
from orchestrator.nix.verbs import version as nix_version


async def _main() -> int:
    parser = argparse.ArgumentParser(prog="tests/fuzz")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verdicts", type=int, default=5000)
    parser.add_argument("--steps", type=int, default=20, help="edits to one repository")
    parser.add_argument("--kind", choices=KINDS, action="append", help="of repository")
    parser.add_argument("--tracer", choices=("shim", "strace"))
    chosen = parser.parse_args()
    version = await nix_version()
    with tempfile.TemporaryDirectory() as folder:
        total = await campaigns(
            Path(folder).resolve(),
            chosen.seed,
            chosen.verdicts,
            await _tracer(chosen.tracer),
            kinds=chosen.kind or [name for name in KINDS if KINDS[name].since <= version],
            steps=chosen.steps,
            told=_tell,
        )
    sys.stdout.write(f"{nix('--version', cwd=Path.cwd()).stdout.strip()}: {total}\n")
    return 1 if total.wrong else 0


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


async def _tracer(name: str | None) -> Tracer:
    if name is not None:
        return await ways.compiled() if name == "shim" else ways.found()
    found = await evaluation.choose()
    if found.tracer is None:
        raise SystemExit(found.sentence)
    return found.tracer


sys.exit(asyncio.run(_main()))
