"""Values: frozen Structs of msgspec's, and dataclasses where one needs what only those have.

A Struct is made in a tenth of the time, as a class and as a value: each class that a deployment
imports is made anew at every start. https://jcristharif.com/msgspec/structs.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, structs

if TYPE_CHECKING:
    # Type checkers know this one, and check each field by it.
    from dataclasses import replace as replace
else:

    def replace(value, /, **changes):
        """Make a value that is another one but for some fields; of a Struct or a dataclass."""
        if isinstance(value, Struct):
            return structs.replace(value, **changes)
        import dataclasses

        return dataclasses.replace(value, **changes)
