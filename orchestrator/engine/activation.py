"""The dangerous part: activate, prove over a new connection, verify, commit, or go back.

Each change happens in a unit on the host, so that neither a lost connection nor a killed deployer
leaves it half done. What fails before the commit is taken back to the recorded system, and that is
proved as well.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime

from orchestrator.adapters.executor import Executor
from orchestrator.adapters.host import scripts
from orchestrator.adapters.host.state import ask_state, write_record
from orchestrator.engine.lifeline import SHORT_SECONDS, Lifeline
from orchestrator.engine.verification import verify
from orchestrator.engine.work import HostWork, problem_of, step_name
from orchestrator.errors import RefusedError, StepError, UnreachableError
from orchestrator.model.event import Phase
from orchestrator.model.goal import Goal
from orchestrator.model.outcome import Deployed, Failed, RolledBack
from orchestrator.model.plan import HostPlan, Step
from orchestrator.model.state import HostState, Record
from orchestrator.model.store import OutPath
from orchestrator.plan import prove


def require_return(plan: HostPlan, before: HostState) -> None:
    """Refuse to change a host that has nothing to go back to.

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
            f"there is nothing to go back to: it has not {' nor '.join(missing)}",
            hint=repair if before.running else "install NixOS on it (nixos-install), then deploy",
        )


class Activation:
    """Brings one host from its recorded state to its plan's target, or back.

    Args:
        work: The host's share of the run.
        plan: What to do; its goal changes the host.
        before: The state to return to.
        executor: The open way to the host.
        stack: Closes the connections that are made here.
    """

    def __init__(
        self,
        work: HostWork,
        plan: HostPlan,
        before: HostState,
        executor: Executor,
        stack: contextlib.AsyncExitStack,
    ) -> None:
        require_return(plan, before)
        self._work = work
        self._plan = plan
        self._before = before
        self._lifeline = Lifeline(work, executor, stack)
        self._committing = False
        self._warnings: list[str] = []

    async def run(self) -> Deployed | RolledBack | Failed:
        """Carry the plan out. Whatever fails on the way becomes an outcome."""
        name = self._work.host.name
        with self._work.session.interrupt.guarded(f"{name} is being changed"):
            try:
                return await self._forward_or_back()
            except asyncio.CancelledError:
                return self._left_alone()

    async def _forward_or_back(self) -> Deployed | RolledBack | Failed:
        try:
            return await self._forward()
        except StepError as error:
            return await self._back(error)
        except Exception:
            await self._back(StepError("a bug in the orchestrator"))
            raise

    async def _forward(self) -> Deployed:
        target = self._plan.target.out
        if Step.ACTIVATE in self._plan.steps:
            await self._activate(target)
            await self._prove_running(target)
        if Step.VERIFY in self._plan.steps:
            await verify(self._work, self._lifeline)
        self._work.session.interrupt.check()
        if Step.COMMIT in self._plan.steps:
            await self._commit(target)
        return Deployed(
            reason=self._change(target),
            out_path=target,
            goal=self._plan.goal,
            warnings=tuple(self._warnings),
        )

    def _change(self, target: OutPath) -> str:
        """Say what changed; a switch needs no word on how far it went."""
        goal = self._plan.goal
        limits = "" if goal is Goal.SWITCH else f": {goal.achievement}"
        before = self._before.running
        if before is None or before == target:
            return f"{target.short}{limits}"
        was = f"{before.digest}…" if before.name == target.name else before.short
        return f"{was} → {target.short}{limits}"

    async def _activate(self, target: OutPath) -> None:
        with self._work.step(Phase.ACTIVATE):
            result = await self._lifeline.do(
                "activate", scripts.ACTIVATE, (target.path, "test"), keep=target
            )
            if result.rc == prove.ACCEPTED_EXIT:
                self._warn("activation ended with exit 4: units failed; the log names them")
            elif result.rc != 0:
                raise StepError(
                    f"activation failed ({result.ending})",
                    command=self._by_hand(target, "test"),
                    stderr=result.log,
                )

    async def _prove_running(self, target: OutPath) -> None:
        with self._work.step(Phase.PROVE):
            # A new connection: the old one would not notice that nobody can log in any more.
            # More than one try: activation may have restarted the network or sshd just now.
            await self._lifeline.renew(self._work.host.deadlines.connect)
            now = await ask_state(self._lifeline.executor, self._work.host)
            if wrong := prove.runs(now, target):
                raise StepError(f"the end state is wrong: {wrong}")
            if failed := prove.newly_failed(now, self._before):
                self._warn(f"units that fail now and did not before: {', '.join(failed)}")

    async def _commit(self, target: OutPath) -> None:
        with self._work.step(Phase.COMMIT):
            self._committing = True
            result = await self._lifeline.do(
                "commit", scripts.COMMIT, (target.path, target.path), keep=target
            )
            if result.rc != 0:
                raise StepError(
                    f"profile and boot default could not be set ({result.ending})",
                    command=self._by_hand(target, "boot"),
                    stderr=result.log,
                )
            now = await self._ask()
            wrong = prove.boots(now, target, self._before)
            # It may have booted since it was proved, or another deployer been there.
            if not wrong and Step.ACTIVATE in self._plan.steps:
                wrong = prove.runs(now, target)
            if wrong:
                raise StepError(f"the end state is wrong: {wrong}")
            if not now.boot_source.is_boot_loader:
                self._warn("the boot loader's default cannot be read there; the profile was proved")
        await self._record(target)

    async def _ask(self) -> HostState:
        """Ask what it is now; a connection lost at this moment is no reason to take it back."""
        try:
            return await ask_state(self._lifeline.executor, self._work.host)
        except UnreachableError:
            await self._lifeline.renew(self._work.host.deadlines.connect)
            return await ask_state(self._lifeline.executor, self._work.host)

    async def _record(self, target: OutPath) -> None:
        run, request = self._work.session.run, self._work.session.request
        record = Record(
            run=run.number,
            who=run.who,
            revision=run.revision,
            out_path=target,
            at=datetime.now(UTC),
            emergency=request.emergency,
        )
        try:
            await write_record(self._lifeline.executor, record, SHORT_SECONDS)
        except StepError as error:
            # The host is at its target, and that is proved: only its memory of it is missing.
            self._warn(error.message)

    async def _back(self, error: StepError) -> RolledBack | Failed:
        """Take the host back to what it was, and prove that."""
        error.step = error.step or "activate"
        self._work.notice(f"{error.message}; going back to what it ran", warning=True)
        target, before = self._plan.target.out, self._before
        try:
            with self._work.step(Phase.ROLL_BACK):
                ended, now = await self._return()
        except StepError as second:
            unknown = f"not known ({second.message}); before, {prove.in_words(before)}"
            if not self._committing:
                unknown += "; its boot default was not touched, so a reboot leads there"
            return Failed(error.message, problem_of(error, unknown), target)
        state = prove.in_words(now)
        if wrong := prove.is_back(now, before) or ended:
            return Failed(error.message, problem_of(error, f"{state}; {wrong}"), target)
        return RolledBack(error.message, target, problem_of(error, f"{state}, as before"))

    async def _return(self) -> tuple[str | None, HostState]:
        """Give what went wrong on the way back, and what the host is now."""
        await self._lifeline.keep()
        await self._lifeline.stop_unit()
        before = self._before
        arguments = (
            _path(before.profile if self._committing else None),
            _path(before.boot_default if self._committing else None),
            _path(before.running if Step.ACTIVATE in self._plan.steps else None),
        )
        assert before.running is not None
        result = await self._lifeline.do("return", scripts.RETURN, arguments, keep=before.running)
        await self._lifeline.renew(self._work.host.deadlines.connect)
        now = await ask_state(self._lifeline.executor, self._work.host)
        read = now.boot_source.is_boot_loader
        if result.rc == 0 or (result.rc == scripts.LOADER_FAILED and read):
            return None, now
        # The paths may be right all the same: an activation sets /run/current-system last.
        return f"going back did not end well ({result.ending}); the log has it", now

    def _left_alone(self) -> Failed:
        """A person would not wait: say what goes on there."""
        error = StepError(
            "left before the host reached a proven state",
            hint="deploy it again: that brings it to its target",
            command=self._lifeline.executor.repeat(("systemctl", "list-units", "orchestrator-*")),
        )
        error.step = step_name(self._work.phase)
        unit_name = self._lifeline.unit
        going_on = f"the unit {unit_name} may still be running there" if unit_name else "not proved"
        before = prove.in_words(self._before)
        return Failed(error.message, problem_of(error, f"{going_on}; before, {before}"))

    def _warn(self, text: str) -> None:
        self._warnings.append(text)
        self._work.notice(text, warning=True)

    def _by_hand(self, target: OutPath, action: str) -> str:
        return self._lifeline.executor.repeat((f"{target}/bin/switch-to-configuration", action))


def _path(path: OutPath | None) -> str:
    return "" if path is None else path.path
