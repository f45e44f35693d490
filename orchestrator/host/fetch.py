"""Have a host fetch a system by itself, from one cache and from nowhere else."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.core.bounds import OUTPUT, Intake, Liner, TooMuchError
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor, Source
from orchestrator.core.host import Cache
from orchestrator.core.process import how_it_ended
from orchestrator.core.store import OutPath
from orchestrator.host import scripts
from orchestrator.nix import log as nix_log

OnLine = Callable[[bytes], None]

_CHECK_SECONDS = 60.0
_LAST = 200
"""How many of Nix's messages are kept, for the report of a failure."""
_LONGEST = 4000
"""How many characters of each."""

_UNTRUSTED = re.compile(r"ignoring substitute for '([^']+)' from .* not signed by")
_SILENT = re.compile(r"unable to download '([^']+)': (.*)")
_NO_FILE = re.compile(r"file '([^']+)' does not exist in binary cache")
# Nix's last word says merely that it failed.
_CAUSE = re.compile(r"error: (?!build of )(.+)")
_LACKING = re.compile(r"don't know how to build these paths:\n  (/nix/store/\S+)")


async def is_valid(executor: Executor, out: OutPath) -> bool:
    """Whether a host has a system whole."""
    argv = ("nix-store", "--check-validity", out.path)
    return (await executor.run(argv, deadline=_CHECK_SECONDS)).rc == 0


async def fetch(
    executor: Executor, out: OutPath, cache: Cache, on_line: OnLine = lambda _: None
) -> None:
    """Run on the host what fetches a system and what it lacks of its closure.

    Signatures by the cache's key are required whatever the host's settings are; no other cache is
    asked, and nothing is built.

    Args:
        executor: The way to the host.
        out: The system.
        cache: Where it comes from.
        on_line: Called with each line that Nix says there, in its JSON form.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The cache does not answer, lacks a path, or has one that is not to be trusted.
    """
    messages: deque[str] = deque(maxlen=_LAST)

    def on_every_line(line: bytes) -> None:
        on_line(line)
        if text := nix_log.text(line):
            messages.append(text[:_LONGEST])

    argv = scripts.script(scripts.FETCH, out.path, *_options(cache))
    async with executor.open(argv) as stream:
        await _listen(stream.stdout, on_every_line)
        rc = await stream.wait()
    if rc != 0:
        raise _failed(executor, out, cache, rc, "\n".join(messages))


async def _listen(source: Source, on_line: OnLine) -> None:
    """Hear what Nix says there to its end."""
    intake, liner = Intake(OUTPUT, 0), Liner(on_line)
    try:
        while data := await source.read(1 << 16):
            intake.take(data)
            liner.take(data)
    except TooMuchError as error:
        raise StepError(
            f"the host sent {error} while it fetched, and was cut off",
            hint="without the cache, this once: --copy connection",
        ) from None
    liner.end()


def _options(cache: Cache) -> tuple[str, ...]:
    settings = {
        "substitute": "true",
        "substituters": cache.url,
        "trusted-public-keys": cache.public_key,
        "require-sigs": "true",
        "fallback": "false",
        "builders": "",
        "max-jobs": "0",
    }
    return tuple(word for name, value in settings.items() for word in ("--option", name, value))


@dataclass(frozen=True, slots=True)
class _Why:
    message: str
    hint: str


def _failed(executor: Executor, out: OutPath, cache: Cache, rc: int | None, log: str) -> StepError:
    why = _why(out, cache, log)
    if why is None:
        cause = found[1] if (found := _CAUSE.search(log)) else None
        cause = cause or ("it was ended" if rc is None else how_it_ended(rc))
        why = _Why(f"fetching from the cache {cache.name!r} failed: {cause}", "")
    argv = ("nix-store", "--realise", out.path, *_options(cache))
    return StepError(
        why.message,
        hint=f"{why.hint} Without the cache, this once: --copy connection".strip(),
        command=executor.repeat(argv),
        stderr=log,
    )


def _why(out: OutPath, cache: Cache, log: str) -> _Why | None:
    """What is wrong with the cache, by what Nix says on the host."""
    name, key = cache.name, cache.public_key.partition(":")[0]
    store = cache.push or cache.url
    if found := _UNTRUSTED.search(log):
        return _Why(
            f"the cache {name!r} has {found[1]} without a valid signature by {key}",
            f"sign it there: nix store sign --store {store} --key-file FILE --recursive {out}"
            " — or correct `public_key`.",
        )
    if found := _SILENT.search(log):
        return _Why(
            f"the cache {name!r} does not answer on the host: {found[1]}: {found[2]}",
            f"is it up? Ask it from there: curl {cache.url}/nix-cache-info",
        )
    if found := _NO_FILE.search(log) or _LACKING.search(log):
        return _Why(
            f"the cache {name!r} lacks {found[1]}",
            f"fill it: nix copy --refresh --to {store} {out}",
        )
    return None
