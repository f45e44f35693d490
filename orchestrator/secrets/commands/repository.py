"""Which repository, which rules and which private keys a person means."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import Target
from orchestrator.core.errors import UsageError
from orchestrator.core.machine import home

with lazily():
    from orchestrator.cli import opening
    from orchestrator.inventory import look, select
    from orchestrator.inventory import root as inventory_root
    from orchestrator.lab import network
    from orchestrator.render import output
    from orchestrator.secrets import gather, place
    from orchestrator.secrets.age import crypt


if TYPE_CHECKING:
    from orchestrator.core.host import Fleet
    from orchestrator.secrets.age.crypt import Keyring
    from orchestrator.secrets.place import SecretsRepository


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end at once what waits without asyncio, which would keep it until that is done.

    What standard input gave until then would be taken for all of it, and written.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):  # ignored, as in the background
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def lone_rules(fleet: Path | None) -> tuple[Path, ...]:
    """Find the nearest ``secrets.nix`` where no fleet is named, and none is above this folder.

    Args:
        fleet: The folder of ``--fleet``.
    """
    here = Path.cwd()
    try:
        inventory_root.find_root(here, fleet)
    except UsageError:
        if fleet is not None or os.environ.get(inventory_root.VARIABLE):
            return ()
        return next(filter(None, map(place.find, (here, *here.parents))), ())
    return ()


async def place_named(rules: Path | None, fleet: Path | None) -> SecretsRepository:
    """Find the ``secrets.nix``; where its fleet's lab is up, its Nix is there to read it.

    Args:
        rules: The file of ``--rules``.
        fleet: The folder of ``--fleet``.

    Raises:
        UsageError: As :func:`place.place_of`; or there is neither a fleet nor a file.
        StepError: As :func:`place.place_of`.
        LabError: It is needed, and was up and is gone.
    """
    known = fleet_of(fleet)
    found = (rules,) if rules else lone_rules(fleet)
    if not found:
        root = inventory_root.find_root(Path.cwd(), fleet)
        network.borrow_nix(root)
        found = place.find(root, known.secrets_rules if known else ())
        found = found or (root / place.USUAL[0],)
    return await place.place_of(*found, fleet=known)


def fleet_of(folder: Path | None) -> Fleet | None:
    """The fleet whose inventory says what rules may fetch; ``None`` where none can be read.

    Args:
        folder: That of ``--fleet``.
    """
    with contextlib.suppress(UsageError):
        root = inventory_root.find_root(Path.cwd(), folder)
        return look.fleet(root)
    return None


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

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if identity:
        return crypt.read(identity, ask_passphrase)
    return crypt.read_defaults(str(home()), ask_passphrase)


def ask_passphrase(path: str, again: bool) -> str | None:
    """Ask on the terminal, whatever standard input is; ``None`` where there is no terminal."""
    import getpass

    try:
        with _TERMINAL.open("r+b", buffering=0):
            pass
    except OSError:
        return None
    wrong = "that was wrong; " if again else ""
    try:
        with interruptible():
            return getpass.getpass(f"{wrong}passphrase of {output.clean(path)}: ")
    except EOFError:
        return None


def rules_option(command: F) -> F:
    """``--rules FILE``: another ``secrets.nix``, with or without a fleet."""
    return click.option(
        "--rules",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="This secrets.nix, of any repository; without --fleet, of no fleet. Where there is no "
        "fleet, the nearest one is taken.",
    )(command)


def open_rules(
    rules: Path | None, target: Target, selectors: tuple[str, ...] = ()
) -> tuple[tuple[Path, ...], gather.Context]:
    """Find the ``secrets.nix``, and what is known beside it.

    Args:
        rules: The file of ``--rules``.
        target: Which fleet.
        selectors: Hosts whose secrets matter; none means every one.

    Raises:
        UsageError: There is neither a fleet nor a file; or hosts are named and there is no fleet.
    """
    alone = lone_rules(target.fleet) if rules is None else (rules,)
    if alone and target.fleet is None:
        if selectors:
            raise UsageError("no fleet, and so no hosts to select", hint="add --fleet DIR")
        return alone, gather.Context()
    setup = opening.open_setup(target)
    usual = (Path(setup.fleet.root) / place.USUAL[0],)
    hosts = tuple(host.name for host in select.select(setup.fleet, selectors)) if selectors else ()
    context = gather.Context(setup.fleet, setup.ssh, hosts, setup=setup)
    return (rules,) if rules else place.rules_of(setup.fleet) or usual, context
