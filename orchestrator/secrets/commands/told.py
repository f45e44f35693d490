"""After a secret was written: what git has to be told, said or, on a terminal, offered."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from orchestrator.secrets.place import Place


def say(text: str) -> None:
    """Write a line to standard error, made fit for a terminal: names are anybody's."""
    from orchestrator.render.text import clean

    click.echo(clean(text), err=True)


async def tell_git(place: Place, paths: Sequence[str]) -> None:
    """Say which files a flake does not see yet, and offer to keep git from changing them.

    Raises:
        StepError: git refused, or ``.gitattributes`` cannot be written.
    """
    from orchestrator.secrets.git import ATTRIBUTES, LINE, mark_binary, untold

    unknown = await untold(place, paths)
    added = list(unknown.untracked)
    if unknown.as_text:
        said = f"git may take encrypted files for text, and damage them: {LINE} in {ATTRIBUTES}"
        if _is_answered() and _agrees(f"{said} keeps it from that. Add it?"):
            mark_binary(place)
            added.append(ATTRIBUTES)
        else:
            by_hand = f"echo '{LINE}' >>{shlex.quote(str(place.root / ATTRIBUTES))}"
            say(f"hint: {said} keeps it from that: {by_hand}")
    if added:
        argv = ("git", "-C", str(place.root), "add", "--", *added)
        say(f"hint: a flake does not see new files before: {shlex.join(argv)}")


def _agrees(question: str) -> bool:
    """Ask; what was written is written, so that Ctrl-C is a no."""
    from orchestrator.secrets.commands.interrupt import interruptible

    try:
        with interruptible():
            return click.confirm(question, err=True)
    except click.Abort:
        click.echo(err=True)
        return False


def _is_answered() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
