"""Activate under the guard, prove, verify, commit."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

from orchestrator.core.commit import Checkout
from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.event import Phase
from orchestrator.core.host import NewlyFailed
from orchestrator.core.interrupt import InterruptedStepError, ended
from orchestrator.core.plan import HostPlan
from orchestrator.core.state import Attempt, AttemptState, HostState
from orchestrator.core.store import Existing
from orchestrator.core.together import both
from orchestrator.core.units import listing
from orchestrator.deploy.changing.guard_client import ForgottenError, GuardClient, NeverBeganError
from orchestrator.deploy.changing.proving import settle, unsteady_services, verify
from orchestrator.deploy.changing.session import HostSession
from orchestrator.deploy.changing.verdict import Ended, Verdict
from orchestrator.deploy.plan import attempts
from orchestrator.deploy.plan.decide import to_blame
from orchestrator.deploy.work import HostWork, step_name
from orchestrator.host.restarts import Counts, ask_restarts
from orchestrator.ssh.local import is_this_machine

_NAMED = 20
"""Units in a message."""


def require_return(plan: HostPlan, before: HostState) -> None:
    """Refuse to change a host that has no rollback target.

    Raises:
        RefusedError: The host runs no NixOS system, or has no system profile or boot default.
    """
    missing = [
        what
        for what, path, needed in (
            ("a running NixOS system", before.running, True),
            ("a system profile", before.profile, plan.goal.commits),
            ("a boot default", before.boot_default, plan.goal.commits),
        )
        if needed and path is None
    ]
    if missing:
        repair = (
            "make what it runs its profile again: "
            "nix-env -p /nix/var/nix/profiles/system --set $(readlink -f /run/current-system)"
        )
        raise RefusedError(
            f"no rollback target: it has not {' nor '.join(missing)}",
            hint=repair if before.running else "install NixOS on it (nixos-install), then deploy",
        )


async def revision_of(work: HostWork, plan: HostPlan) -> str | None:
    """The commit of a plan's target; of a system that was there before, nobody knows it here."""
    return None if isinstance(plan.target, Existing) else await work.revision()


def attempt_of(
    work: HostWork,
    plan: HostPlan,
    before: HostState,
    revision: str | None,
    checkout: Checkout,
) -> Attempt:
    """Put a plan into the guard's words.

    Args:
        work: The host's share of the run.
        plan: What to do; its goal changes the host.
        before: The state to return to.
        revision: The commit of what is deployed.
        checkout: Where that comes from.

    Raises:
        RefusedError: As :func:`require_return`.
    """
    require_return(plan, before)
    session, host = work.session, work.host
    return Attempt(
        token=work.token,
        goal=plan.goal,
        target=plan.target.out,
        before=before,
        run=session.run.number,
        who=session.run.who,
        revision=revision,
        checkout=checkout,
        began=datetime.now(UTC),
        emergency=session.request.emergency,
        skipped=session.request.skip_preflight,
        activate_seconds=_seconds(host.deadlines.activate),
        confirm_seconds=_seconds(host.guard.confirm),
        health_seconds=_seconds(host.guard.health),
        over_ssh=not is_this_machine(host),
        last_resort=host.guard.last_resort,
        specialisation=plan.specialisation if plan.goal.activates else "",
        live=plan.live if plan.goal.activates else before.running_of(plan.target.out),
    )


def _seconds(seconds: float) -> int:
    """What a host's shell can count with."""
    return max(1, math.ceil(seconds))


class WentBackError(StepError):
    """The guard rolled back, and it was not asked to."""


class Activation:
    """Brings one host from its recorded state to an attempt's target, or back.

    Args:
        work: The host's share of the run.
        line: The way to the host.
        attempt: What to do, and the state to return to.
        checked: Whether the host's suites decide.
        before: Which services had died before, where that was asked.
    """

    def __init__(
        self,
        work: HostWork,
        line: HostSession,
        attempt: Attempt,
        *,
        checked: bool,
        before: Counts | None = None,
    ) -> None:
        self._work = work
        self._lifeline = GuardClient(work, line, attempt)
        self._verdict = Verdict(work, self._lifeline)
        self._checked = checked
        self._restarts = before
        self._newly_failed: set[str] = set()

    @property
    def error(self) -> StepError | None:
        """What kept the host from its target, where something did."""
        return self._verdict.error

    @property
    def untouched(self) -> bool:
        """Whether it ended before it changed the host."""
        return self._lifeline.attempt.untouched

    @property
    def said(self) -> str | None:
        """What an activation said; ``None`` where there was none, or not all of it is kept."""
        activates = self._lifeline.attempt.goal.activates
        return self._lifeline.said if activates and not self._lifeline.cut else None

    async def run(self) -> Ended:
        """Begin, and bring it to an end. Whatever fails on the way becomes an outcome.

        Raises:
            StepError: It did not begin, and nothing was touched.
        """
        return await self._guarded(partial(self._forward, begin=True))

    async def finish(self) -> Ended:
        """Bring to its end what another deployer began."""
        return await self._guarded(self._forward)

    async def take_back(self, why: str) -> Ended:
        """Undo what another deployer began, unless it is committed by then."""

        async def refuse() -> None:
            raise StepError(why)

        return await self._guarded(refuse)

    async def _guarded(self, way: Callable[[], Awaitable[None]]) -> Ended:
        name = self._work.host.name
        with self._work.session.interrupt.guarded(f"{name} is being changed"):
            try:
                async with self._lifeline.keeping_root():
                    return await self._there_or_back(way)
            except asyncio.CancelledError:
                return self._verdict.left_alone()

    async def _there_or_back(self, way: Callable[[], Awaitable[None]]) -> Ended:
        try:
            await way()
        except NeverBeganError:
            raise
        except StepError as error:
            self._verdict.error = error
            await self._back(error)
        except Exception:
            await self._back(StepError("a bug in the orchestrator"))
            raise
        return await self._verdict.told()

    async def _forward(self, *, begin: bool = False) -> None:
        attempt = self._lifeline.attempt
        activates = attempt.goal.activates and attempt.state is not AttemptState.COMMITTING
        with self._work.step(Phase.ACTIVATE if activates else Phase.COMMIT):
            if begin:
                await self._lifeline.start()
            if not activates:
                await self._committed()
                return
            await self._activated()
        with self._work.step(Phase.PROVE):
            self._judge(await self._contact())
        await self._verify()
        with self._work.step(Phase.PROVE):
            now = await self._watch()
        self._work.session.interrupt.check()
        with self._work.step(Phase.COMMIT):
            self._judge(now or await self._lifeline.state())
            self._verdict.confirmed = True
            self._verdict.end = await self._lifeline.confirm()
            await self._committed()

    async def _activated(self) -> None:
        past = self._lifeline.past(AttemptState.RECORDED, AttemptState.ACTIVATING)
        await self._work.session.interrupt.unless_wished(past)
        self._require(AttemptState.WAITING, AttemptState.CHECKING)
        attempt = self._lifeline.attempt
        if attempt.exit_code == attempts.ACCEPTED_EXIT:
            failed = to_blame(self._lifeline.said, attempt.before.failed_units)
            # Units that failed before are not this deployment's.
            if failed is None:
                self._verdict.warn("activation ended with exit 4: units failed; the log names them")
            elif failed:
                self._verdict.warn(f"activation ended with exit 4: {', '.join(failed)} failed")

    async def _contact(self) -> HostState:
        self._work.doing(f"a new connection, within {self._lifeline.left:.0f} s")
        try:
            now = await self._work.session.interrupt.unless_wished(self._lifeline.contact())
        except (InterruptedStepError, ForgottenError):
            raise
        except StepError as error:
            error.message = f"cannot reconnect after activation: {error.message}"
            error.hint = "see what the new system does to network, sshd, users and sudo"
            raise
        self._require(AttemptState.CHECKING)
        return now or await self._lifeline.state()

    async def _verify(self) -> None:
        """Verify, for as long as the guard waits for it: a host may boot, a deadline pass."""
        line = self._lifeline.line
        checks = verify(self._work, line) if self._checked else settle(self._work)
        verifying = asyncio.create_task(checks)
        watching = asyncio.create_task(self._lifeline.watch())
        try:
            await asyncio.wait((verifying, watching), return_when=asyncio.FIRST_COMPLETED)
            await (verifying if verifying.done() else watching)
        finally:
            await ended(verifying)
            await ended(watching)
        self._require(AttemptState.CHECKING)

    async def _committed(self) -> None:
        await self._lifeline.ended()
        self._require(AttemptState.DONE)

    def _judge(self, now: HostState) -> None:
        """Refuse a host that is not as it should be before it is committed."""
        attempt = self._lifeline.attempt
        if wrong := attempts.runs(now, attempt.activated):
            raise StepError(f"the end state is wrong: {wrong}")
        failed = set(attempts.newly_failed(now, attempt.before)) - self._newly_failed
        self._newly_failed |= failed
        if not failed:
            return
        self._blame(f"units that fail now and did not before: {listing(sorted(failed), _NAMED)}")

    async def _watch(self) -> HostState | None:
        """Look for services that die and are started again, which systemd calls active.

        Returns:
            What the host is, asked at the same time; ``None`` where services were waited for.
        """
        if self._restarts is None:
            return None
        line, asked = self._lifeline.line, 0

        async def ask() -> Counts:
            nonlocal asked
            asked += 1
            return await line.ask(ask_restarts)

        watching = unsteady_services(self._work, ask, self._restarts, self._lifeline.left)
        asking = both(watching, self._lifeline.state())
        found, now = await self._work.session.interrupt.unless_wished(asking)
        if found:
            named = [f"{unit} ({one.times} times)" for unit, one in found.items()]
            self._blame(f"services that die and are started again: {listing(named, _NAMED)}")
        return now if asked == 1 else None

    def _blame(self, text: str) -> None:
        """Say what units do since the host was changed, or refuse the system for it."""
        if self._work.host.guard.failed_units is NewlyFailed.ROLL_BACK:
            raise StepError(text, hint="to keep such a system: `guard: {failed_units: report}`")
        self._verdict.warn(text)

    def _require(self, *states: AttemptState) -> None:
        """Raise where the guard went another way than wanted."""
        attempt = self._lifeline.attempt
        if attempt.state in states:
            return
        raise WentBackError(
            attempt.why or f"the guard there is {attempt.state.value}",
            command=self._by_hand(),
            # What the system before says of its own activation then is not the cause.
            stderr=self._lifeline.said.partition(attempts.GOES_BACK)[0],
        )

    async def _back(self, error: StepError) -> None:
        """Have the guard go back; what came of it is asked afterwards."""
        error.step = error.step or step_name(self._work.phase)
        if self._lifeline.attempt.state.in_flight:
            self._work.notice(f"{error.message}; going back to what it ran", warning=True)
        with self._work.step(Phase.ROLL_BACK):
            self._work.doing(f"its guard rolls back within {self._lifeline.left:.0f} s")
            try:
                await self._lifeline.back(error.message)
            except StepError as second:
                self._work.log(second.message)

    def _by_hand(self) -> str:
        attempt = self._lifeline.attempt
        activates = attempt.goal.activates and self._work.phase is not Phase.COMMIT
        action = "test" if activates else "boot"
        argv = (f"{attempt.activated}/bin/switch-to-configuration", action)
        return self._lifeline.line.executor.repeat(argv)
