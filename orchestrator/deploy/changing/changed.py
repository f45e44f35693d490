"""What a deployment changed on a host, or would: found, logged, put into the outcome's words."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core.changed import ClosureChange, PackageChange, SystemChange
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.outcome import Deployed
from orchestrator.core.plan import Goal, HostPlan
from orchestrator.core.state import HostState
from orchestrator.core.store import Existing, OutPath
from orchestrator.core.values import replace
from orchestrator.deploy.copy import closure as closures
from orchestrator.deploy.plan import difference
from orchestrator.deploy.work import HostWork
from orchestrator.host.difference import Difference, ask_difference, ask_size, growth
from orchestrator.nix import verbs as nix
from orchestrator.nix.closure import closure_size

_LOGGED = 200
"""Packages that are named in a host's log."""

UNKNOWN = "what that changes is known once it is built"


def summed_up(found: Difference) -> ClosureChange:
    """Sum up what a host said of two closures."""
    return difference.summary(found.gone, found.new, found.direct, growth(found))


def with_change(
    work: HostWork,
    ended: Deployed,
    before: HostState,
    closure: ClosureChange | None,
    said: str | None,
) -> Deployed:
    """Say in an outcome what was changed, where that is known; the log has the store paths.

    Args:
        work: The host's share of the run.
        ended: The outcome; its reason names store paths.
        before: What the host was.
        closure: How the closures differ.
        said: What ``switch-to-configuration`` said, from the beginning.
    """
    work.log(f"system: {before.running or 'nothing that is known'} → {ended.out_path}")
    units = None if said is None else difference.units_of(said)
    if closure is None and units is None:
        return ended
    change = SystemChange(closure, units)
    if closure is not None:
        _log_packages(work, closure.packages)
    reason = difference.in_words(change)
    if ended.goal is not Goal.SWITCH and reason:
        reason = f"{reason}: {ended.goal.achievement}"
    return replace(ended, changed=change, reason=reason or ended.reason)


def _log_packages(work: HostWork, packages: tuple[PackageChange, ...]) -> None:
    for package in packages[:_LOGGED]:
        work.log(f"package: {difference.package_in_words(package)}")
    if (more := len(packages) - _LOGGED) > 0:
        work.log(f"packages: {more} more")


async def would_differ(
    work: HostWork, plan: HostPlan, state: HostState, executor: Executor
) -> Difference | None:
    """Find how a plan would change a host's closure: one more question to the host.

    Returns:
        ``None`` where it is not known: the system is built neither here nor there, or who has it
        did not say.
    """
    if state.running == plan.activated:
        return None
    try:
        return await _difference(work, plan.activated, executor)
    except StepError as error:
        work.log(f"what would change is not known: {error.message}")
        return None


async def _difference(work: HostWork, out: OutPath, executor: Executor) -> Difference | None:
    if work.lacks is not None and not work.lacks.paths:  # The host has it whole.
        return await ask_difference(executor, out)
    if not nix.is_here(out):
        return None
    found = await ask_difference(executor, None, await closures.closure_of(out))
    return None if found is None else await _completed(found, out)


async def _completed(found: Difference, out: OutPath) -> Difference:
    """Add what the store here knows of the system's closure: sizes, what it names itself."""
    new = frozenset(path.path for path in found.new)
    sized = await closures.sized(sorted(new), ())
    units = [path for path in new if "-unit-" in path]
    packages = str(Path(out.path, "sw").resolve())
    named = await closures.references_of([out.path, packages, *units])
    direct = frozenset(OutPath(path) for path in named if path in new)
    return replace(found, direct=found.direct | direct, new_size=sized.load.size)


def budget_of(work: HostWork, plan: HostPlan) -> int | None:
    """What a system may take, in bytes; one that a host goes back to was let past before."""
    back = isinstance(plan.target, Existing)
    return None if back else work.host.preflight.closure_budget


async def size_of(work: HostWork, plan: HostPlan, executor: Executor, *, there: bool) -> int | None:
    """Find how many bytes a system takes, where its size has a limit, and it is here or there.

    Raises:
        StepError: The host did not answer.
    """
    if budget_of(work, plan) is None:
        return None
    if nix.is_here(plan.target.out):
        return await closure_size(plan.target.out)
    return await ask_size(executor, plan.target.out) if there else None


def planned(plan: HostPlan, state: HostState, closure: ClosureChange | None) -> str:
    """Say in a plan why a host would be changed, and what that changes."""
    if state.running == plan.activated:
        return plan.reason
    if closure is None:
        return f"{plan.cause or plan.reason}; {UNKNOWN}"
    said = difference.in_words(SystemChange(closure))
    if plan.cause is None:
        return f"{plan.reason}; {said}"
    return f"{plan.cause}: {said}" if plan.cause else said
