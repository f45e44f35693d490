"""As many cases as wanted: ``.venv/bin/python -m tests.trust --help``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.trust import judges
from tests.trust.campaign import campaign
from tests.trust.keys import make_keys


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _main() -> int:
    parser = argparse.ArgumentParser(prog="tests.trust")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--connect", action="store_true", help="make the whole connection")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tally = asyncio.run(
            campaign(
                make_keys(folder),
                folder,
                chosen.seed,
                chosen.cases,
                connect=judges.ours_connecting if chosen.connect else None,
                told=_tell,
            )
        )
    for text in (*tally.examples.values(), *tally.wrong):
        sys.stdout.write(f"{text}\n")
    sys.stdout.write(f"seed {chosen.seed}: {tally}\n")
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(_main())
