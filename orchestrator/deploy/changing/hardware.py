"""What became of a host's hardware since it was asked last."""

from __future__ import annotations

from orchestrator.core.checks import Check, Shortfall
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.facts import Facts
from orchestrator.deploy.changing.forwards import FACTS_SECONDS
from orchestrator.deploy.work import HostWork
from orchestrator.facts import cache
from orchestrator.facts.ask import ask_facts
from orchestrator.facts.plan.drift import drift


async def look(work: HostWork, executor: Executor) -> tuple[Facts | None, tuple[Shortfall, ...]]:
    """Ask a host what it is made of, and say what is gone or fails. It refuses nothing.

    In an emergency, or where a person skips it, it is not asked.

    Returns:
        What it says, ``None`` where it does not; and what is gone.
    """
    request = work.session.request
    if request.emergency is not None or Check.HARDWARE.value in request.skip_preflight:
        return None, ()
    folder, name = cache.folder_of(work.session.setup), work.host.name
    before = cache.known(folder, name)
    try:
        now = await ask_facts(executor, work.host, FACTS_SECONDS)
    except StepError as error:
        work.log(f"its hardware is not known: {error.message}")
        return None, ()
    try:
        if not request.plan_only:
            cache.remember(folder, name, now)
    except StepError as error:
        work.log(error.message)
    gone = drift(before, now) if before is not None else ()
    remedy = f"see all that changed: orchestrator host facts {name} --diff"
    return now, tuple(Shortfall(Check.HARDWARE, one.text, remedy, refuses=False) for one in gone)
