"""Where a secret's new content comes from: the person's editor, or standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


def source(name: str) -> Callable[[bytes], bytes]:
    """Give what makes a new plaintext of the old one.

    Raises:
        UsageError: It is to be an editor, and there is none.
    """
    from orchestrator.secrets.files.editor import edit, editor_of

    if not sys.stdin.isatty():
        return lambda _: _read(name)
    editor_of(os.environ)
    return lambda old: edit(old, name, os.environ, warn=_warn)


def _read(name: str) -> bytes:
    from orchestrator.core.errors import UsageError
    from orchestrator.secrets.commands.interrupt import interruptible
    from orchestrator.secrets.files.editor import MOST

    with interruptible():
        content = sys.stdin.buffer.read(MOST + 1)
    if len(content) > MOST:
        raise UsageError(f"{name}: more than {MOST >> 20} MiB on standard input")
    return content


def _warn(text: str) -> None:
    from orchestrator.secrets.commands.told import say

    say(f"warning: {text}")
