"""What a host says of itself: what it runs and boots, its lock, its guard's attempt."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from msgspec import Struct

from orchestrator.core.claims import Hold, Lock
from orchestrator.core.commit import NOWHERE, Checkout
from orchestrator.core.host import LastResort
from orchestrator.core.plan import Goal
from orchestrator.core.store import OutPath, Specialised
from orchestrator.core.token import host_of
from orchestrator.core.units import whole_number
from orchestrator.core.values import replace


class BootSource(Enum):
    """Where the boot default was read."""

    SYSTEMD_BOOT = "systemd-boot"
    GRUB = "grub"
    EXTLINUX = "extlinux"
    PROFILE = "profile"

    @property
    def is_boot_loader(self) -> bool:
        """Whether the boot loader's own files said it; else the profile stands for it."""
        return self is not BootSource.PROFILE


class Record(Struct, frozen=True):
    """What the last deployment left on the host, in ``/var/lib/orchestrator/record``.

    Attributes:
        run: The run's number on the machine that deployed.
        who: ``user@machine`` of the deployer.
        revision: The fleet's git revision, with ``-dirty`` where it was; ``None`` outside git.
        out_path: The system that was deployed.
        at: When it was committed, by the host's clock.
        emergency: The reason given, where it was an emergency deployment.
        skipped: The ids of preflight checks that were skipped.
        began: When its deployer began to change the host, by that machine's clock.
        token: Names run and host; empty where the record does not say.
        checkout: Where ``revision`` was checked out, and what was before it.
    """

    run: int
    who: str
    revision: str | None
    out_path: OutPath
    at: datetime
    emergency: str | None = None
    skipped: tuple[str, ...] = ()
    began: datetime | None = None
    token: str = ""
    checkout: Checkout = NOWHERE


class HostState(Struct, frozen=True):
    """One answer of one host to one question, so that its parts belong together.

    Attributes:
        machine_id: The content of ``/etc/machine-id``.
        running: ``/run/current-system``.
        booted: ``/run/booted-system``.
        profile: ``/nix/var/nix/profiles/system``.
        boot_default: The system that boots from now on.
        boot_source: Where ``boot_default`` was read.
        boot_note: Why it could not be read, or what the next boot alone starts.
        running_as: Of what ``running`` is a specialisation, the profile first.
        booting_as: Likewise ``boot_default``.
        failed_units: Names of the units in state *failed*.
        boot_id: The kernel's identifier of this boot.
        lock: The deployment that is at it, or was and did not release its lock.
        hold: A person's word that nobody deploys there.
        attempt: The last attempt to change it, in flight or ended.
    """

    machine_id: str
    running: OutPath | None
    booted: OutPath | None
    profile: OutPath | None
    boot_default: OutPath | None
    boot_source: BootSource = BootSource.PROFILE
    running_as: tuple[Specialised, ...] = ()
    booting_as: tuple[Specialised, ...] = ()
    failed_units: tuple[str, ...] = ()
    boot_id: str = ""
    boot_note: str = ""
    record: Record | None = None
    lock: Lock | None = None
    hold: Hold | None = None
    attempt: Attempt | None = None

    @property
    def deployed_as(self) -> str:
        """The host as which the machine was deployed last; empty where nothing there says.

        The machine's ids prove nothing: containers of one kernel share the boot id, and clones the
        machine-id.
        """
        attempt, record = self.attempt, self.record
        if attempt is not None and attempt.stands(self.boot_id) and host_of(attempt.token):
            return host_of(attempt.token)
        return host_of(record.token) if record is not None else ""

    @property
    def boot_warning(self) -> str:
        """What is not known of the next boot, or is another system; empty where nothing is."""
        if self.boot_source.is_boot_loader:
            return self.boot_note
        why = self.boot_note or "no boot loader said it"
        return f"the boot default cannot be read; the system profile stands for it: {why}"

    def another_than(self, host: str) -> str:
        """The other host that the machine is; empty where it is this one, or nothing there says."""
        return self.deployed_as if self.deployed_as != host else ""

    @property
    def specialisation(self) -> str:
        """The name of the specialisation that runs; empty where none does."""
        return self.running_as[0].name if self.running_as else ""

    @property
    def is_foreign(self) -> bool:
        """Whether it runs a system that is neither its profile's nor a specialisation of that.

        What still runs where the next one was only made the boot default is none.
        """
        last, known = self.attempt, (self.running, *(one.system for one in self.running_as))
        if self.running is None or self.profile in known:
            return False
        booted_later = last is not None and last.goal is Goal.BOOT and not last.untouched
        return last is None or not (booted_later and last.before.running == self.running)

    def runs(self, system: OutPath, specialisation: str = "") -> bool:
        """Whether it runs a system, or a specialisation of it."""
        if specialisation:
            return Specialised(system, specialisation) in self.running_as
        return self.running == system

    def running_of(self, system: OutPath) -> OutPath | None:
        """What it runs, where that is a specialisation of a system."""
        return self.running if system in (one.system for one in self.running_as) else None

    def boots(self, system: OutPath) -> bool:
        """Whether it boots a system, or a specialisation of it that its boot loader prefers."""
        return system in (self.boot_default, *(one.system for one in self.booting_as))

    def is_at(self, wanted: OutPath, specialisation: str = "") -> bool:
        """Whether running system, profile and boot default all are ``wanted``."""
        runs = self.runs(wanted, specialisation)
        return runs and self.profile == wanted and self.boots(wanted)


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


def came_from(
    target: OutPath | None, running: OutPath | None, boot_default: OutPath | None
) -> OutPath | None:
    """The system that a deployment led away from: what booted, where its target ran already.

    Args:
        target: The deployment's, or the specialisation of it that it made the host run.
        running: What the host ran before.
        boot_default: What it booted before.
    """
    return boot_default if running == target and boot_default is not None else running


_ENDS = frozenset({AttemptState.DONE, AttemptState.RETURNED, AttemptState.STUCK})


GUARD_UNITS = "orchestrator-guard-"
"""How the names of guards' units on hosts begin."""


class Attempt(Struct, frozen=True):
    """One attempt to change a host, in ``/run`` and ``/var/lib/orchestrator/attempt`` there.

    Attributes:
        token: Names run and host; no two attempts from any machine share it.
        goal: ``test``, ``switch`` or ``boot``.
        target: The system that the host is to have.
        specialisation: The name of the one of ``target`` that it is to run; empty for itself.
        live: That one's path, or the one that runs where nothing is activated; ``None`` for
            ``target`` itself.
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
        over_ssh: Whether the deployer comes over SSH: only a new connection shows that it is back.
        last_resort: What becomes of a host that nobody gets into any more.
        state: How far it has come.
        turned: The state from which it rolled back; ``None`` where it did not.
        why: Why it rolled back; or what is not as it should be although it is done.
        activation: How ``switch-to-configuration test`` ended: an exit code, ``timeout``,
            ``killed``, or ``locked`` where it could not begin; empty where it did not end.
        seconds_left: Until the guard rolls back by itself, where it waits for the deployer.
        ended: When, by the host's clock.
        seen: Whether a deployer has been told of its end.
        reached: Whether one got in after it rolled back; ``None`` where nobody has to.
        guard_gone: Whether systemd says that its guard is not at work, though it is not at its end.
        failing: Of the activation script that ran last, the snippets that failed, each with its
            code: ``'name' failed (1)``. Of an attempt that is done or returned they failed before
            it, too.
        words: What each of them said last, where that is known: ``'name' failed (1): no file``.
        words_before: What they said when they failed before.
        checkout: Where ``revision`` was checked out, and what was before it.
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
    specialisation: str = ""
    live: OutPath | None = None
    state: AttemptState = AttemptState.RECORDED
    turned: AttemptState | None = None
    why: str = ""
    activation: str = ""
    seconds_left: int | None = None
    ended: datetime | None = None
    seen: bool = False
    reached: bool | None = None
    guard_gone: bool = False
    failing: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    words_before: tuple[str, ...] = ()
    checkout: Checkout = NOWHERE

    @property
    def activated(self) -> OutPath:
        """What it makes the host run: the target, or a specialisation of it."""
        return self.live or self.target

    @property
    def unreached(self) -> bool:
        """Whether the host rolled back and nobody has got in since."""
        return self.state is AttemptState.RETURNED and self.reached is False

    @property
    def came_from(self) -> OutPath | None:
        """The system that it led away from; ``None`` where that is not known."""
        return came_from(self.activated, self.before.running, self.before.boot_default)

    @property
    def untouched(self) -> bool:
        """Whether it ended before it changed anything."""
        return self.state is AttemptState.RETURNED and self.turned is AttemptState.RECORDED

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
            failing=told.failing,
            words=told.words,
            words_before=told.words_before,
        )

    @property
    def unit(self) -> str:
        """The guard's unit on the host."""
        return f"{GUARD_UNITS}{self.token}.service"

    @property
    def exit_code(self) -> int | None:
        """The exit code of the activation; ``None`` where it was ended, or has not ended."""
        return whole_number(self.activation)
