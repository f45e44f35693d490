"""Which keys a host is asked for, and in which order: those that were named go first.

As ssh does, a file that is no key, or is not there, is passed over; a key that only the agent can
use (its file is encrypted, or but its public half is here) is used through the agent.
"""

from __future__ import annotations

import copy
import functools
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from orchestrator.core.errors import StepError, cause_of
from orchestrator.ssh.keys import KeyFormatError, read_key
from orchestrator.ssh.lean import SSHAgentClient, asyncssh, load_keypairs
from orchestrator.ssh.said import Said
from orchestrator.ssh.tokens import files_named

Pair = asyncssh.SSHKeyPair

_DEFAULTS = tuple(
    f"~/.ssh/id_{kind}" for kind in ("rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk")
)
"""What ssh looks for where no file is named, in its order: ssh_config(5), IdentityFile."""

_NO_KEY = (OSError, ValueError, asyncssh.KeyImportError)
"""What a file that is no key comes to: ssh passes over it."""


class Identities(Struct, frozen=True):
    """The keys for one way to a host.

    Attributes:
        pairs: Those whose private half could be read, each after the certificate beside its file.
        order: The public halves of all that were named, in their order.
        certificates: Those that were named, and those of keys that only the agent can use.
        agent: The agent's socket; empty: there is none.
        only: Whether the agent is asked for no key but these (``IdentitiesOnly``).
        named: Whether a person named them: those go before the agent's other keys.
        locked: Files whose key neither could be read nor is in the agent.
    """

    pairs: tuple[Pair, ...] = ()
    order: tuple[bytes, ...] = ()
    certificates: tuple[asyncssh.SSHCertificate, ...] = ()
    agent: str = ""
    only: bool = False
    named: bool = False
    locked: tuple[str, ...] = ()

    def offered(self, pairs: Sequence[Pair], held: Sequence[Pair]) -> list[Pair]:
        """Put keys in the order in which a host is asked whether it takes them.

        Certificates first, as with ssh; then the keys that were named, whether their file or the
        agent has them; then what else the agent has. Keys that nobody named, and that are in
        ``~/.ssh`` alone, come last.

        Args:
            pairs: Copies of :attr:`pairs`.
            held: What the agent has.
        """
        ranks = {public: rank for rank, public in enumerate(self.order)}
        certified = [found for pair in (*held, *pairs) for found in self._certified(pair)]
        known = {pair.public_data for pair in held}
        files = [pair for pair in pairs if pair.public_data not in known]
        others = [pair for pair in held if not self.only or _key_of(pair) in ranks]

        def rank(pair: Pair) -> tuple[bool, int, int]:
            own = ranks.get(_key_of(pair))
            if own is None:
                return True, 1, 0
            last = not self.named and pair in files
            return not pair.has_cert, 2 if last else 0, own

        return sorted((*certified, *others, *files), key=rank)

    def _certified(self, plain: Pair) -> Iterator[Pair]:
        """A key with each certificate that was named for it."""
        for certificate in self.certificates:
            if certificate.key.public_data == plain.public_data:
                pair = copy.copy(plain)
                pair.set_certificate(certificate)
                yield pair


def _key_of(pair: Pair) -> bytes:
    """The public key of a pair, without the certificate around it."""
    try:
        return read_key(pair.public_data).public
    except KeyFormatError:
        return pair.public_data


async def identities_of(said: Said) -> Identities:
    """Find out which keys a host is asked for.

    Raises:
        StepError: The key that the inventory names cannot be used.
    """
    answer = said.answer
    if said.target.identity:
        files, named = [said.target.identity], True
    else:
        found = answer.words.get("identityfile")
        files = files_named(said, "IdentityFile", _DEFAULTS if found is None else found)
        named = answer.changed("identityfile") is not None
    more = files_named(said, "CertificateFile", answer.words.get("certificatefile", ()))
    agent = _agent(said)
    pairs = {file: _pairs(file) for file in files}
    publics = {file: _public(file, pairs[file]) for file in files}
    without = [file for file, found in pairs.items() if not found and os.path.lexists(file)]
    held = await _held_keys(agent) if without else frozenset()
    locked = tuple(file for file in without if publics[file] not in held)
    if said.target.identity and not pairs[files[0]] and publics[files[0]] not in held:
        raise _unusable(files[0])
    return Identities(
        pairs=tuple(pair for file in files for pair in pairs[file]),
        order=tuple(public for file in files if (public := publics[file]) is not None),
        certificates=tuple(_certificates((*more, *(f"{file}-cert.pub" for file in without)))),
        agent=agent,
        only=answer.one("identitiesonly") == "yes",
        named=named,
        locked=locked,
    )


async def _held_keys(agent: str) -> frozenset[bytes]:
    if not agent:
        return frozenset()
    client = SSHAgentClient(agent)
    try:
        return frozenset(_key_of(pair) for pair in await held_by(client))
    finally:
        client.close()


async def held_by(agent: SSHAgentClient | None) -> list[Pair]:
    """What an agent has; nothing where there is none, or it gives no proper answer."""
    try:
        return list(await agent.get_keys()) if agent is not None else []
    except ValueError:
        return []


def _pairs(file: str) -> tuple[Pair, ...]:
    """The key of a file, with its certificate and without; nothing where there is none to read."""
    try:
        beside = (file, f"{file}.pub", f"{file}-cert.pub")
        return _loaded(file, tuple(_state(name) for name in beside))
    except _NO_KEY:
        return ()


def _state(file: str) -> tuple[int, int, int] | None:
    try:
        now = Path(file).stat()
    except OSError:
        return None
    return now.st_ino, now.st_size, now.st_mtime_ns


@functools.lru_cache(maxsize=64)
def _loaded(file: str, _states: tuple[object, ...]) -> tuple[Pair, ...]:
    return tuple(load_keypairs([file]))


def _public(file: str, pairs: Sequence[Pair]) -> bytes | None:
    """The public half of a key: the private one may be encrypted, or in the agent alone."""
    if pairs:
        return _key_of(pairs[0])
    for name in (file, f"{file}.pub"):
        try:
            return asyncssh.read_public_key(name).public_data
        except _NO_KEY:
            continue
    return None


def _certificates(files: Sequence[str]) -> list[asyncssh.SSHCertificate]:
    found = []
    for file in files:
        try:
            found.append(asyncssh.read_certificate(file))
        except _NO_KEY:
            continue
    return found


def _unusable(file: str) -> StepError:
    """Say why the key that the inventory names cannot be used."""
    try:
        data = Path(file).read_bytes()
        asyncssh.import_private_key(data)
    except OSError as error:
        return StepError(
            f"the identity {file} cannot be read: {cause_of(error)}",
            hint="the inventory names it: connect: {identity: …}",
        )
    except asyncssh.KeyImportError as error:
        if str(error).startswith("Passphrase"):
            return StepError(
                f"the identity {file} is encrypted, and no agent has its key",
                hint="have the agent ask for the passphrase once",
                command=f"ssh-add {shlex.quote(file)}",
            )
    except ValueError:
        pass
    return StepError(
        f"the identity {file} is no private key, and no agent has such a key",
        hint="the inventory names it: connect: {identity: …}",
    )


def _agent(said: Said) -> str:
    """The agent's socket, as ``ssh -G`` has it, whose tokens are expanded."""
    value = said.answer.words.get("identityagent", ("SSH_AUTH_SOCK",))[0]
    if value.lower() == "none":
        return ""
    if value == "SSH_AUTH_SOCK":
        return os.environ.get("SSH_AUTH_SOCK", "")
    if value.startswith("$"):
        return os.environ.get(value.strip("${}"), "")
    return os.path.expanduser(value)  # noqa: PTH111 (``~nobody`` is nobody's)
