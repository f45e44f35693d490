"""Hosts that fetch their systems: a cache is filled once, and each host helps itself."""

from __future__ import annotations

from orchestrator.core.errors import RefusedError
from orchestrator.core.event import Phase
from orchestrator.core.executor import Executor
from orchestrator.core.host import Cache
from orchestrator.core.store import OutPath
from orchestrator.deploy.delivering.batches import Member
from orchestrator.deploy.delivering.pushes import in_time
from orchestrator.deploy.work import HostWork
from orchestrator.host.fetch import fetch, is_valid


async def substitute(
    work: HostWork, out: OutPath, executor: Executor, cache: Cache, *, here: bool
) -> None:
    """Have a host fetch its system from a cache, which is filled first where that is ours to do.

    Args:
        work: The host's share of the run.
        out: The system.
        executor: The way to the host.
        cache: Where it comes from.
        here: Whether the system is in the store of this machine.

    Raises:
        RefusedError: The cache is filled from here, and the system is not.
        StepError: The cache could not be filled, or the host not fetch.
    """
    deadline = work.host.deadlines.copy
    with work.step(Phase.COPY):
        if await is_valid(executor, out):
            work.log("nothing to fetch: the system is valid on the host")
            return
        if cache.push is not None:
            _require_here(cache, here=here)
            member = Member(work.host.name, work.log, work.doing)
            await work.session.pushes.push(cache, out, deadline=deadline, member=member)
        work.doing(f"fetching from the cache {cache.name}")
        async with in_time(cache, "fetching from", deadline):
            await fetch(executor, out, cache, work.on_nix_line)


def _require_here(cache: Cache, *, here: bool) -> None:
    if not here:
        raise RefusedError(
            f"the cache {cache.name!r} is filled from this machine, and another one built",
            hint="build here; or, where the builder fills the cache itself, leave `push` out",
        )
