"""What a host lacks that a deployment takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestrator.core.checks import BootFiles, Check, Facts, Shortfall, Wanted
from orchestrator.core.units import size_text
from orchestrator.core.values import replace

LEAST_FREE = 4 * 2**20
"""Bytes for what a deployment writes where nothing is copied: a profile's link, a record."""

BOOT_MARGIN = 2**20
"""Bytes for the boot loader's entries and what it rounds up to."""

BYTES_A_FILE = 16 * 2**10
"""Of what is copied; systems measured have a file for each 20 to 40 KiB."""

FILES_MARGIN = 1000


def store_space(facts: Facts, wanted: Wanted) -> Iterator[Shortfall]:
    """Compare what will be copied, and what is to be left over, with what is free."""
    if facts.store is None:
        yield _unread(Check.STORE_SPACE, "how much is free in the store's file system")
        return
    size = wanted.load.size if wanted.load else 0
    margin = 0 if wanted.emergency or not _copies(wanted) else wanted.store_margin
    needed = max(size + margin, LEAST_FREE)
    if facts.store.free >= needed:
        return
    what = f"the copy takes {size_text(size)}" if size else "what is to be copied is not known"
    words = f"{what} and {size_text(margin)} must be left over" if _copies(wanted) else "it is full"
    yield Shortfall(
        Check.STORE_SPACE,
        f"{size_text(facts.store.free)} are free in the store's file system: {words}",
        "collect garbage there, or give it a larger disk; "
        "`preflight: {store_margin: …}` in the inventory asks for less",
        ("nix-store", "--gc"),
    )


def inodes(facts: Facts, wanted: Wanted) -> Iterator[Shortfall]:
    """Compare the files that will be made with what the file system can still hold."""
    if facts.store is None:
        yield _unread(Check.INODES, "how many files the store's file system can still hold")
        return
    size = wanted.load.size if wanted.load else 0
    needed = size // BYTES_A_FILE + (FILES_MARGIN if _copies(wanted) else 0)
    if facts.store.inodes is None or facts.store.inodes >= needed:
        return
    yield Shortfall(
        Check.INODES,
        f"{facts.store.inodes} inodes are free in the store's file system: "
        f"the copy takes about {needed}",
        "collect garbage there; `nix-store --optimise` makes one file of equal ones",
        ("nix-store", "--gc"),
    )


def boot_space(facts: Facts, wanted: Wanted) -> Iterator[Shortfall]:
    """Compare what one more generation adds with what is free where the host boots from.

    Boot loaders write a generation before they take old ones away: there must be room for one
    more than their limit.
    """
    if facts.boot is None or not wanted.commits:
        return
    boot, files = facts.boot, _target_files(facts, wanted)
    new = {name: size for name, size in files.sizes.items() if name not in boot.files}
    needed = sum(new.values()) + BOOT_MARGIN
    if boot.room.free >= needed:
        return
    kept = f"; {boot.generations} generations are there" if boot.generations else ""
    what = "a new kernel and initrd take" if new else "a new entry takes"
    yield Shortfall(
        Check.BOOT_SPACE,
        f"{size_text(boot.room.free)} are free in {boot.folder}: {what} {size_text(needed)}{kept}",
        "remove old generations there (nix-collect-garbage --delete-older-than 30d), then have "
        "the boot loader forget them; boot.loader.*.configurationLimit keeps them few",
        ("/run/current-system/bin/switch-to-configuration", "boot"),
    )


def _target_files(facts: Facts, wanted: Wanted) -> BootFiles:
    """The target's files; where they are not known yet, others of the running system's size."""
    known = wanted.boot_files or facts.target
    if known is not None:
        return known
    running = facts.running or BootFiles()
    return BootFiles({f"new {name}": size for name, size in running.sizes.items()})


def _copies(wanted: Wanted) -> bool:
    return wanted.load is None or wanted.load.paths > 0


def _unread(check: Check, what: str) -> Shortfall:
    return Shortfall(check, f"the host did not say {what}", refuses=False)


_LESS = frozenset(
    {
        Check.CLOCK,
        Check.CLOSURE_SIZE,
        Check.INHIBITORS,
        Check.NEEDS,
        Check.OLDER,
        Check.SECRETS,
    }
)
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
            Check.IDENTITY, "the host has no machine-id: nothing identifies it", refuses=False
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
            "remount it (mount -o remount,rw)",
            ("dmesg", "--level", "err,warn"),
        )


def _closure_size(_: Facts, wanted: Wanted) -> Iterator[Shortfall]:
    if wanted.closure_budget is None:
        return
    budget = size_text(wanted.closure_budget)
    if wanted.closure_size is None:
        text = f"how large the system is, of which {budget} are allowed, is not known beforehand"
        yield Shortfall(Check.CLOSURE_SIZE, text, refuses=False)
    elif wanted.closure_size > wanted.closure_budget:
        yield Shortfall(
            Check.CLOSURE_SIZE,
            f"its system takes {size_text(wanted.closure_size)}, {budget} are allowed",
            "take something out of its configuration (orchestrator diff HOST names what came), or "
            "allow more: `preflight: {closure_budget: …}` in the inventory",
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
    store_space,
    inodes,
    boot_space,
    _closure_size,
    _clock,
    _activation,
    _inhibitors,
)


def _refuses(found: Shortfall, wanted: Wanted) -> bool:
    urgent = wanted.emergency and found.check in _LESS and not found.always
    if found.check in wanted.skipped or urgent:
        return False
    return found.refuses
