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
from typing import Any

_LazyModule: Any = vars(importlib.util)["_LazyModule"]


class _Unloaded(_LazyModule):  # type: ignore[misc]
    """A module that is loaded when it is used; to ask whether it is there is no use of it.

    ``from … import`` asks so of ``__spec__``, and lets whatever error comes of that pass: Ctrl-C
    would be lost, and half a module be used.
    """

    def __getattribute__(self, name: str) -> Any:
        """Load the module, and give its attribute."""
        if name == "__spec__":
            return object.__getattribute__(self, name)
        object.__setattr__(self, "__class__", _LazyModule)
        return getattr(self, name)


class _LazyLoader(importlib.util.LazyLoader):
    def exec_module(self, module: ModuleType) -> None:
        """Put off what the module's own loader does."""
        super().exec_module(module)
        object.__setattr__(module, "__class__", _Unloaded)


class _LazyFinder:
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module of ours; packages are only docstrings, and are loaded at once."""
        if not fullname.startswith("orchestrator."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None and not spec.submodule_search_locations:
            spec.loader = _LazyLoader(spec.loader)
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
