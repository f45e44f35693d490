"""Case by case: what ssh says, what we say, and what it means where they differ."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.core.values import replace
from tests.trust import judges
from tests.trust.cases import Case, Generator
from tests.trust.judges import Verdict
from tests.trust.keys import Keys
from tests.trust.peers import Peer, peers

_AT_ONCE = 8

Connecting = Callable[[Case], Awaitable[Verdict]]
"""A way to a host: a deployment's, or a command's."""


@dataclass(slots=True)
class Tally:
    """The counts.

    Attributes:
        stricter: We refuse though ssh accepts: by class.
        wrong: We accept though ssh refuses: each told in full. There must be none.
    """

    accepted: int = 0
    refused: int = 0
    stricter: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    examples: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        counted = self.stricter.most_common()
        classes = ", ".join(f"{number} times {name}" for name, number in counted)
        return (
            f"{self.accepted + self.refused + self.stricter.total() + len(self.wrong)} verdicts: "
            f"{self.accepted} accepted by both, {self.refused} refused by both, "
            f"{self.stricter.total()} refused by us alone ({classes or 'none'}), "
            f"{len(self.wrong)} accepted by us alone"
        )

    def count(self, case: Case, theirs: Verdict, ours: Verdict) -> None:
        """Add one case."""
        match theirs.accepted, ours.accepted:
            case True, True:
                self.accepted += 1
            case False, False:
                self.refused += 1
            case True, False:
                name = class_of(ours.reason)
                self.stricter[name] += 1
                self.examples.setdefault(name, _told(case, theirs, ours))
            case _:
                self.wrong.append(_told(case, theirs, ours))


_CLASSES = (
    ("KnownHostsCommand and CheckHostIP", "KnownHostsCommand with CheckHostIP"),
    ("is not one for", "certificate for nobody in particular"),
    ("(@revoked in known_hosts)", "revoked without the port, and its certificate looked up there"),
    ("(HostKeyAlgorithms)", "known key of a kind that HostKeyAlgorithms leaves out"),
    ("whole path, without spaces", "a file's name cannot be told"),
)


def class_of(reason: str) -> str:
    """Which class a difference is of, by what we said."""
    return next((name for words, name in _CLASSES if words in reason), f"other: {reason}")


def _told(case: Case, theirs: Verdict, ours: Verdict) -> str:
    files = "".join(
        f"--- {file.name}\n{file.read_bytes()!r}\n"
        for file in sorted(case.folder.rglob("*"))
        if file.is_file()
    )
    return (
        f"{case.folder.name}: {case.address} port {case.port}, {case.peer} answers\n"
        f"ssh: {theirs}\nwe: {ours}\n{files}"
    )


async def campaign(
    keys: Keys,
    folder: Path,
    seed: int,
    cases: int,
    *,
    connect: Connecting | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Tally:
    """Judge a number of cases.

    Args:
        keys: To make them with.
        folder: For their files.
        seed: Of the generator.
        cases: How many.
        connect: Makes the whole connection, too: the way to it.
        told: Told now and then how far it is.
    """
    tally = Tally()
    async with peers(keys) as found:
        generator = Generator(seed, keys, tuple(found), folder)
        for first in range(0, cases, _AT_ONCE):
            some = [generator.case() for _ in range(first, min(cases, first + _AT_ONCE))]
            verdicts = [_judge(one, found[one.peer], keys, connect=connect) for one in some]
            for case, judged in zip(some, await asyncio.gather(*verdicts), strict=True):
                for one in judged:
                    tally.count(*one)
                shutil.rmtree(case.folder)
            if first // 500 != (first + _AT_ONCE) // 500:
                told(str(tally))
    return tally


Judged = tuple[Case, Verdict, Verdict]


async def _judge(case: Case, peer: Peer, keys: Keys, *, connect: Connecting | None) -> list[Judged]:
    judges.write_config(case, peer)
    if connect is not None:
        both = judges.openssh(case), connect(case)
        theirs, mine = await asyncio.gather(*both)
        return [(case, theirs, mine)]
    return await _in_both_orders(case, peer, keys)


async def _in_both_orders(case: Case, peer: Peer, keys: Keys) -> list[Judged]:
    """Judge two hosts of the same files: what is shared between them must not matter."""
    said: dict[str, Verdict] = {}
    found: list[Judged] = []
    for copy, order in (("config", (0, 1)), ("copy", (1, 0))):
        one = replace(case, copy=copy)
        judges.write_config(one, peer)
        for number in order:
            asked = replace(one, address=(case.address, case.sibling)[number])
            if asked.address not in said:
                said[asked.address] = await judges.openssh(asked)
            found.append((asked, said[asked.address], await judges.ours(asked, peer, keys)))
    return found
