"""A worker: a process with a lab, a cache and a Nix store of its own, that plays rounds.

A line with a seed and a number comes in, a line of JSON goes out. It ends with its standard input.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import traceback
from dataclasses import asdict
from pathlib import Path

from orchestrator.lab.image import Image
from tests.lab.faults.campaign.plan import Round, plan
from tests.lab.faults.campaign.play import Played, begin, play, renew
from tests.lab.faults.ground import Ground, dismantle

_LASTS = 20
"""Rounds after which a host has no room for more systems.

One whose state folder was read-only keeps files that only its next attempt would remove, and the
next round need not begin one.
"""


class _Worker:
    """Keeps a host whole between rounds.

    Args:
        folder: For all that it makes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ground: Ground | None = None
        self._rounds = 0

    def play(self, each: Round) -> Played:
        """Play a round; whatever goes wrong in playing it, the next one does not suffer from it."""
        whole = False
        try:
            played = play(self._whole_ground(), each)
            self._rounds += 1
            worn = self._rounds % _LASTS == 0 or each.fault.name == "state-folder-hidden"
            whole = not (played.wrong or played.why_not or worn)
        except Exception:  # told, and not counted
            played = Played(each.seed, each.number, each.fault.name, each.column, each.phase)
            played.why_not = traceback.format_exc()[-2000:]
        if not whole:
            self._renew()
        return played

    def end(self) -> None:
        """End the lab."""
        if self._ground is not None:
            dismantle(self._ground)
            self._ground = None

    def _whole_ground(self) -> Ground:
        if self._ground is None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._ground = begin(self._folder)
        return self._ground

    def _renew(self) -> None:
        try:
            if self._ground is not None:
                renew(self._ground)
        except Exception:  # the whole lab is made again then, for the next round
            self.end()


def _borrow(image: Path) -> None:
    """Use a base image that was made already; by its path it would be another in our cache."""
    ours = Image.wanted().path
    if not ours.exists():
        ours.symlink_to(image)


def main() -> None:
    """Play until standard input ends."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder, image = map(Path, sys.argv[1:])
    _borrow(image)
    worker = _Worker(folder)
    try:
        for line in sys.stdin:
            seed, number = map(int, line.split())
            played = worker.play(plan(seed, number))
            sys.stdout.write(json.dumps(asdict(played), default=repr) + "\n")
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        worker.end()


if __name__ == "__main__":
    main()
