"""Nix's verbs, one function each, through its command line (2.18 or newer)."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.core import process
from orchestrator.core.bounds import BUILD_LOG, OUTPUT, Bound
from orchestrator.core.errors import StepError, UsageError
from orchestrator.core.nix_settings import PLAIN, NixSettings
from orchestrator.core.process import CommandResult, how_it_ended
from orchestrator.core.store import DrvPath, Evaluated, OutPath, StorePath
from orchestrator.core.units import split_lines
from orchestrator.core.values import replace
from orchestrator.nix import flake as nix_flake
from orchestrator.nix.flake import Flake as Flake

if TYPE_CHECKING:
    from orchestrator.nix.reasons import Reason

MINIMUM = (2, 18)
_INSTALLER = "install Nix 2.18 or newer: https://nixos.org/download"
FEATURES = ("--extra-experimental-features", "nix-command flakes")

OnLine = Callable[[bytes], None]


def require() -> None:
    """Check that there is a ``nix`` at all.

    Raises:
        UsageError: There is none; the hint names the installer.
    """
    if shutil.which("nix") is None:
        raise UsageError("there is no `nix` on the PATH", hint=_INSTALLER)


# A daemon names the length of what it says next, and Nix takes as much memory before it comes. A
# copy of 300 MB was seen to go within 400 MiB.
_TALKS_TO_A_HOST = partial(process.limit_memory, size=2**30)
# A heap for evaluations that a person set would not fit in there, and nothing is evaluated.
_USUAL_HEAP: Mapping[str, str | None] = {"GC_INITIAL_HEAP_SIZE": None}


async def version() -> tuple[int, ...]:
    """Ask Nix for its version.

    Raises:
        UsageError: It is older than 2.18, or says nothing that is understood.
    """
    require()
    done = await process.run(("nix", "--version"), deadline=60)
    # The last of several: others of Nix's makers put a version of their own before it.
    *_, found = None, *re.finditer(r"(\d+)\.(\d+)(?:\.(\d+))?", done.out)
    if not found:
        raise UsageError(f"`nix --version` says {done.out!r}", hint=_INSTALLER)
    numbers = tuple(int(part) for part in found.groups() if part is not None)
    if numbers < MINIMUM:
        raise UsageError(f"Nix {found[0]} is too old: 2.18 or newer is needed", hint=_INSTALLER)
    return numbers


class NoNetworkError(StepError):
    """Something was to be fetched, and nobody was reached: no host's own fault."""


class OutOfMemoryError(StepError):
    """Nix had no memory to go on with, or was killed, which is how the kernel says the same."""


async def evaluate(
    flake: Flake,
    attr: str,
    *,
    deadline: float,
    env: Mapping[str, str | None] | None = None,
    on_stderr: OnLine | None = None,
    on_start: Callable[[int], None] | None = None,
) -> Evaluated:
    """Evaluate a host's system to its derivation and what that builds.

    ``nix path-info --derivation`` and not ``nix eval``: where the flake may be answered from Nix's
    evaluation cache, only the former is, for a ``drvPath``.

    Args:
        flake: Where the host's configuration is.
        attr: The attribute below ``nixosConfigurations``.
        deadline: Seconds after which Nix is stopped.
        env: Set on top of this process's environment.
        on_stderr: Called with each line that Nix says.
        on_start: Called with the process id.

    Raises:
        OutOfMemoryError: There was not enough memory, or Nix was killed.
        NoNetworkError: Something had to be fetched, and there is no network.
        StepError: The configuration does not evaluate.
    """
    argv = (*nix_argv("path-info", "--derivation"), *flake.evaluating, flake.toplevel(attr))
    done = await run_on(
        flake, argv, deadline=deadline, env=env, on_stderr=on_stderr, on_start=on_start
    )
    if done.rc != 0:
        from orchestrator.nix.failing import not_evaluated

        raise await not_evaluated(flake, attr, done, deadline)
    return await evaluated_to(DrvPath.parse(done.out))


async def evaluated_to(drv: DrvPath) -> Evaluated:
    """A derivation, and what it builds by its own word.

    Raises:
        StepError: The derivation is not in the store.
    """
    return Evaluated(drv, nix_flake.output_of(drv) or await output_of(drv))


async def run_on(
    flake: Flake,
    argv: Sequence[str],
    *,
    deadline: float,
    env: Mapping[str, str | None] | None = None,
    on_stderr: OnLine | None = None,
    on_start: Callable[[int], None] | None = None,
    bound: Bound = OUTPUT,
) -> CommandResult:
    """Run a command on a flake: with its cache, in its folder, its copy called by its name."""

    def tell(line: bytes) -> None:
        if on_stderr is not None:
            on_stderr(flake.told(line))

    done = await process.run(
        argv,
        deadline=deadline,
        env={**flake.env, **(env or {})},
        cwd=flake.folder,
        on_stderr=tell if on_stderr is not None else None,
        on_start=on_start,
        bound=bound,
    )
    return replace(done, stderr=flake.told(done.stderr))


def is_here(path: StorePath) -> bool:
    """Whether a path is in the store of this machine; no process is started."""
    return Path(path.path).exists()


async def output_of(drv: DrvPath) -> OutPath:
    """Ask Nix for the path that a derivation builds, without building it.

    Raises:
        StepError: The derivation is not in the store.
    """
    argv = ("nix-store", "--query", "--outputs", drv.path)
    done = await _run(argv, 60, "the derivation could not be read")
    return OutPath.parse(done.out)


async def build_on(
    store: str,
    evaluated: Evaluated,
    *,
    settings: NixSettings = PLAIN,
    deadline: float,
    on_stderr: OnLine | None = None,
) -> None:
    """Build a derivation in another store: evaluated here, built there.

    Raises:
        StepError: The build failed.
    """
    there = (*settings.building, "--eval-store", "auto", "--store", store, "--no-link")
    argv = (*nix_argv("build", "--log-format", "internal-json", "-v"), *there, f"{evaluated.drv}^*")
    limit, env = _TALKS_TO_A_HOST, _USUAL_HEAP
    await _run(
        argv, deadline, "build failed", None, on_stderr, env, bound=BUILD_LOG, on_start=limit
    )


async def copy(
    out: OutPath,
    *,
    to: str,
    deadline: float,
    env: Mapping[str, str | None] | None = None,
    on_stderr: OnLine | None = None,
) -> None:
    """Copy a closure to another store; paths that are there already are not sent.

    ``--no-check-sigs``: the deployer is trusted by the host (it is root there), and a closure
    built here bears no signature.

    Raises:
        StepError: The copy failed.
    """
    # Plain lines, one a path: in its JSON form Nix tells of every few kilobytes.
    plain = ("--log-format", "raw", "-v", "--no-check-sigs")
    argv = (*nix_argv("copy", *plain), "--to", to, out.path)
    env = {**_USUAL_HEAP, **(env or {})}
    await _run(argv, deadline, "copy failed", None, on_stderr, env, on_start=_TALKS_TO_A_HOST)


async def requisites(out: OutPath) -> tuple[OutPath, ...]:
    """All paths of a closure that is in the store here.

    Raises:
        StepError: It is not there.
    """
    argv = ("nix-store", "--query", "--requisites", out.path)
    done = await _run(argv, 120, "the closure could not be read")
    return tuple(OutPath.parse(line) for line in split_lines(done.out))


async def parse(file: str) -> str | None:
    """Parse a Nix file without evaluating it: ``None``, or the error in it."""
    done = await process.run(("nix-instantiate", "--parse", "--", file), deadline=60)
    if done.rc == 0:
        return None
    from orchestrator.nix.log import cause

    return cause(done.err) or done.err


async def metadata(flake: Flake) -> str:
    """What a flake's inputs resolve to, as ``nix flake metadata --json`` prints it.

    Raises:
        StepError: The flake cannot be read, or an input not be resolved.
    """
    words = ("flake", "metadata", "--json", "--no-write-lock-file")
    argv = (*nix_argv(*words), *flake.arguments, flake.reference)
    done = await run_on(flake, argv, deadline=600)
    if done.rc != 0:
        raise failed(done, argv, "the flake's inputs are not known", flake.folder)
    return done.out


async def lock(flake: Flake) -> None:
    """Write down in a flake's lock file what its inputs resolve to, where it does not say.

    Raises:
        StepError: An input could not be fetched, or the file not be written.
    """
    argv = (*nix_argv("flake", "lock"), *flake.arguments, flake.reference)
    await _run(argv, 1800, "the flake's inputs could not be locked", flake.folder)


async def update(flake: Flake, inputs: Sequence[str]) -> str:
    """Move the pins of a flake's inputs, all or those named, and say what moved.

    Raises:
        StepError: An input could not be fetched, or there is no such input.
    """
    argv = (*nix_argv("flake", "update"), *inputs, "--flake", flake.reference)
    done = await _run(argv, 1800, "the flake's inputs could not be updated", flake.folder)
    from orchestrator.nix.log import readable

    return readable(done.err)


def nix_argv(*words: str) -> tuple[str, ...]:
    """The command line of one of Nix's new verbs."""
    return ("nix", *FEATURES, *words)


async def _run(
    argv: Sequence[str],
    deadline: float,
    failure: str,
    cwd: str | None = None,
    on_stderr: OnLine | None = None,
    env: Mapping[str, str | None] | None = None,
    bound: Bound = OUTPUT,
    on_start: Callable[[int], None] | None = None,
) -> CommandResult:
    done = await process.run(
        argv,
        deadline=deadline,
        env=env,
        cwd=cwd,
        on_stderr=on_stderr,
        on_start=on_start,
        bound=bound,
    )
    if done.rc != 0:
        raise failed(done, argv, failure, cwd)
    return done


def failed(
    done: CommandResult,
    argv: Sequence[str],
    failure: str,
    cwd: str | None = None,
    kind: type[StepError] = StepError,
    why: Reason | None = None,
) -> StepError:
    """Say why a command of Nix's ended badly, what to do, and how to repeat it by hand."""
    # What errors mean is read where there is one.
    from orchestrator.nix import reasons
    from orchestrator.nix.log import cause, readable

    why = why or reasons.reason(done.err)
    if why is not None and why.network and kind is StepError:
        kind = NoNetworkError
    said = why.message if why else ""
    return kind(
        f"{failure}: {said or cause(done.err) or how_it_ended(done.rc)}",
        hint=why.hint if why else None,
        command=by_hand(argv, cwd),
        stderr=readable(done.err),
    )


def by_hand(argv: Sequence[str], cwd: str | None) -> str:
    """Give the command line to repeat a command, without what only a program wants of it."""
    words = [word for word in argv if word not in ("--log-format", "internal-json", "raw", "-v")]
    line = shlex.join(words).replace(f"{shlex.join(FEATURES)} ", "")
    return f"cd {shlex.quote(cwd)} && {line}" if cwd else line
