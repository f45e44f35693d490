"""How a login becomes root: sudo, what goes by another name, or a command that a person names."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from msgspec import Struct

from orchestrator.core.patterns import pattern
from orchestrator.core.process import CommandResult

Argv = tuple[str, ...]


class Become(Struct, frozen=True):
    """A program that runs a command as root; each prefix stands before the command.

    Attributes:
        name: What it is called.
        free: Never asks: it fails where it would.
        check: The same, whatever it remembers of an earlier password.
        asking: Reads a password from standard input; ``None``: it takes none there.
        terminal: Asks whoever sits at the terminal; of ``asking`` it has the prompt to ask with.
        login: What stands in place of a command for a login shell.
        never: How a person has it ask no password.
    """

    name: str
    free: Argv
    check: Argv
    asking: Argv | None
    terminal: Argv
    login: Argv
    never: str

    def in_terminal(self, argv: Sequence[str], prompt: str) -> Argv:
        """Give the command in a terminal; none is a login shell."""
        return (*self.terminal, *self.prompt(prompt), *self.what(argv))

    def what(self, argv: Sequence[str]) -> Argv:
        """What stands behind the options: a command, or that which gives a login shell."""
        return (*self.separator, *argv) if argv else self.login

    def prompt(self, text: str) -> Argv:
        """The option that has it ask with a text; nothing where it has none."""
        return ("-p", text) if self.asking is not None else ()

    @property
    def separator(self) -> Argv:
        """What ends its options."""
        return ("--",) if self.free[-1:] == ("--",) else ()


def _sudo(name: str) -> Become:
    return Become(
        name=name,
        free=(name, "-n", "--"),
        check=(name, "-n", "-k"),
        asking=(name, "-k", "-S", "-p", "", "--"),
        terminal=(name,),
        login=("-i",),
        never="security.sudo.wheelNeedsPassword = false, or NOPASSWD in sudoers",
    )


_DOAS = Become(
    name="doas",
    free=("doas", "-n", "--"),
    check=("doas", "-n", "--"),
    asking=None,
    terminal=("doas",),
    login=("-s",),
    never="noPass = true in security.doas.extraRules, or `permit nopass` in doas.conf",
)
_RUN0 = Become(
    name="run0",
    free=("run0", "--no-ask-password", "--"),
    check=("run0", "--no-ask-password", "--"),
    asking=None,
    terminal=("run0",),
    login=(),
    never="a polkit rule that lets the user manage units (org.freedesktop.systemd1.manage-units)",
)
_KNOWN = {one.name: one for one in (_sudo("sudo"), _sudo("sudo-rs"), _DOAS, _RUN0)}


def become_by(text: str) -> Become:
    """Find out what ``connect: {become: …}`` means: a name, or the words before a command.

    Args:
        text: ``sudo``, ``sudo-rs``, ``doas``, ``run0``; else words, of which none has a quote.
    """
    if found := _KNOWN.get(text):
        return found
    words = tuple(text.split())
    return Become(words[0], words, words, None, words, ("/bin/sh", "-l"), "see its own manual")


_NOT_THERE = pattern(r"command not found|: not found|No such file or directory")
_ASKS = pattern(
    r"a password is required|interactive authentication (?:is )?required|Authentication required|"
    r"a terminal is required|authentication failed|a tty is required",
    re.IGNORECASE,
)
_NO_TERMINAL = pattern(r"must have a tty|requiretty")
_NOT_ALLOWED = pattern(
    r"not in the sudoers file|not allowed to (?:run|execute)|may not run|"
    r"Operation not permitted|Access denied|Permission denied|I'm sorry"
)
_NOT_SETUID = pattern(r"must be owned by uid 0|setuid bit|installed setuid|no new privileges")
_NO_SHELL = pattern(r"account is currently not available|account is not available")


def why_not(done: CommandResult, by: Become, user: str) -> tuple[str, str | None] | None:
    """Say why nobody becomes root, and what helps.

    Args:
        done: How the check ended.
        by: What was to make it root.
        user: Who logged in.

    Returns:
        The cause and the hint; ``None``: it asks for a password.
    """
    words = f"{done.err}\n{done.out}"
    name = by.name
    if _NO_SHELL.search(words):
        return f"{user} has no login shell there, so no command runs", "give the user a shell"
    if done.rc == 127 or _NOT_THERE.search(words):
        return f"root is needed there, and {name} is not installed", _NOT_INSTALLED
    if _NO_TERMINAL.search(words):
        hint = f"take it off for this user: `Defaults:{user} !requiretty` in sudoers"
        return f"root is needed there, and {name} wants a terminal (requiretty)", hint
    if _NOT_SETUID.search(words):
        hint = f"see `ls -l $(command -v {shlex.quote(name)})`; {_WRAPPERS}"
        return f"root is needed there, and {name} cannot become root (no setuid)", hint
    if _ASKS.search(words):
        return None
    if _NOT_ALLOWED.search(words):
        hint = f"{name}'s rules must let {user} run any command as root"
        return f"root is needed there, and {name} does not let {user} run what it takes", hint
    # In another language sudo asks as well; what it said is shown.
    asks = name.startswith("sudo") or not words.strip()
    return None if asks else (f"root is needed there, and {name} failed", None)


_WRAPPERS = (
    "on NixOS /run/wrappers/bin comes first in the PATH of commands over SSH, and "
    "suid-sgid-wrappers.service makes what is there"
)
_NOT_INSTALLED = (
    "log in as root (connect: {user: root}), or name what there is: connect: {become: doas}; "
    + _WRAPPERS
)
