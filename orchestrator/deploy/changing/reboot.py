"""Whether a host is to boot; one boot, and proof of what came up."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from datetime import datetime

from orchestrator.core.errors import RefusedError, StepError, UnreachableError
from orchestrator.core.event import Phase
from orchestrator.core.executor import Executor
from orchestrator.core.outcome import Deployed, Failed, Outcome, Unchanged
from orchestrator.core.run import Reboot
from orchestrator.core.state import HostState
from orchestrator.core.store import OutPath
from orchestrator.core.values import replace
from orchestrator.deploy.changing.lock import held, refuse_if_taken
from orchestrator.deploy.changing.proving import verify
from orchestrator.deploy.changing.session import RECONNECT_SECONDS, SHORT_SECONDS, HostSession
from orchestrator.deploy.changing.specialisation import left_by_boot
from orchestrator.deploy.identity import set_apart
from orchestrator.deploy.plan import attempts
from orchestrator.deploy.plan.decide import PARTS, needs_boot
from orchestrator.deploy.work import HostWork, problem_of
from orchestrator.host import boot
from orchestrator.host.status import ask_state
from orchestrator.ssh.local import is_this_machine


class LostError(StepError):
    """The host did not come back."""


class Boot:
    """One boot of one host.

    Args:
        work: The host's share of the run; its lock is held.
        line: The way to the host.
        outcome: The deployment that is booted into.
        why: For a person.
    """

    def __init__(self, work: HostWork, line: HostSession, outcome: Deployed, why: str) -> None:
        self._work = work
        self._line = line
        self._outcome = outcome
        self._target = outcome.out_path
        self._why = why
        self._said = ""

    async def run(self) -> Deployed | Failed:
        """Boot and prove. Whatever fails is an outcome: the host was deployed before."""
        name = self._work.host.name
        with self._work.session.interrupt.guarded(f"{name} is being booted"):
            try:
                return await self._boot()
            except LostError as error:
                failed = failed_boot(error, self._target, "not known: it does not answer")
                return replace(failed, problem=replace(failed.problem, lost=True))
            except StepError as error:
                return failed_boot(error, self._target, await self._state())
            except asyncio.CancelledError:
                left = StepError("left while it was being booted", hint="orchestrator status")
                return failed_boot(left, self._target, f"not known; it should boot {self._target}")

    async def _boot(self) -> Deployed:
        began = _now()
        with self._work.step(Phase.REBOOT):
            before = await self._line.ask(self._ask)
            self._work.notice(f"rebooting it: {self._why}")
            try:
                executor, token = self._line.executor, self._work.token
                await boot.reboot(executor, token, SHORT_SECONDS)
            except RefusedError:
                raise
            except StepError as error:  # The connection ends with the boot; a slow host's may hang.
                self._work.log(f"whether it boots is seen by what comes up: {error.message}")
            now = await self._back(before, began)
            # A boot loader may prefer a specialisation of what was deployed.
            boots = before.boot_default if before.boots(self._target) else None
            self._prove(now, boots or self._target)
            await self._activated()
        if self._work.session.request.verify:
            await verify(self._work, self._line)
        outcome, seconds = self._outcome, _now() - began
        reason = f"{outcome.reason}; rebooted in {seconds:.0f} s ({self._why})"
        if failed := attempts.newly_failed(now, before):
            text = f"units that fail since the boot: {', '.join(failed)}"
            self._work.notice(text, warning=True)
            outcome = replace(outcome, warnings=(*outcome.warnings, text))
        if (left := before.specialisation) and left != now.specialisation:
            text = f"specialisation {left!r} ran before the boot; what boots is the boot default"
            self._work.notice(text, warning=True)
            outcome = replace(outcome, warnings=(*outcome.warnings, text))
            reason = left_by_boot(reason, left)
        specialisation = now.specialisation
        return replace(outcome, reason=reason, reboot_required=(), specialisation=specialisation)

    async def _back(self, before: HostState, began: float) -> HostState:
        """Wait for another boot to have ended, and ask what came up.

        Raises:
            LostError: The host does not answer.
            StepError: It answers, and did not boot.
        """
        until = began + self._work.host.deadlines.reboot
        silent: datetime | None = None
        answers = False
        while (left := until - _now()) > 0:
            try:
                if not answers:
                    await self._line.renew(min(left, self._work.host.deadlines.connect))
                silent, answers = None, False
                if (await self._ask(self._line.executor)).boot_id != before.boot_id:
                    with contextlib.suppress(UnreachableError):
                        await boot.settled(self._line.executor, max(left, SHORT_SECONDS))
                    return await self._line.ask(self._ask)
                answers = True
            except StepError as error:
                # Refused logins too: PAM lets few in until a boot has ended.
                silent = silent or datetime.now()
                self._said = error.message
                self._work.doing(f"no answer yet: {error.message}")
            await asyncio.sleep(RECONNECT_SECONDS)
        raise self._never(before, silent)

    def _never(self, before: HostState, silent: datetime | None) -> StepError:
        within = f"within {self._work.host.deadlines.reboot:.0f} s"
        repeat = self._line.executor.repeat
        if silent is None:
            return StepError(
                f"it did not reboot {within}: it answers in the same boot ({before.boot_id})",
                hint="what keeps it: systemctl list-jobs, systemd-inhibit --list",
                command=repeat(("systemctl", "reboot")),
            )
        return LostError(
            f"it did not come back {within}: no answer since {silent:%H:%M:%S} ({self._said}); "
            f"it should boot {self._target.short}; its last boot was {before.boot_id}",
            hint="look at its console; the boot loader's menu has the systems that it ran before",
            command=repeat(("journalctl", "--list-boots")),
        )

    def _prove(self, now: HostState, target: OutPath) -> None:
        """Hold what came up against what was to boot.

        Raises:
            StepError: It is something else.
        """
        for what, path in (("booted", now.booted), ("runs", now.running)):
            if path != target:
                found = "nothing that is known" if path is None else path.short
                raise StepError(
                    f"it came back and {what} {found}, not {target.short}: "
                    "the boot loader may have fallen back",
                    hint=f"orchestrator host generations {self._work.host.name}; "
                    "there: journalctl -b -1",
                )

    async def _activated(self) -> None:
        """Hold against the boot what its activation scripts told.

        Raises:
            StepError: One failed.
        """
        failed = await self._line.ask(lambda executor: boot.failed_at_boot(executor, SHORT_SECONDS))
        if failed:
            raise StepError(
                f"it booted {self._target.short}, and its activation failed: {'; '.join(failed)}",
                hint="repair the script, or roll back: orchestrator rollback "
                f"{self._work.host.name} --reboot",
                command=self._line.executor.repeat(("journalctl", "--boot", "--dmesg")),
            )

    async def _ask(self, executor: Executor) -> HostState:
        return await ask_state(executor, self._work.host)

    async def _state(self) -> str:
        try:
            return attempts.in_words(await self._line.ask(self._ask))
        except StepError as error:
            return f"not known ({error.message})"


def _now() -> float:
    return asyncio.get_running_loop().time()


def failed_boot(error: StepError, target: OutPath, state: str) -> Failed:
    """Say of a host that was deployed what kept it from its boot, and what it is now."""
    error.step = error.step or "reboot"
    return Failed(error.message, problem_of(error, state), target)


async def reboot(work: HostWork, outcome: Deployed, line: HostSession) -> Deployed | Failed:
    """Boot a host anew that was deployed, where the request wants it and it would change anything.

    Args:
        work: The host's share of the run; its lock is held.
        outcome: How that ended.
        line: The way to the host.
    """
    if not work.session.request.reboots:
        return outcome
    try:
        why = await _why(work, line, outcome.out_path, outcome.reboot_required)
    except StepError as error:
        return failed_boot(error, outcome.out_path, "it was deployed, and not rebooted")
    if why is None:
        return outcome
    if is_this_machine(work.host):
        return replace(outcome, warnings=(*outcome.warnings, _not_this_machine(why)))
    if work.session.interrupt.wished:
        return replace(outcome, warnings=(*outcome.warnings, f"not rebooted ({why}): interrupted"))
    return await Boot(work, line, outcome, why).run()


async def reboot_unchanged(
    work: HostWork,
    unchanged: Unchanged,
    state: HostState,
    executor: Executor,
    stack: AsyncExitStack,
) -> Outcome:
    """Boot a host anew that is at its target, where the request wants it.

    Raises:
        StepError: Somebody else has the host, or a hold forbids it.
    """
    line = HostSession(work, executor, stack)
    why = await _why(work, line, unchanged.out_path)
    if why is None:
        return unchanged
    if is_this_machine(work.host):
        work.notice(_not_this_machine(why), warning=True)
        return unchanged
    outcome = Deployed(unchanged.reason, unchanged.out_path, work.session.request.goal)
    refuse_if_taken(work, state)
    if work.session.request.plan_only:
        return replace(outcome, reason=f"{unchanged.reason}; to be rebooted ({why})")
    await work.session.rollout.turn(work)
    async with held(work, line) as holding:
        await holding.last_look()
        await set_apart(work, state)
        return await Boot(work, line, outcome, why).run()


async def _why(
    work: HostWork, line: HostSession, target: OutPath, known: tuple[str, ...] = ()
) -> str | None:
    """Say why a boot is wanted, or ``None`` where it is not.

    Args:
        work: The host's share of the run.
        line: The way to the host.
        target: The system to be booted.
        known: What is known already to take effect at the next boot only.

    Raises:
        StepError: The host did not say what it booted.
    """
    match work.session.request.reboot:
        case Reboot.NEVER:
            return None
        case Reboot.ALWAYS:
            return "as was asked for"
        case Reboot.IF_NEEDED if known:
            return f"new {', '.join(known)}"
        case Reboot.IF_NEEDED:
            return await _need(work, line, target)


async def _need(work: HostWork, line: HostSession, target: OutPath) -> str | None:
    with work.step(Phase.ASK):
        state = await line.ask(lambda executor: ask_state(executor, work.host))
        runs = state.running
        variant = state.running_of(target)
        if runs is None or runs not in (target, variant):
            return "it runs another system"
        booted, wanted = await line.ask(
            lambda executor: boot.ask_parts(executor, target, PARTS, SHORT_SECONDS)
        )
        live = None
        if variant is not None:
            _, live = await line.ask(
                lambda executor: boot.ask_parts(executor, variant, PARTS, SHORT_SECONDS)
            )
    parts = needs_boot(booted, wanted, live)
    work.log(f"a boot is needed for: {', '.join(parts) or 'nothing'}")
    return f"new {', '.join(parts)}" if parts else None


def _not_this_machine(why: str) -> str:
    return f"not rebooted ({why}): it is the machine that you sit on"
