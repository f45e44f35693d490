"""Whether a deployment is a step backwards: of commits, of uncommitted changes, of nixpkgs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from orchestrator.core.checks import Check, Shortfall
from orchestrator.core.commit import DIRTY, NOWHERE, Checkout, Commit, Kin
from orchestrator.core.plan import Goal
from orchestrator.core.state import AttemptState, HostState
from orchestrator.core.store import OutPath
from orchestrator.core.units import ago

_RECORD = ("cat", "/var/lib/orchestrator/record")


@dataclass(frozen=True, slots=True)
class Origin:
    """Of what, and by whom, what a host runs or boots was deployed.

    Attributes:
        revision: The commit, with ``-dirty`` where there were changes beside.
        who: ``user@machine``.
        at: When; of what is only tried, when that began.
        checkout: Where it was checked out, and what was before it.
    """

    revision: str
    who: str
    at: datetime
    checkout: Checkout = NOWHERE

    @property
    def commit(self) -> str:
        """The commit, without a word of changes."""
        return self.revision.removesuffix(DIRTY)

    @property
    def dirty(self) -> bool:
        """Whether there were changes that are in no commit."""
        return self.revision.endswith(DIRTY)

    @property
    def named(self) -> Commit | None:
        """The commit as the host's record describes it; ``None`` where that does not."""
        date, subject = self.checkout.date, self.checkout.subject
        return Commit(self.commit, (), date, subject) if subject else None

    def is_of(self, here: Here) -> bool:
        """Whether it was deployed from this folder; older records name the machine alone."""
        if self.checkout.folder:
            return self.checkout.folder == here.folder
        return self.who.rpartition("@")[2] == here.who.rpartition("@")[2]

    def may_differ(self, here: Here) -> bool:
        """Whether it may have what is not here: another commit, or changes of another folder."""
        return self.commit != here.commit or (self.dirty and not self.is_of(here))


@dataclass(frozen=True, slots=True)
class Here:
    """What would be deployed, and from where.

    Attributes:
        revision: As of an origin; ``None`` where it is in no git repository.
        who: ``user@machine``.
        folder: Names the folder and its machine.
    """

    revision: str | None
    who: str
    folder: str

    @property
    def commit(self) -> str:
        """The commit, without a word of changes; empty where there is none."""
        return (self.revision or "").removesuffix(DIRTY)


def origin_of(state: HostState) -> Origin | None:
    """Find what a host's records say of the system that it runs or boots.

    Returns:
        ``None`` where they are of another one, or name no commit, as after a rollback.
    """
    tried, record = state.attempt, state.record
    runs = (state.running, *(one.system for one in state.running_as))
    done = tried is not None and tried.state is AttemptState.DONE and tried.goal is Goal.TEST
    if done and tried and tried.target in runs:
        return _origin(tried.revision, tried.who, tried.began, tried.checkout)
    if record is not None and record.out_path in (*runs, state.profile):
        return _origin(record.revision, record.who, record.at, record.checkout)
    return None


def _origin(revision: str | None, who: str, at: datetime, checkout: Checkout) -> Origin | None:
    return Origin(revision, who[:_LONGEST_WHO], at, checkout) if revision else None


_LONGEST_WHO = 100
"""Characters: a host says it."""


def older_commit(there: Origin, here: Here, kin: Kin, now: datetime) -> Iterator[Shortfall]:
    """Hold the commit that a host has against this one.

    Args:
        there: Where what the host has came from.
        here: What would be deployed.
        kin: How the two commits stand to each other.
        now: For saying how long ago the host was deployed.
    """
    if not there.may_differ(here):
        return
    distance, mine = kin.distance, _named(kin.mine, here.commit)
    told = (
        _named(kin.theirs or there.named, there.commit) + " and uncommitted changes" * there.dirty
    )
    told += f", deployed {ago(there.at, now)} by {there.who}"
    if _is_before(there, here, kin):
        yield _refused(
            f"a step backwards: the host has {told}; this is {mine}, which is before it",
            "take in what is deployed (git pull), then deploy; back to what it ran before: "
            "orchestrator rollback",
        )
    elif there.dirty and not there.is_of(here):
        yield _refused(
            f"the host has {told}: those changes are in no commit, and this would undo them",
            f"have {there.who} commit and push them, and deploy from there; then git pull",
        )
    elif distance is None:
        yield _unknown(told, here, shallow=kin.shallow)
    elif distance.ahead and not _is_amended(there, here, kin):
        yield _noticed(
            f"the host has {told}; this is {mine}, which diverged: it lacks "
            f"{_commits(distance.ahead)} of what is deployed, and has {distance.behind} others"
            f"{', as far as this shallow clone knows' * kin.shallow}"
        )


def _is_before(there: Origin, here: Here, kin: Kin) -> bool:
    """Whether the host's commit descends from this one, by git, or by what was recorded there.

    A clone that was not brought up to date has not the newer commit: the host says what was before.
    """
    distance = kin.distance
    if distance is not None and distance.ahead and not distance.behind:
        return True
    unsure = distance is None or kin.shallow
    return unsure and there.checkout.descends_from(here.commit)


def _unknown(told: str, here: Here, *, shallow: bool) -> Shortfall:
    why = "this clone is shallow (git fetch --unshallow)" if shallow else "git fetch may bring it"
    if here.revision is None:
        why = "this fleet is in no git repository here"
    return _noticed(f"the host has {told}; whether this is older is not known: {why}")


def _is_amended(there: Origin, here: Here, kin: Kin) -> bool:
    """Whether this is what became of the host's commit by ``git commit --amend`` in this folder."""
    same = kin.theirs and kin.mine and kin.theirs.parents == kin.mine.parents
    return bool(same) and there.is_of(here)


def _named(commit: Commit | None, revision: str) -> str:
    return f"{revision[:12]} ({commit.subject!r}, {commit.date})" if commit else revision[:12]


def _commits(count: int) -> str:
    return "1 commit" if count == 1 else f"{count} commits"


_LABEL = re.compile(
    r"-(\d\d\.\d\d)(?:pre-git|(?:\.|pre|beta)(\d{1,14})\.[0-9a-z]{1,40})?\Z", re.ASCII
)


_NO_DATE = "19700101"
"""What nixpkgs' flake says where it is a folder without a date, such as an override's."""


@dataclass(frozen=True, slots=True, order=True)
class _Nixpkgs:
    """A version of nixpkgs: its release, then how far that was."""

    release: str
    number: int
    text: str


def _nixpkgs(system: OutPath) -> _Nixpkgs | None:
    """Read it from a system's name, which ends in ``system.nixos.label``.

    By default that is the release, then the date of nixpkgs' last commit or, of a channel, how many
    commits it has: ``25.05.20250601.abcdef1``, ``25.11pre803396.abcdef1``; before it stand
    ``system.nixos.tags``.
    """
    found = _LABEL.search(system.name)
    if found is None:
        return None
    number = 0 if found[2] == _NO_DATE else int(found[2] or 0)
    return _Nixpkgs(found[1], number, found[0][1:])


def older_nixpkgs(state: HostState, target: OutPath) -> Iterator[Shortfall]:
    """Hold the version of nixpkgs that a host's systems are of against the target's.

    Where a version is not known, or counts otherwise, nothing is said.
    """
    mine = _nixpkgs(target)
    if mine is None:
        return
    systems = {system for system in (state.running, state.profile) if system is not None}
    known = [version for system in systems if (version := _nixpkgs(system)) is not None]
    if newer := [version for version in known if _is_newer(version, mine)]:
        yield _refused(
            f"nixpkgs is older: the host has {max(newer).text}, this is {mine.text}",
            "update the input (orchestrator update), or take in the flake.lock that was deployed "
            "(git pull)",
            ("cat", "/run/current-system/nixos-version"),
        )


def _is_newer(one: _Nixpkgs, other: _Nixpkgs) -> bool:
    if one.release != other.release:
        return one.release > other.release
    alike = len(str(one.number)) == len(str(other.number))  # a date, or a count of commits
    return alike and one.number > other.number


def _refused(text: str, remedy: str, command: tuple[str, ...] = _RECORD) -> Shortfall:
    return Shortfall(Check.OLDER, text, remedy, command)


def _noticed(text: str) -> Shortfall:
    return Shortfall(Check.OLDER, text, refuses=False)
