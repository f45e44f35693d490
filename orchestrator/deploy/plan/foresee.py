"""What differs between two systems in files, accounts, secrets; and what needs a boot."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from orchestrator.core.changed import ForeseenUnits, NamesChange
from orchestrator.core.contents import Contents
from orchestrator.core.store import OutPath
from orchestrator.core.values import replace
from orchestrator.deploy.plan.decide import inhibitors, needs_boot

INIT = "init-interface-version"
"""Of a toplevel: NixOS switches live only where it is the same."""


def names(before: Mapping[str, object], after: Mapping[str, object]) -> NamesChange:
    """Compare what stands under names."""
    return NamesChange(
        added=_sorted(after.keys() - before.keys()),
        removed=_sorted(before.keys() - after.keys()),
        changed=_sorted(
            name for name in before.keys() & after.keys() if before[name] != after[name]
        ),
    )


def accounts(
    before: Mapping[str, Mapping[str, str]] | None, after: Mapping[str, Mapping[str, str]] | None
) -> NamesChange | None:
    """Compare accounts, or groups; behind the name of one that changes stands what of it does."""
    if before is None or after is None:
        return None
    found = names(before, after)
    told = (f"{name} ({_settings(before[name], after[name])})" for name in found.changed)
    return replace(found, changed=tuple(told))


def _settings(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    return ", ".join(
        sorted(
            key for key in before.keys() | after.keys() if before.get(key, "") != after.get(key, "")
        )
    )


_ENCRYPTED = ".age"


_OF_SOPS = "of sops: the file; its values are not compared"


def secrets(
    gone: Iterable[OutPath], new: Iterable[OutPath], sops: Collection[str] = ()
) -> NamesChange:
    """Compare the encrypted files of two closures.

    Args:
        gone: Paths of the first alone.
        new: Those of the second alone.
        sops: The names of files that sops encrypted, of which many values are in one.
    """
    before, after = ({path.name: path for path in paths} for paths in (gone, new))
    found = names(before, after)

    def encrypted(paths: Iterable[str]) -> Iterator[str]:
        for name in paths:
            if name.endswith(_ENCRYPTED):
                yield name
            elif name in sops:
                yield f"{name} ({_OF_SOPS})"

    return NamesChange(*map(tuple, map(encrypted, (found.added, found.removed, found.changed))))


def boots(
    running: Contents, target: Contents, booted: Mapping[str, str], own: Mapping[str, str] | None
) -> tuple[tuple[str, ...], bool]:
    """Find what takes effect at the next boot only.

    Args:
        running: The system that runs.
        target: What is to run.
        booted: Parts of the system that was booted.
        own: Parts of the system itself, where the target is a specialisation of it.

    Returns:
        In words; and whether NixOS switches to the target live.
    """
    before = dict(running.components)
    if INIT in target.components:
        # NixOS takes one that says nothing for another one.
        before.setdefault(INIT, "none")
    held = inhibitors(before, target.components)
    parts = (
        needs_boot(booted, target.parts)
        if own is None
        else needs_boot(booted, own, live=target.parts)
    )
    return (*held, *parts), not held


def completed(dry: ForeseenUnits, computed: ForeseenUnits | None) -> ForeseenUnits:
    """Add to what a dry activation says what it does not say: which new units targets start."""
    if computed is None:
        return dry
    told = dry.changes
    others = {*told.restarted, *told.reloaded, *told.stopped, *told.started}
    new = set(computed.changes.started) - others
    changes = replace(told, started=_sorted({*told.started, *new}))
    return replace(dry, changes=changes)


def _sorted(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(found))
