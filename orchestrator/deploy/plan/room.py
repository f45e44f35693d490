"""Whether a host has room: in its store, for as many files, and where it boots from."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.check import Check
from orchestrator.core.memory import size_text
from orchestrator.core.preflight import BootFiles, Facts, Shortfall, Wanted

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
