"""The generated parts of ``docs/performance.md``: one between two markers for each benchmark."""

from __future__ import annotations

import re


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


def markers(name: str) -> tuple[str, str]:
    """The lines around a benchmark's part."""
    return f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
