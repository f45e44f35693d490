"""What a deployment would change on a host, as a table."""

from __future__ import annotations

from orchestrator.core.changed import PackageChange
from orchestrator.deploy.diff import HostDiff
from orchestrator.render.output import Output
from orchestrator.render.tables import Column, print_json, print_table

_COLUMNS = (Column("package"), Column("runs now"), Column("would run", flexible=True))


def draw_diff(found: HostDiff, results: Output, words: Output, *, as_json: bool) -> None:
    """Draw the packages that differ."""
    if as_json:
        print_json(results, _to_json(found))
        return
    name, running = found.host.name, found.state.running
    if other := found.state.another_than(name):
        words.line(f"{name}: this machine was deployed as {other}: is its address wrong?")
    if running == found.wanted:
        words.line(f"{name}: runs {found.wanted.short}, which is what is wanted")
        return
    words.line(f"{name}: runs {running.short if running else 'no NixOS system'}")
    words.line(f"{name}: would run {found.wanted.short}")
    print_table(results, _COLUMNS, [_row(change) for change in found.changes])


def _row(change: PackageChange) -> tuple[str, str, str]:
    if change.before == change.after:
        # The same versions, built from something else.
        return (change.package, _versions(change.before), "rebuilt")
    return (change.package, _versions(change.before), _versions(change.after))


def _versions(versions: tuple[str, ...]) -> str:
    return ", ".join(version or "yes" for version in versions) or "-"


def _to_json(found: HostDiff) -> dict[str, object]:
    return {
        "host": found.host.name,
        "running": None if found.state.running is None else found.state.running.path,
        "wanted": found.wanted.path,
        "changes": [
            {"package": change.package, "before": change.before, "after": change.after}
            for change in found.changes
        ],
    }
