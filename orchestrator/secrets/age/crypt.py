"""Encrypt and decrypt: by the library, by the ``age`` program where a plugin is needed."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence

from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.core.units import split_lines
from orchestrator.secrets.age import file, header
from orchestrator.secrets.age import identities as age_identities
from orchestrator.secrets.age.file import ClosedError, DamagedError, IdentityError
from orchestrator.secrets.age.identities import (
    External,
    Identity,
    Locked,
    Opened,
    WrongPassphraseError,
)
from orchestrator.secrets.model.ciphertext import Header, Recipient, is_for, is_foreign

# Seconds: a plugin may wait for a person's touch.
_DEADLINE = 120.0
_MISSING = "install age 1.3 or later, and the plugin of the key where it has one"


async def encrypt_by_program(
    plaintext: bytes, recipients: Sequence[Recipient], *, armor: bool
) -> bytes:
    """Encrypt by ``age``.

    Raises:
        StepError: There is no ``age``, or it cannot encrypt to one of these.
    """
    keys = [word for one in recipients for word in ("--recipient", one.text)]
    argv = ("age", "--encrypt", *(["--armor"] if armor else []), *keys)
    done = await _run(argv, plaintext)
    if done.rc != 0 or not done.stdout:
        raise StepError(
            f"age could not encrypt: {_last_line(done)}",
            hint=_MISSING,
            command=shlex.join(argv),
            stderr=done.err,
        )
    return done.stdout


async def decrypt_by_program(ciphertext: bytes, identities: Sequence[str]) -> bytes:
    """Decrypt by ``age``.

    Args:
        ciphertext: A whole file.
        identities: Files of private keys.

    Raises:
        ClosedError: It does not open.
        StepError: There is no ``age``.
    """
    files = [word for path in identities for word in ("--identity", path)]
    done = await _run(("age", "--decrypt", *files), ciphertext)
    if done.rc != 0:
        # What it wrote until then may be part of a plaintext: it is dropped.
        raise ClosedError(f"is not opened by age: {_last_line(done)}")
    return done.stdout


async def _run(argv: Sequence[str], stdin: bytes) -> process.CommandResult:
    try:
        return await process.run(argv, deadline=_DEADLINE, stdin=stdin)
    except StepError as error:
        error.hint = error.hint or _MISSING
        raise


def _last_line(done: process.CommandResult) -> str:
    said = [line for line in split_lines(done.err) if "report unexpected" not in line]
    return said[-1].removeprefix("age: error: ") if said else process.how_it_ended(done.rc)


Ask = Callable[[str, bool], str | None]
"""Asks for a file's passphrase, given its path, and whether the last answer was wrong.

``None`` leaves it closed.
"""

_TRIES = 3


class Keyring:
    """The private keys at hand.

    Args:
        identities: In the order in which they are tried.
        ask: Asks for a passphrase; without it, encrypted keys stay closed.
    """

    def __init__(self, identities: Iterable[Identity], ask: Ask | None = None) -> None:
        self._identities = list(identities)
        self._ask = ask

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        """The public halves, as far as they are known; of encrypted keys too."""
        found = (getattr(one, "recipient", None) for one in self._identities)
        return tuple(one for one in found if one is not None)

    def external(self, header: Header) -> tuple[str, ...]:
        """The files that a file may be for, and that only the ``age`` program can use."""
        usable = (one for one in self._identities if _may_open(one, header))
        return tuple(one.path for one in usable if isinstance(one, External))

    def may_open(self, header: Header) -> Iterator[Opened]:
        """The keys that a file may be for: those that are open first, then what a passphrase opens.

        Raises:
            IdentityError: A passphrase was wrong too often.
        """
        usable = [one for one in self._identities if _may_open(one, header)]
        yield from (one for one in usable if isinstance(one, Opened))
        for locked in usable:
            if isinstance(locked, Locked):
                for one in self._unlock(locked):
                    if isinstance(one, Opened) and _may_open(one, header):
                        yield one

    def _unlock(self, locked: Locked) -> Sequence[Identity]:
        """Ask for a passphrase, and keep what it opens in the place of what was locked."""
        if self._ask is None:
            return ()
        opened = _unlocked(locked, self._ask)
        at = self._identities.index(locked)
        # Declined is declined: nobody is asked twice in a session.
        self._identities[at : at + 1] = opened
        return opened


def read(paths: Iterable[str], ask: Ask | None = None) -> Keyring:
    """Read the files that were named.

    Raises:
        IdentityError: One cannot be read or used.
    """
    each = dict.fromkeys(paths)
    return Keyring((one for path in each for one in age_identities.read(path)), ask)


def read_defaults(home: str, ask: Ask | None = None) -> Keyring:
    """Read what agenix takes by default, then a host's own keys; what cannot be used is left out.

    Args:
        home: The person's home folder.
        ask: Asks for a passphrase.
    """
    found: list[Identity] = []
    for path in default_paths(home):
        with contextlib.suppress(IdentityError):
            found.extend(age_identities.read(path))
    return Keyring(found, ask)


def default_paths(home: str) -> tuple[str, ...]:
    """The private keys that are tried where none is named."""
    return (
        f"{home}/.ssh/id_ed25519",
        f"{home}/.ssh/id_rsa",
        "/etc/ssh/ssh_host_ed25519_key",
        "/etc/ssh/ssh_host_rsa_key",
    )


def _may_open(identity: Identity, header: Header) -> bool:
    match identity:
        case External(recipient=None):
            return any(map(is_foreign, header.stanzas))
        case Locked(recipient=None) | Opened(recipient=None):
            return True
        case _:
            assert identity.recipient is not None
            return any(is_for(stanza, identity.recipient) is not False for stanza in header.stanzas)


def _unlocked(locked: Locked, ask: Ask) -> tuple[Identity, ...]:
    for attempt in range(_TRIES):
        passphrase = ask(locked.path, attempt > 0)
        if passphrase is None:
            return ()
        with contextlib.suppress(WrongPassphraseError):
            return age_identities.unlocked(locked, passphrase)
    raise IdentityError(
        f"{locked.path}: the passphrase was wrong {_TRIES} times",
        hint=f"try it with `ssh-keygen -y -f {shlex.quote(locked.path)}`, "
        "or name another key with --identity",
    )


async def encrypt(plaintext: bytes, recipients: Sequence[Recipient], *, armor: bool) -> bytes:
    """Encrypt a secret to all of its recipients; a binary file never ends with a newline.

    Args:
        plaintext: What to encrypt; never written anywhere.
        recipients: At least one; each counts once.
        armor: Whether to write the textual form.

    Raises:
        ValueError: There is no recipient.
        StepError: They cannot stand together; or one of them needs the ``age`` program, and it is
            not there or cannot.
    """
    if not recipients:
        raise ValueError("a secret needs a recipient")
    each = list({one.text: one for one in recipients}.values())
    while True:
        data = await _encrypt(plaintext, each, armor=armor)
        # One in 256 binary files ends with a newline, as those do that a text hook has altered.
        if armor or not data.endswith(b"\n"):
            return data


async def _encrypt(plaintext: bytes, recipients: Sequence[Recipient], *, armor: bool) -> bytes:
    if all(map(file.takes, recipients)):
        return file.encrypt(plaintext, recipients, armor=armor)
    return await encrypt_by_program(plaintext, recipients, armor=armor)


async def decrypt(ciphertext: bytes, keyring: Keyring) -> bytes:
    """Decrypt a secret.

    A passphrase is asked for only where an encrypted key may open what no other one opens.

    Args:
        ciphertext: The whole file, binary or armored.
        keyring: The private keys at hand.

    Raises:
        AgeFormatError: It is no sound age file.
        DamagedError: It is for a key at hand, and was altered.
        ClosedError: No key at hand opens it.
        IdentityError: A passphrase was wrong too often.
        StepError: A key needs the ``age`` program, and it is not there.
    """
    data = file.decode(ciphertext) if file.is_armored(ciphertext) else ciphertext
    head = header.parse(data)
    damaged = None
    for identity in keyring.may_open(head):
        try:
            return file.decrypt(data, identity.key)
        except file.NotOpenedError as error:
            damaged = identity if error.matching else damaged
    if files := keyring.external(head):
        return await decrypt_by_program(data, files)
    if damaged:
        raise DamagedError(f"does not open with {damaged.path}, which it is for: it was altered")
    raise ClosedError("is not for any of the private keys at hand")
