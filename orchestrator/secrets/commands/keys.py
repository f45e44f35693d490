"""``--identity``: the private keys at hand, and their passphrases from the terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from orchestrator.secrets.age.keyring import Keyring

F = TypeVar("F", bound=Callable[..., Any])

_TERMINAL = Path("/dev/tty")


def identity_option(command: F) -> F:
    """``--identity FILE``, as often as wanted, given as one tuple ``identity``."""
    return click.option(
        "-i",
        "--identity",
        multiple=True,
        type=click.Path(path_type=str),
        metavar="FILE",
        help="A private key, of SSH or age (default: ~/.ssh/id_ed25519 and id_rsa, then this "
        "machine's own). May be repeated.",
    )(command)


def without_me_option(command: F) -> F:
    """``--without-me``: secrets may end unreadable for who changes them."""
    return click.option(
        "--without-me",
        is_flag=True,
        help="Write it although none of these private keys could open it afterwards.",
    )(command)


def open_keyring(identity: tuple[str, ...]) -> Keyring:
    """Read the private keys that were named, else those that are tried by default.

    A crash of this process leaves no core from here on: neither they nor a plaintext go to a disk.

    Raises:
        UsageError: One that was named cannot be used.
    """
    import resource

    from orchestrator.secrets.age import keyring

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if identity:
        return keyring.read(identity, ask_passphrase)
    return keyring.read_defaults(str(Path.home()), ask_passphrase)


def ask_passphrase(path: str, again: bool) -> str | None:
    """Ask on the terminal, whatever standard input is; ``None`` where there is no terminal."""
    import getpass

    from orchestrator.render.text import clean
    from orchestrator.secrets.commands.interrupt import interruptible

    try:
        with _TERMINAL.open("r+b", buffering=0):
            pass
    except OSError:
        return None
    wrong = "that was wrong; " if again else ""
    try:
        with interruptible():
            return getpass.getpass(f"{wrong}passphrase of {clean(path)}: ")
    except EOFError:
        return None
