"""What a derivation builds, read from its file; no process is started.

Its form is Nix's ATerm: ``Derive([("out","/nix/store/…","",""),…],…``, see
https://nix.dev/manual/nix/latest/protocols/derivation-aterm
"""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.core.store import DrvPath, OutPath

# One output, called `out`, whose path is known: what a NixOS system is. A path or a hash has no
# character that would be escaped.
_ONE_OUTPUT = re.compile(rb'Derive\(\[\("out","(/nix/store/[^"\\]+)","[^"\\]*","[^"\\]*"\)\],\[')
_LONGEST = 1024


def output_of(drv: DrvPath) -> OutPath | None:
    """Read the path that a derivation builds.

    Returns:
        ``None`` where the file does not say so beyond doubt: it is not here, is of another form,
        or the path is known only once it is built.
    """
    try:
        with Path(drv.path).open("rb") as file:
            found = _ONE_OUTPUT.match(file.read(_LONGEST))
        return OutPath(found[1].decode()) if found else None
    except (OSError, ValueError):
        return None
