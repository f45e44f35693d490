"""Regular expressions that are compiled when they are used first.

To compile one takes up to a millisecond, and most of what a module can read is never there to be
read: an error's text, a setting that nobody has.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from re import compile as compiled

    pattern = compiled
else:

    class pattern:  # noqa: N801 (it stands for a function)
        """What :func:`re.compile` would give, made when something of it is asked for."""

        def __init__(self, pattern, flags=0):
            self._how = pattern, flags

        def __getattr__(self, name):
            compiled = re.compile(*self._how)
            found = getattr(compiled, name)
            if name.startswith("_"):
                return found
            setattr(self, name, found)
            return found
