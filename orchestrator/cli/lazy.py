"""Modules of ours that are loaded when they are used first.

A command is imported for its ``--help`` and for completion too, and needs none of what it calls
for these. ``with lazily():`` around imports at the top of a file of commands puts that off, as
`importlib.util.LazyLoader` does: https://docs.python.org/3/library/importlib.html
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class _LazyFinder:
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module of ours; packages are only docstrings, and are loaded at once."""
        if not fullname.startswith("orchestrator."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None and not spec.submodule_search_locations:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


@contextlib.contextmanager
def lazily() -> Iterator[None]:
    """Put off the loading of the modules (not packages) that are imported in the body.

    They must be imported whole (``from orchestrator.host import status``): to take a name out of
    a module loads it. A module that cannot be imported raises when it is used.
    """
    finder = _LazyFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
