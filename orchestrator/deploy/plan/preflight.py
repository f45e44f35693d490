"""Whether a host has what a deployment takes: all that is wanting, at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from orchestrator.core.check import Check
from orchestrator.core.preflight import Facts, Shortfall, Wanted
from orchestrator.deploy.plan import room

_LESS = frozenset({Check.CLOCK, Check.INHIBITORS, Check.SECRETS})
"""Checks that an emergency is told of, and not kept up by: the deployment works without, or may."""


def examine(
    facts: Facts, wanted: Wanted, others: Iterable[Shortfall] = ()
) -> tuple[Shortfall, ...]:
    """Hold a host's answer against what a deployment takes.

    Args:
        facts: The answer.
        wanted: What it takes.
        others: What was found wanting otherwise.

    Returns:
        All that is wanting. What could not be read, what a person skipped, and in an emergency
        what would not make it fail, does not refuse.
    """
    found = [*(one for check in _CHECKS for one in check(facts, wanted)), *others]
    return tuple(replace(one, refuses=_refuses(one, wanted)) for one in found)


def skew(clock: int, asked: tuple[float, float]) -> float:
    """Seconds by which a host's clock is ahead of this machine's, or behind (negative).

    Args:
        clock: What it said, in whole seconds.
        asked: When the question was sent and the answer came: it was told in between.

    Returns:
        The least that explains the answer.
    """
    sent, came = asked
    if clock + 1 < sent:
        return clock + 1 - sent
    return max(clock - came, 0.0)


def _identity(facts: Facts, wanted: Wanted) -> Iterator[Shortfall]:
    if not wanted.machine_id:
        yield Shortfall(
            Check.IDENTITY, "the host has no machine-id: nothing tells it apart", refuses=False
        )
    elif wanted.seen and wanted.seen.machine_id != wanted.machine_id and not facts.volatile_id:
        yield Shortfall(
            Check.IDENTITY,
            f"another machine answers: its machine-id is {wanted.machine_id}; until "
            f"{wanted.seen.at:%Y-%m-%d} it was {wanted.seen.machine_id}. It was reinstalled, or "
            "this is not the host that was meant",
            "if it is the right one, skip this check once: its new machine-id is remembered then",
            ("cat", "/etc/machine-id"),
        )


def _sudo(facts: Facts, _: Wanted) -> Iterator[Shortfall]:
    if facts.user is None:
        yield Shortfall(Check.SUDO, "the host did not say whom commands run as", refuses=False)
    elif facts.user != 0:
        yield Shortfall(
            Check.SUDO,
            f"commands run as user {facts.user} there, and not as root",
            "let the deploy user become root: sudo must run any command, as root",
            ("id",),
        )


def _nix(facts: Facts, _: Wanted) -> Iterator[Shortfall]:
    if facts.nix_error is None:
        yield Shortfall(Check.NIX, "the host did not say whether its Nix works", refuses=False)
    elif facts.nix_error:
        yield Shortfall(
            Check.NIX,
            f"Nix cannot receive anything there: {facts.nix_error}",
            "Nix must be there, for root, and read and write its database; `nix-store --verify` "
            "checks that, and waits where somebody keeps a lock on it: end his process",
            ("nix-store", "--verify"),
        )


def _read_only(facts: Facts, wanted: Wanted) -> Iterator[Shortfall]:
    boot = facts.boot.read_only if facts.boot and wanted.commits else ""
    if facts.read_only is None:
        yield Shortfall(
            Check.READ_ONLY, "the host did not say what is mounted read-only", refuses=False
        )
    elif places := dict.fromkeys((*facts.read_only, *filter(None, (boot,)))):
        yield Shortfall(
            Check.READ_ONLY,
            f"mounted read-only: {', '.join(places)}",
            "after an error of the disk the kernel does so: read `dmesg`, check the file system, "
            "mount it anew (mount -o remount,rw)",
            ("dmesg", "--level", "err,warn"),
        )


def _clock(facts: Facts, wanted: Wanted) -> Iterator[Shortfall]:
    if facts.clock is None:
        yield Shortfall(Check.CLOCK, "the host did not say the time", refuses=False)
        return
    ahead = skew(facts.clock, wanted.asked)
    if abs(ahead) > wanted.clock_skew:
        yield Shortfall(
            Check.CLOCK,
            f"its clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this "
            f"machine's; {wanted.clock_skew:.0f} s are allowed",
            "set the wrong one of the two (timedatectl); certificates and timers depend on it",
            ("timedatectl",),
        )


def _activation(facts: Facts, wanted: Wanted) -> Iterator[Shortfall]:
    if not wanted.changes:
        return
    if facts.activations is None:
        yield Shortfall(
            Check.ACTIVATION, "the host did not say whether it is being changed", refuses=False
        )
    elif facts.activations:
        yield Shortfall(
            Check.ACTIVATION,
            f"it is being changed already: {', '.join(facts.activations)}",
            "wait for it to end, then deploy again",
            ("systemctl", "list-jobs"),
        )


def _inhibitors(facts: Facts, wanted: Wanted) -> Iterator[Shortfall]:
    if not wanted.boots:
        return
    if facts.inhibitors is None:
        yield Shortfall(
            Check.INHIBITORS, "the host did not say what holds up a reboot", refuses=False
        )
    for one in facts.inhibitors or ():
        yield Shortfall(
            Check.INHIBITORS,
            f"{one.who} holds up a reboot: {one.why or one.what}",
            "end it, or deploy without --reboot",
            ("systemd-inhibit", "--list"),
        )


_CHECKS = (
    _identity,
    _sudo,
    _nix,
    _read_only,
    room.store_space,
    room.inodes,
    room.boot_space,
    _clock,
    _activation,
    _inhibitors,
)


def _refuses(found: Shortfall, wanted: Wanted) -> bool:
    if found.check in wanted.skipped or (wanted.emergency and found.check in _LESS):
        return False
    return found.refuses
