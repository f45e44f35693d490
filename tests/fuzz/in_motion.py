"""As many verdicts as wanted, while the files move: ``python tests/fuzz/in_motion.py --help``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from moving import Moving, of_their_own
from repository import nix


async def _main() -> int:
    parser = argparse.ArgumentParser(prog="tests/fuzz/in_motion.py")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verdicts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=10, help="with one repository")
    parser.add_argument("--in-place", action="store_true", help="evaluate where people edit")
    chosen = parser.parse_args()
    verdicts, wrong, seed = 0, 0, chosen.seed
    while verdicts < chosen.verdicts:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            folder = Path(name).resolve()
            with of_their_own(folder):
                made = Moving(folder, seed, in_place=chosen.in_place)
                tally = await made.rounds(chosen.rounds, _tell)
        _tell("\n".join((*tally.wrong, f"seed {seed}: {tally}")))
        verdicts += tally.verdicts
        wrong += len(tally.wrong)
        seed += 1
    version = nix("--version", cwd=Path.cwd()).stdout.strip()
    sys.stdout.write(f"{version}: {verdicts} verdicts, {wrong} wrong\n")
    return 1 if wrong else 0


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
