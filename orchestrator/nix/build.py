"""Nix's verbs for building: several derivations at once, and what keeps a result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.core import process
from orchestrator.core.bounds import BUILD_LOG
from orchestrator.core.foreign import split_lines
from orchestrator.core.process import CommandResult
from orchestrator.core.store import DrvPath, OutPath
from orchestrator.nix.verbs import OnLine, by_hand, failed, nix_argv

_CHECK_SECONDS = 120.0
_LOG = ("--log-format", "internal-json", "-v")


async def build(
    drvs: Sequence[DrvPath],
    *,
    builders: Sequence[str] = (),
    env: Mapping[str, str | None] | None = None,
    on_stderr: OnLine | None = None,
) -> CommandResult:
    """Build derivations here with one ``nix build``; what fails does not stop the others.

    Nothing keeps the results from garbage collection but this process: see :func:`keep`.

    Args:
        drvs: What to build.
        builders: In place of those that Nix is set to use; nix.conf(5), ``builders``.
        env: Set on top of this process's environment.
        on_stderr: Called with each line that Nix says, in its JSON form.

    Returns:
        How it ended. There is no deadline: whoever waits has one.
    """
    argv = build_argv(drvs, builders)
    return await process.run(argv, deadline=math.inf, env=env, on_stderr=on_stderr, bound=BUILD_LOG)


def build_argv(drvs: Sequence[DrvPath], builders: Sequence[str] = ()) -> tuple[str, ...]:
    """The command line that builds derivations."""
    machines = ("--builders", " ; ".join(builders)) if builders else ()
    wanted = (f"{drv}^*" for drv in drvs)
    return (*nix_argv("build", *_LOG), "--keep-going", "--no-link", *machines, *wanted)


def build_by_hand(drv: DrvPath, builders: Sequence[str] = ()) -> str:
    """The command line for a person: one derivation, with the whole log of its builders."""
    argv = [word for word in build_argv((drv,), builders) if word != "--keep-going"]
    return by_hand((*argv, "--print-build-logs"), None)


async def invalid(outs: Sequence[OutPath]) -> frozenset[OutPath]:
    """Which of some paths are not valid in the store here.

    Raises:
        StepError: Nix does not tell.
    """
    argv = ("nix-store", "--check-validity", "--print-invalid", *(out.path for out in outs))
    done = await process.run(argv, deadline=_CHECK_SECONDS)
    if done.rc != 0:
        raise failed(done, argv, "the store does not say what it has")
    return frozenset(OutPath.parse(line) for line in split_lines(done.out))


async def keep(out: OutPath, root: Path) -> bool:
    """Keep a path from garbage collection by a link to it.

    Returns:
        Whether it is valid; where not, nothing is built or fetched, and no link is made.

    Raises:
        StepError: It is valid, and the link could not be made.
    """
    if not Path(out.path).exists():
        return False
    only_here = ("--option", "substitute", "false")
    argv = ("nix-store", *only_here, "--realise", out.path, "--add-root", str(root))
    # The second time because a builder has its output there long before Nix calls it valid: that
    # may come between the two questions. Afterwards it stays valid, or goes for good.
    for _ in range(2):
        done = await process.run(argv, deadline=_CHECK_SECONDS)
        if done.rc == 0:
            return True
        if out in await invalid((out,)):
            return False
    raise failed(done, argv, "the system could not be kept from garbage collection")


async def keep_derivation(drv: DrvPath, root: Path) -> None:
    """Keep a derivation, and not what it builds, from garbage collection by a link to it.

    Raises:
        StepError: It is not in the store, or the link could not be made.
    """
    # Without `^*` the file itself is meant: nothing is built. nix(1), "Installables".
    argv = (*nix_argv("build"), "--out-link", str(root), drv.path)
    done = await process.run(argv, deadline=_CHECK_SECONDS)
    if done.rc != 0:
        raise failed(done, argv, "the derivation could not be kept from garbage collection")
