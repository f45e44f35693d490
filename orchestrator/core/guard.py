"""An attempt to change a host, as the guard there carries it out and tells it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from orchestrator.core.goal import Goal
from orchestrator.core.host import LastResort
from orchestrator.core.lines import whole_number
from orchestrator.core.state import HostState
from orchestrator.core.store import OutPath


class AttemptState(Enum):
    """How far the guard has come with an attempt."""

    RECORDED = "recorded"
    """Written down; nothing was touched."""
    ACTIVATING = "activating"
    WAITING = "waiting"
    """Activated; waits for the deployer's new connection."""
    CHECKING = "checking"
    """The deployer was there; waits for its word that all is well."""
    COMMITTING = "committing"
    DONE = "done"
    """Carried out, and proved by the guard."""
    RETURNING = "returning"
    RETURNED = "returned"
    """Back at what was recorded, and proved by the guard."""
    STUCK = "stuck"
    """Going back failed, or nobody gets in; the boot default was brought back first."""

    @property
    def in_flight(self) -> bool:
        """Whether the guard is not done with it."""
        return self not in _ENDS


_ENDS = frozenset({AttemptState.DONE, AttemptState.RETURNED, AttemptState.STUCK})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to change a host, in ``/run`` and ``/var/lib/orchestrator/attempt`` there.

    Attributes:
        token: Names run and host; no two attempts from any machine share it.
        goal: ``test``, ``switch`` or ``boot``.
        target: The system that the host is to have.
        before: What the host was: what going back leads to. Of an attempt that was read back, its
            machine, boot, paths and failed units are known, and nothing else.
        run: The run's number on the machine that deployed.
        who: ``user@machine`` of the deployer.
        revision: The fleet's git revision, with ``-dirty`` where it was; ``None`` outside git.
        began: By the deployer's clock.
        emergency: The reason given, where it is an emergency deployment.
        skipped: The ids of preflight checks that were skipped.
        activate_seconds: How long ``switch-to-configuration`` may take, each time.
        confirm_seconds: From the end of activation to the deployer's new connection.
        health_seconds: From that connection to its word that all is well.
        over_ssh: Whether the deployer comes over SSH: then only a new connection shows that the
            host is back.
        last_resort: What becomes of a host that nobody gets into any more.
        state: How far it has come.
        turned: The state from which it went back; ``None`` where it did not.
        why: Why it went back; or what is not as it should be although it is done.
        activation: How ``switch-to-configuration test`` ended: an exit code, ``timeout``,
            ``killed``, or ``locked`` where it could not begin; empty where it did not end.
        seconds_left: Until the guard goes back by itself, where it waits for the deployer.
        ended: When, by the host's clock.
        seen: Whether a deployer has been told of its end.
        reached: Whether one got in after it went back; ``None`` where nobody has to.
        guard_gone: Whether systemd says that its guard is not at work, though it is not at its end.
    """

    token: str
    goal: Goal
    target: OutPath
    before: HostState
    run: int
    who: str
    revision: str | None
    began: datetime
    emergency: str | None = None
    skipped: tuple[str, ...] = ()
    activate_seconds: int = 600
    confirm_seconds: int = 180
    health_seconds: int = 600
    over_ssh: bool = True
    last_resort: LastResort = LastResort.NONE
    state: AttemptState = AttemptState.RECORDED
    turned: AttemptState | None = None
    why: str = ""
    activation: str = ""
    seconds_left: int | None = None
    ended: datetime | None = None
    seen: bool = False
    reached: bool | None = None
    guard_gone: bool = False

    @property
    def unreached(self) -> bool:
        """Whether the host went back and nobody has got in since."""
        return self.state is AttemptState.RETURNED and self.reached is False

    def stands(self, boot_id: str) -> bool:
        """Whether it says which host its machine is: not where it was undone, or tried till a boot.

        Args:
            boot_id: The machine's present boot.
        """
        if self.state is AttemptState.DONE and not self.goal.commits:
            return self.before.boot_id == boot_id
        return self.state is not AttemptState.RETURNED

    def as_told(self, told: Attempt) -> Attempt:
        """This attempt, as far as its host says it has come; what was wanted stays what it was."""
        return replace(
            self,
            state=told.state,
            turned=told.turned,
            why=told.why,
            activation=told.activation,
            seconds_left=told.seconds_left,
            ended=told.ended,
            seen=told.seen,
            reached=told.reached,
            guard_gone=told.guard_gone,
        )

    @property
    def unit(self) -> str:
        """The guard's unit on the host."""
        return f"orchestrator-guard-{self.token}.service"

    @property
    def exit_code(self) -> int | None:
        """The exit code of the activation; ``None`` where it was ended, or has not ended."""
        return whole_number(self.activation)
