"""What hosts' evaluations depend on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from orchestrator.changes.plan import Asked, Fingerprint, Knowledge, Known, Read
from orchestrator.render.output import Output, clean
from orchestrator.render.report import Column, ago, print_json, print_table

_COLUMNS = (Column("asked"), Column("path", flexible=True), Column("changed"))


def draw_lesson(
    host: str, fingerprint: Fingerprint | None, problem: str, words: Output, progress: str = ""
) -> None:
    """Draw what was learned of one host.

    Args:
        host: Its name.
        fingerprint: What was learned; ``None`` where nothing was.
        problem: Why not.
        words: Where to.
        progress: How far all of it is, to stand before the line; such as ``[3/20] ``.
    """
    if fingerprint is None:
        said = f"not learned: {clean(problem)}"
    elif fingerprint.reads is None:
        said = f"any change counts: {clean(fingerprint.why_whole)}"
    else:
        said = f"{fingerprint.files} of {len(fingerprint.tree.entries)} files count"
    words.line(f"{progress}{host}: {said}")


def lesson_json(fingerprint: Fingerprint | None, problem: str) -> dict[str, object]:
    """What was learned of one host as JSON; ``whole_tree`` is why any change counts, or null."""
    if fingerprint is None:
        return {"learned": False, "problem": problem}
    return {
        "learned": True,
        "out_path": fingerprint.evaluated.out.path,
        "files": fingerprint.files,
        "whole_tree": fingerprint.why_whole or None,
    }


def draw_affected(
    found: Mapping[str, str], results: Output, words: Output, *, as_json: bool
) -> None:
    """Draw the hosts that a change touches: names to standard output, reasons beside them."""
    if as_json:
        print_json(results, dict(found))
        return
    for name, reason in found.items():
        results.line(name)
        words.line(f"{name}: {clean(reason)}")


def draw_why(host: str, known: Knowledge, results: Output, words: Output, *, as_json: bool) -> None:
    """Draw what a host's evaluation asked of the tree, and what of it changed."""
    if as_json:
        print_json(results, _to_json(host, known))
        return
    fingerprint = known.fingerprint
    verdict = "known" if isinstance(known, Known) else f"to be evaluated: {known.reason}"
    words.line(f"{host}: {clean(verdict)}")
    if fingerprint is None:
        return
    since = f" by run {fingerprint.run}" if fingerprint.run else ""
    words.line(f"{host}: evaluated {ago(fingerprint.at, datetime.now(UTC))}{since}")
    if fingerprint.reads is None:
        words.line(f"{host}: all {fingerprint.files} files count: {clean(fingerprint.why_whole)}")
        for path in _changed(known):
            results.line(clean(path))
        return
    asked = _asked(fingerprint)
    changed = set(_changed(known))
    rows = [(word, path or ".", "changed" if path in changed else "") for word, path in asked]
    # What came to a folder that was listed was not asked for itself.
    rows += [("", path, "changed") for path in sorted(changed - {path for _, path in asked})]
    print_table(results, _COLUMNS, rows)


def _asked(fingerprint: Fingerprint) -> list[tuple[str, str]]:
    """What was asked, in words: a type only where nothing more was asked of the path or below."""
    reads = fingerprint.reads or ()
    deeper = {read.path for read in reads if read.asked is not Asked.TYPE}
    deeper |= {read.path.rpartition("/")[0] for read in reads}
    shown = [read for read in reads if read.asked is not Asked.TYPE or read.path not in deeper]
    pairs = [(_word(read, fingerprint), read.path) for read in shown]
    return sorted(pairs, key=lambda pair: pair[1])


def _word(read: Read, fingerprint: Fingerprint) -> str:
    tree = fingerprint.tree
    if read.asked is Asked.LIST:
        return "list"
    if read.path not in tree.entries and read.path not in tree.folders:
        return "absence"
    return "content" if read.asked is Asked.CONTENT else "presence"


def _changed(known: Knowledge) -> tuple[str, ...]:
    return () if isinstance(known, Known) else known.changed


def _to_json(host: str, known: Knowledge) -> dict[str, object]:
    fingerprint = known.fingerprint
    about: dict[str, object] = {
        "host": host,
        "known": isinstance(known, Known),
        "reason": None if isinstance(known, Known) else known.reason,
        "changed": list(_changed(known)),
    }
    if fingerprint is not None:
        about |= {
            "out_path": fingerprint.evaluated.out.path,
            "drv_path": fingerprint.evaluated.drv.path,
            "run": fingerprint.run,
            "at": fingerprint.at.isoformat(),
            "whole_tree": fingerprint.why_whole or None,
            "files": fingerprint.files,
            "reads": [{"asked": asked, "path": path} for asked, path in _asked(fingerprint)],
        }
    return about
