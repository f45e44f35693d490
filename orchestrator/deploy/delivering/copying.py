"""Bring a system to a host by the way that is the fastest there."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import assert_never

from orchestrator.core.errors import StepError, UnreachableError
from orchestrator.core.event import Phase
from orchestrator.core.executor import Executor
from orchestrator.core.run import CopyMethod, Link, Load, Sample
from orchestrator.core.store import OutPath
from orchestrator.deploy.copy import stream as copy_stream
from orchestrator.deploy.copy.closure import Lacking, lacking, probe
from orchestrator.deploy.copy.stream import Sent, between_hosts, stream
from orchestrator.deploy.plan.copying import (
    PROBE_SHARE,
    PROBE_WORTH,
    Choice,
    choose,
    link_of,
    ratio_of,
)
from orchestrator.deploy.work import HostWork
from orchestrator.nix import log as nix_log

_PROGRESS_SECONDS = 0.2
_MIB = 1 << 20


async def copy(work: HostWork, out: OutPath, executor: Executor) -> None:
    """Copy from this machine what a host lacks of a system.

    Raises:
        StepError: The copy failed. What came whole is kept on the host, and not sent again.
    """
    async with _phase(work, out):
        # Where the host had it whole when that was asked, it was collected as garbage since.
        known = work.lacks if work.lacks and work.lacks.paths else None
        lacks = known or await lacking(executor, out)
        if not lacks.paths:
            work.log("nothing to copy: it has come by another way")
            return
        choice, link = await _choose(work, executor, lacks)
        work.log(f"copying {_words(lacks.load)} by {choice.method.value}: {choice.reason}")
        began = time.monotonic()
        sent = await _copied(choice.method, work, out, executor, lacks)
        took = time.monotonic() - began
    work.log(f"copied {sent / _MIB:.1f} MiB over the link in {took:.1f} s")
    if link is not None:
        load = lacks.load
        sample = Sample(datetime.now(UTC), choice.method, load.size, sent, took, link.round_trip)
        work.session.copies.links.add(work.host.name, sample)


async def copy_from(work: HostWork, out: OutPath, builder: Executor, executor: Executor) -> None:
    """Copy from another host, through this machine, what a host lacks of a system.

    Raises:
        StepError: The copy failed.
    """
    async with _phase(work, out):
        show = _throttled(work)
        sent = await between_hosts(
            builder, executor, out, lambda sent: show(f"{sent.bytes / _MIB:.1f} MiB sent")
        )
        work.log(f"copied {sent.paths} paths, {sent.bytes / _MIB:.1f} MiB over the links")


@contextlib.asynccontextmanager
async def _phase(work: HostWork, out: OutPath) -> AsyncIterator[None]:
    """Wait for a turn, then keep to the deadline; an error tells how to copy by hand."""
    deadline = work.host.deadlines.copy
    async with work.turn(Phase.COPY, work.session.gates.copies):
        try:
            async with asyncio.timeout(deadline):
                yield
        except TimeoutError:
            raise StepError(
                f"the copy took more than {deadline:.0f} s",
                hint="what came whole is kept there, and the next try sends the rest; "
                "`deadlines: {copy: …}` in the inventory gives it longer",
                command=f"nix copy --no-check-sigs --to {_store_by_hand(work)} {out}",
            ) from None


def _store_by_hand(work: HostWork) -> str:
    where = work.session.setup.ssh.connect_for(work.host.name, work.host.connect)
    return f"ssh-ng://{f'{where.user}@' if where.user else ''}{where.address}"


async def _choose(work: HostWork, executor: Executor, lacks: Lacking) -> tuple[Choice, Link | None]:
    """Choose by what is known of the link; where that is nothing and it matters, measure."""
    links, name, load = work.session.copies.links, work.host.name, lacks.load
    samples, now = links.of(name), datetime.now(UTC)
    link = link_of(samples, now)
    forced = work.session.request.copy
    if forced is not None:
        return Choice(forced, "by --copy"), link
    measures = load.size >= PROBE_WORTH and not work.session.request.fast
    if link is None and measures:
        link = await _measure(work, executor, load)
    elif link is None and samples:
        link = link_of(samples, samples[-1].at)  # old, and good enough for little
    return choose(load, link, ratio_of(samples), can_stream=bool(lacks.codecs)), link


async def _measure(work: HostWork, executor: Executor, load: Load) -> Link | None:
    """Probe the link; that this fails is no reason not to copy."""
    try:
        found = await probe(executor, at_most=load.size // PROBE_SHARE)
    except UnreachableError:
        raise
    except StepError as error:
        work.log(error.message)
        return None
    work.session.copies.links.add(work.host.name, found)
    return Link(found.rate, found.round_trip)


async def _copied(
    method: CopyMethod, work: HostWork, out: OutPath, executor: Executor, lacks: Lacking
) -> int:
    """Copy; once more where garbage was collected on the host meanwhile."""
    try:
        return await _copy_by(method, work, out, executor, lacks)
    except UnreachableError:
        raise
    except StepError:
        again = await lacking(executor, out)
        gone = [one.path for one in again.paths if one not in lacks.paths]
        if not gone:
            raise
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        text = f"collected as garbage on the host during the copy: {gone[0]}{more}; copying again"
        work.notice(text, warning=True)
        return await _copy_by(method, work, out, executor, again)


async def _copy_by(
    method: CopyMethod, work: HostWork, out: OutPath, executor: Executor, lacks: Lacking
) -> int:
    """Copy; gives the bytes that went over the link, as far as they are known."""
    match method:
        case CopyMethod.STREAM:
            return await _stream(work, executor, lacks)
        case CopyMethod.CONNECTION:
            await copy_stream.over_connection(
                executor,
                out,
                deadline=work.host.deadlines.copy,
                by_hand=_store_by_hand(work),
                on_stderr=_counting(work, lacks.load),
            )
            return lacks.load.size
        case _:
            assert_never(method)


async def _stream(work: HostWork, executor: Executor, lacks: Lacking) -> int:
    if not lacks.codecs:
        raise StepError(
            "the host has neither zstd nor gzip on its path", hint="take --copy connection"
        )
    show, total = _throttled(work), len(lacks.paths)

    def on_progress(sent: Sent) -> None:
        show(f"{sent.paths} of {total} paths, {sent.bytes / _MIB:.1f} MiB sent")

    codec = lacks.codecs[0]
    work.log(f"the stream is compressed with {codec.value}")
    spool = work.session.copies.spool(codec)
    return (await stream(executor, spool, lacks.paths, on_progress)).bytes


def _counting(work: HostWork, load: Load) -> Callable[[bytes], None]:
    """Log what Nix says, and show how many paths it has begun."""
    begun, show = 0, _throttled(work)

    def on_line(line: bytes) -> None:
        nonlocal begun
        name = nix_log.copying(line)
        if name is None:
            if text := nix_log.text(line):
                work.log(text)
            return
        begun += 1
        work.log(f"copying {name}")
        show(f"{min(begun, load.paths)} of {load.paths} paths, {name}")

    return on_line


def _throttled(work: HostWork) -> Callable[[str], None]:
    """Show a progress now and then: thousands a second help nobody."""
    shown = 0.0

    def show(text: str) -> None:
        nonlocal shown
        if (now := time.monotonic()) - shown >= _PROGRESS_SECONDS:
            shown = now
            work.doing(text)

    return show


def _words(load: Load) -> str:
    return f"{load.paths} path{'s'[: load.paths != 1]}, {load.size / _MIB:.1f} MiB"
