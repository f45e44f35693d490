"""The private keys at hand, for one session: an encrypted one is asked for once, when needed."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence

from orchestrator.secrets.age import identity_file
from orchestrator.secrets.age.errors import IdentityError
from orchestrator.secrets.age.identity_file import External, Identity, Locked, Opened
from orchestrator.secrets.age.unlock import WrongPassphraseError
from orchestrator.secrets.model.ciphertext import Header
from orchestrator.secrets.model.matching import is_for, is_foreign
from orchestrator.secrets.model.recipient import Recipient

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
    return Keyring((one for path in each for one in identity_file.read(path)), ask)


def read_defaults(home: str, ask: Ask | None = None) -> Keyring:
    """Read what agenix takes by default, then a host's own keys; what cannot be used is left out.

    Args:
        home: The person's home folder.
        ask: Asks for a passphrase.
    """
    found: list[Identity] = []
    for path in default_paths(home):
        with contextlib.suppress(IdentityError):
            found.extend(identity_file.read(path))
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
            return identity_file.unlocked(locked, passphrase)
    raise IdentityError(
        f"{locked.path}: the passphrase was wrong {_TRIES} times",
        hint=f"try it with `ssh-keygen -y -f {shlex.quote(locked.path)}`, "
        "or name another key with --identity",
    )
