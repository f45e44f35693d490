"""A campaign: rounds dealt to workers, results kept as they come, and nothing left at the end."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from orchestrator.lab import image
from orchestrator.lab.image import Image
from orchestrator.lab.lab import Lab, silent
from tests.lab.faults.campaign.counts import lacking
from tests.lab.faults.campaign.plan import Round, further, plan
from tests.lab.faults.campaign.play import Played

Key = tuple[int, int]

_LONGEST = 480.0
"""Seconds after which a worker that says nothing is ended, and another one begun."""

_ENDS = 60.0
_MORE = 3
"""How often rounds are added for the cells that were not struck often enough."""


class _Hand:
    """A worker's process, begun when it is needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._over = False

    def play(self, each: Round) -> Played:
        """Have a round played; a worker that does not answer is told as a round not played."""
        line = f"{each.seed} {each.number}\n".encode()
        process = self._living()
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.write(line)
            process.stdin.flush()
            if select.select([process.stdout], [], [], _LONGEST)[0]:
                answer = process.stdout.readline()
                if answer.endswith(b"\n"):
                    return Played(**json.loads(answer))
        self.end()
        played = Played(each.seed, each.number, each.fault.name, each.column, each.phase)
        played.why_not = "its worker did not answer"
        return played

    def close(self) -> None:
        """End it for good."""
        self._over = True
        self.end()

    def end(self) -> None:
        """End it with its lab, however it is."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_ENDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        Lab.of(self._folder / "ground/fleet").down(purge=True)

    def _living(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.end()
            if self._over:
                raise RuntimeError("the campaign is over")
            self._process = self._start()
        return self._process

    def _start(self) -> subprocess.Popen[bytes]:
        cache = self._folder / "cache"
        cache.mkdir(parents=True, exist_ok=True)
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                (
                    *(sys.executable, "-m", "tests.lab.faults.campaign.worker"),
                    *(str(self._folder / "ground"), str(Image.wanted().path)),
                ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "ORCHESTRATOR_CACHE": str(cache)},
                start_new_session=True,
            )


def run(
    keys: Iterable[Key],
    workers: int,
    folder: Path,
    tell: Callable[[Played], None],
    played: list[Played],
    *,
    fill: bool = True,
) -> None:
    """Play rounds on so many labs at once.

    Args:
        keys: Seeds and numbers.
        workers: How many labs.
        folder: For all that they make.
        tell: Hears each result.
        played: The results so far; those to come are added.
        fill: Add rounds until each cell was struck often enough.
    """
    image.ensure(silent)
    todo = list(keys)
    seeds = sorted({seed for seed, _ in todo})
    hands = [_Hand(folder / str(number)) for number in range(workers)]
    try:
        _play_all(todo, hands, tell, played)
        for _ in range(_MORE if fill and seeds else 0):
            if not (more := _further(seeds, played)):
                break
            _play_all(more, hands, tell, played)
    finally:
        _end_all(hands)


def _end_all(hands: list[_Hand]) -> None:
    threads = [threading.Thread(target=hand.close) for hand in hands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _play_all(
    keys: Iterable[Key], hands: list[_Hand], tell: Callable[[Played], None], played: list[Played]
) -> None:
    waiting: queue.SimpleQueue[Key] = queue.SimpleQueue()
    for key in keys:
        waiting.put(key)
    telling, over = threading.Lock(), threading.Event()

    def work(hand: _Hand) -> None:
        while not over.is_set():
            try:
                key = waiting.get_nowait()
            except queue.Empty:
                return
            result = hand.play(plan(*key))
            with telling:
                if not over.is_set():
                    played.append(result)
                    tell(result)

    threads = [threading.Thread(target=work, args=(hand,), daemon=True) for hand in hands]
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.2)
    finally:
        over.set()


def _further(seeds: list[int], played: list[Played]) -> list[Key]:
    """Rounds for the cells that were not struck often enough, dealt to all seeds in turn."""
    done = {(one.seed, one.number) for one in played}
    keys: list[Key] = []
    for turn, ((fault, column), count) in enumerate(lacking(played).items()):
        seed = seeds[turn % len(seeds)]
        new = (one for one in further(column, fault, seed) if (one.seed, one.number) not in done)
        keys += [(one.seed, one.number) for one, _ in zip(new, range(count), strict=False)]
    return keys


def kept(file: Path) -> list[Played]:
    """The results in a file, a line each; none where it is not there."""
    if not file.exists():
        return []
    return [Played(**json.loads(line)) for line in file.read_text().split("\n") if line]


def keep(file: Path, result: Played) -> None:
    """Add a result to a file."""
    with file.open("a") as end:
        end.write(json.dumps(asdict(result), default=repr) + "\n")


def keys_of(seeds: Iterable[int], rounds: int, done: Iterable[Played]) -> Iterator[Key]:
    """Each seed's rounds, but for those that were played already."""
    already = {(one.seed, one.number) for one in done if not one.why_not}
    for seed in seeds:
        yield from ((seed, n) for n in range(rounds) if (seed, n) not in already)
