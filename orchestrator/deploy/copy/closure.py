"""What of a closure is to be copied: asked of the store here and of the host."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from orchestrator.core import process
from orchestrator.core.copying import Load
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.lines import split_lines
from orchestrator.core.store import OutPath
from orchestrator.deploy.copy.codec import Codec
from orchestrator.deploy.copy.spool import Wanted
from orchestrator.host import scripts

_SECONDS = 300.0
_BATCH = 5000


@dataclass(frozen=True, slots=True)
class Lacking:
    """What a host lacks of a closure.

    Attributes:
        paths: In an order in which references come first.
        codecs: What the host can undo, the best first.
    """

    paths: tuple[Wanted, ...]
    codecs: tuple[Codec, ...]

    @property
    def load(self) -> Load:
        """How much it is."""
        return Load(len(self.paths), sum(one.size for one in self.paths))


async def lacking(executor: Executor, out: OutPath) -> Lacking:
    """Ask a host, in one command, what it lacks of a closure that is in the store here.

    Raises:
        StepError: The closure is not whole here, or the host did not answer.
        UnreachableError: The connection was lost.
    """
    paths, codecs = await ask(executor, out.path, await closure_of(out))
    return await sized(paths, codecs)


async def closure_of(out: OutPath) -> list[str]:
    """Name the paths of a closure that is in the store here; references come first.

    Raises:
        StepError: It is not whole here.
    """
    return split_lines(await _nix_store("--query", "--requisites", out.path))


async def sized(paths: Sequence[str], codecs: tuple[Codec, ...]) -> Lacking:
    """Look up how large paths are that a host lacks and the store here has.

    Raises:
        StepError: The store here has not.
    """
    sizes: list[int] = []
    for begin in range(0, len(paths), _BATCH):
        said = await _nix_store("--query", "--size", *paths[begin : begin + _BATCH])
        sizes += [int(number) for number in split_lines(said)]
    wanted = tuple(Wanted(path, size) for path, size in zip(paths, sizes, strict=True))
    return Lacking(wanted, codecs)


async def ask(
    executor: Executor, root: str, closure: Sequence[str]
) -> tuple[list[str], tuple[Codec, ...]]:
    """Which of a closure's paths a host lacks, in the closure's order, and what it can undo.

    It lacks none where the root is valid there: Nix registers no path before its references.

    Raises:
        StepError: The host did not answer.
        UnreachableError: The connection was lost.
    """
    argv = scripts.script(scripts.LACKING, root)
    done = await executor.run(argv, deadline=_SECONDS, stdin="\n".join(closure).encode())
    if done.rc != 0:
        raise StepError(
            "the host did not say which paths it lacks",
            command=executor.repeat(("nix-store", "--check-validity", root)),
            stderr=done.err,
        )
    return understood(split_lines(done.out), closure)


def understood(
    lines: Collection[str], closure: Sequence[str]
) -> tuple[list[str], tuple[Codec, ...]]:
    """Read what ``LACKING`` printed, whatever a login shell printed beside it.

    Returns:
        The paths that are lacking, in the closure's order, and what the host can undo.
    """
    said = frozenset(lines)
    codecs = tuple(codec for codec in Codec if f"{scripts.UNDOES} {codec.value}" in said)
    return [path for path in closure if path in said], codecs


async def _nix_store(*words: str) -> str:
    done = await process.run(("nix-store", *words), deadline=_SECONDS)
    if done.rc != 0:
        raise StepError(
            "the closure could not be read",
            command="nix-store --verify",
            stderr=done.err,
        )
    return done.out
