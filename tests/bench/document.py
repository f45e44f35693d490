"""The generated parts of ``docs/performance.md``: one between two markers for each benchmark."""

from __future__ import annotations

import re
from collections.abc import Sequence


def replace(page: str, name: str, body: str) -> str:
    """Give the page with what is between a benchmark's markers replaced.

    Raises:
        ValueError: The page does not have the two markers once.
    """
    begin, end = markers(name)
    pattern = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(page)) != 1:
        raise ValueError(f"the page has no part {begin} … {end}, or several")
    return pattern.sub(lambda _: f"{begin}\n{body.strip()}\n{end}", page)


def revisions(page: str, names: Sequence[str]) -> str:
    """Say which parts were measured at which revision: figures of two are not to be compared."""
    parts: dict[str, list[str]] = {}
    for name in names:
        begin, end = markers(name)
        body = page.partition(f"{begin}\n")[2].partition(end)[0]
        found = re.search(r"\*Measured .*?, revision ([^\s,]+),", body)
        parts.setdefault(found[1] if found else "", []).append(name)
    missing = parts.pop("", [])
    lines = [f"- {revision}: {', '.join(parts[revision])}" for revision in parts]
    lines += [f"- not measured: {', '.join(missing)}"] if missing else []
    if len(parts) > 1:
        lines.insert(0, "**Parts are of several revisions; compare none across them.**\n")
    return "\n".join(lines)


def markers(name: str) -> tuple[str, str]:
    """The lines around a benchmark's part."""
    return f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
