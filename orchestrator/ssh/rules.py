"""What ``ssh_config`` says of whom to trust, in OpenSSH's own reading.

They are read from what ``ssh -G`` says: asyncssh passes over options that it does not know.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

from msgspec import Struct

from orchestrator.core.errors import StepError
from orchestrator.core.values import replace
from orchestrator.ssh.config import config_shape
from orchestrator.ssh.said import Said, lowered
from orchestrator.ssh.settings import SshSettings

KEY_KINDS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
CERTIFIED = "-cert-v01@openssh.com"


def certified(kind: str) -> str:
    """What a kind of key, or an algorithm, is called with a certificate around the key."""
    return kind.removesuffix("@openssh.com") + CERTIFIED


_ALGORITHMS = "hostkeyalgorithms"


class Rules(Struct, frozen=True):
    """What bears on whether a host's key is trusted. The defaults are OpenSSH's.

    Attributes:
        alias: ``HostKeyAlias``, in lower case.
        user_files: ``UserKnownHostsFile``.
        global_files: ``GlobalKnownHostsFile``.
        algorithms: ``HostKeyAlgorithms``.
        known_keys_first: Whether those of known keys are asked for first.
        authority_algorithms: ``CASignatureAlgorithms``.
        revoked: ``RevokedHostKeys``.
        check_address: ``CheckHostIP``.
        rsa_bits: ``RequiredRSASize``.
        command: ``KnownHostsCommand``, its tokens not expanded.
    """

    alias: str = ""
    user_files: tuple[str, ...] = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
    global_files: tuple[str, ...] = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
    algorithms: tuple[str, ...] = (*map(certified, KEY_KINDS), *KEY_KINDS)
    known_keys_first: bool = True
    authority_algorithms: tuple[str, ...] = KEY_KINDS
    revoked: tuple[str, ...] = ()
    check_address: bool = False
    rsa_bits: int = 1024
    command: str = ""


def rules_of(said: Said, settings: SshSettings) -> Rules:
    """What is said of trusting a host.

    Raises:
        StepError: An option is not supported, or cannot be understood.
    """
    words = said.answer.words
    if not words:
        return Rules()
    command = said.answer.one("knownhostscommand")
    if command and said.answer.one("checkhostip") == "yes":
        raise StepError(
            f"ssh_config has KnownHostsCommand and CheckHostIP for {said.target.address}: together "
            "they are not supported",
            hint="take CheckHostIP away: the command is asked before the address is known",
        )
    known_keys_first = config_shape(tuple(settings.config_files)).keeps_own_algorithms
    if known_keys_first is None:
        known_keys_first = said.answer.changed(_ALGORITHMS) is None
    first = {word: values[0] for word, values in words.items()}
    try:
        return replace(_rules(first, known_keys_first=known_keys_first), command=command)
    except (KeyError, ValueError) as error:
        raise StepError(
            f"what `ssh -G` says of {said.target.address} is not understood: {error}"
        ) from error


def _rules(said: Mapping[str, str], *, known_keys_first: bool) -> Rules:
    return Rules(
        alias=lowered(said.get("hostkeyalias", "")),
        user_files=_paths(said, "userknownhostsfile"),
        global_files=_paths(said, "globalknownhostsfile"),
        algorithms=tuple(said[_ALGORITHMS].split(",")),
        known_keys_first=known_keys_first,
        authority_algorithms=tuple(said["casignaturealgorithms"].split(",")),
        revoked=_paths(said, "revokedhostkeys"),
        check_address=said["checkhostip"] == "yes",
        rsa_bits=int(said.get("requiredrsasize", "1024")),
    )


def _paths(said: Mapping[str, str], word: str) -> tuple[str, ...]:
    """A list of files. Where a name has a space in it nobody can tell which they are."""
    names = said.get(word, "").split(" ")
    if names in ([""], ["none"]):
        return ()
    if any(not name.startswith(("/", "~/")) for name in names):
        raise ValueError(f"{word} {said[word]}: each file must have its whole path, without spaces")
    return tuple(names)


def plain_name(host: str, family: socket.AddressFamily = socket.AF_UNSPEC) -> str:
    """A name as OpenSSH looks it up: in lower case; an address as it is commonly written.

    Args:
        host: The name or address.
        family: Of which an address is one.
    """
    try:
        found = socket.getaddrinfo(
            host,
            22,
            family=family,
            type=socket.SOCK_STREAM,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        if len(found) == 1:
            return str(socket.getnameinfo(found[0][4], socket.NI_NUMERICHOST)[0])
    except (OSError, UnicodeError):
        pass
    return lowered(host)
