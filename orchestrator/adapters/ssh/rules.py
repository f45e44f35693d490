"""What ``ssh_config`` says of whom to trust, in OpenSSH's own reading.

asyncssh passes over options that it does not know. Where a file has a word that bears on trust, or
is of a kind that can be read in two ways, ``ssh -G`` is asked what it comes to.
"""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from orchestrator.adapters.process import run
from orchestrator.adapters.ssh.config import config_shape
from orchestrator.adapters.ssh.settings import SshSettings
from orchestrator.errors import StepError
from orchestrator.model.host import Connect

_DEADLINE = 30.0

_KEY_KINDS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
_CERTIFIED_KINDS = tuple(
    f"{kind.removesuffix('@openssh.com')}-cert-v01@openssh.com" for kind in _KEY_KINDS
)


class Bearing(Enum):
    """What an option of ssh_config(5) that bears on trust comes to here."""

    HONOURED = "as ssh has it"
    STRICTER = "strict, whatever it says"
    NEVER = "never, whatever it says"
    REFUSED = "the host is not contacted"


BEARINGS = {
    "canonicaldomains": Bearing.HONOURED,
    "canonicalizefallbacklocal": Bearing.HONOURED,
    "canonicalizehostname": Bearing.HONOURED,
    "canonicalizemaxdots": Bearing.HONOURED,
    "canonicalizepermittedcnames": Bearing.HONOURED,
    "casignaturealgorithms": Bearing.HONOURED,
    "checkhostip": Bearing.HONOURED,
    "controlmaster": Bearing.NEVER,
    "controlpath": Bearing.NEVER,
    "forwardagent": Bearing.NEVER,
    "forwardx11": Bearing.NEVER,
    "forwardx11trusted": Bearing.NEVER,
    "globalknownhostsfile": Bearing.HONOURED,
    "globalknownhostsfile2": Bearing.HONOURED,
    "gssapidelegatecredentials": Bearing.NEVER,
    "gssapikeyexchange": Bearing.NEVER,
    "gssapitrustdns": Bearing.NEVER,
    "host": Bearing.HONOURED,
    "hostkeyalgorithms": Bearing.HONOURED,
    "hostkeyalias": Bearing.HONOURED,
    "hostname": Bearing.HONOURED,
    "include": Bearing.HONOURED,
    "knownhostscommand": Bearing.REFUSED,
    "match": Bearing.HONOURED,
    "nohostauthenticationforlocalhost": Bearing.STRICTER,
    "port": Bearing.HONOURED,
    "proxycommand": Bearing.HONOURED,
    "proxyjump": Bearing.HONOURED,
    "requiredrsasize": Bearing.HONOURED,
    "revokedhostkeys": Bearing.HONOURED,
    "stricthostkeychecking": Bearing.STRICTER,
    "updatehostkeys": Bearing.STRICTER,
    "userknownhostsfile": Bearing.HONOURED,
    "userknownhostsfile2": Bearing.HONOURED,
    "verifyhostkeydns": Bearing.STRICTER,
}
"""Every option that bears on whom we trust, and with what: in lower case."""

_PLAIN = {"host", "hostname", "include", "port", "proxycommand", "proxyjump"}
"""Options that asyncssh reads as ssh does."""

ASKED = frozenset(
    word
    for word, bearing in BEARINGS.items()
    if bearing in (Bearing.HONOURED, Bearing.REFUSED) and word not in _PLAIN
)
"""Options for which ssh is asked."""

_ALGORITHMS = "hostkeyalgorithms"
_FILES = ("userknownhostsfile", "globalknownhostsfile")


@dataclass(frozen=True, slots=True)
class Rules:
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
    """

    alias: str = ""
    user_files: tuple[str, ...] = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
    global_files: tuple[str, ...] = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
    algorithms: tuple[str, ...] = (*_CERTIFIED_KINDS, *_KEY_KINDS)
    known_keys_first: bool = True
    authority_algorithms: tuple[str, ...] = _KEY_KINDS
    revoked: tuple[str, ...] = ()
    check_address: bool = False
    rsa_bits: int = 1024


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of a host.

    Attributes:
        rules: What it comes to.
        place: Where ssh would connect: name in lower case, and port. ``None`` where ssh was not
            asked, as the files have nothing that could be read in two ways.
    """

    rules: Rules
    place: tuple[str, int] | None = None


async def read_rules(target: Connect, settings: SshSettings) -> Read:
    """Find out what ``ssh_config`` says of trusting a host.

    Raises:
        StepError: ``ssh`` cannot tell, or it has an option that is not supported.
    """
    shape = config_shape(tuple(settings.config_files))
    asked = ASKED.difference(_FILES) if settings.known_hosts else ASKED
    if shape.words is not None and asked.isdisjoint(shape.words):
        return Read(Rules())
    said = await _ask(target, settings)
    if said.get("knownhostscommand", "none") != "none":
        raise StepError(
            f"ssh_config has KnownHostsCommand for {target.address}, which is not supported",
            hint="have the command write a file, and name that as UserKnownHostsFile",
        )
    known_keys_first = shape.keeps_own_algorithms
    if known_keys_first is None:
        own = await _answer(("ssh", "-F", "none", "-G", "--", target.address), target)
        known_keys_first = said.get(_ALGORITHMS) == own.get(_ALGORITHMS)
    try:
        rules = _rules(said, known_keys_first=known_keys_first)
        return Read(rules, (said["hostname"].lower(), int(said["port"])))
    except (KeyError, ValueError) as error:
        raise StepError(
            f"what `ssh -G` says of {target.address} is not understood: {error}"
        ) from error


def _rules(said: Mapping[str, str], *, known_keys_first: bool) -> Rules:
    return Rules(
        alias=said.get("hostkeyalias", "").lower(),
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


async def _ask(target: Connect, settings: SshSettings) -> dict[str, str]:
    files, stdin = _files(settings)
    argv = (
        "ssh",
        *files,
        *(("-p", str(target.port)) if target.port else ()),
        *(("-l", target.user) if target.user else ()),
        *(("-J", target.jump) if target.jump else ()),
        *("-G", "--", target.address),
    )
    return await _answer(argv, target, stdin)


async def _answer(argv: Sequence[str], target: Connect, stdin: bytes = b"") -> dict[str, str]:
    done = await run(argv, deadline=_DEADLINE, stdin=stdin)
    if done.rc != 0:
        raise StepError(
            f"ssh cannot say what ssh_config means for {target.address}: {done.err}",
            hint="it has options that bear on whom to trust, so it must be understood",
        )
    lines = done.stdout.decode(errors="surrogateescape").split("\n")
    return {word.lower(): rest for word, _, rest in map(_partition, lines)}


def _partition(line: str) -> tuple[str, str, str]:
    return line.partition(" ")


def _files(settings: SshSettings) -> tuple[tuple[str, ...], bytes]:
    """How ssh is given the files, and what it reads on standard input."""
    if settings.config is not None:
        return ("-F", settings.config), b""
    if Path("~").expanduser() == Path(pwd.getpwuid(os.getuid()).pw_dir):
        return (), b""
    # ssh finds a home by the user, and everybody else by $HOME.
    lines = "".join(f'Include "{file}"\n' for file in settings.config_files)
    return ("-F", "/dev/stdin"), lines.encode()


def plain_name(host: str) -> str:
    """A name as OpenSSH looks it up: in lower case; an address as it is commonly written."""
    try:
        found = socket.getaddrinfo(
            host, 22, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        )
        if len(found) == 1:
            return str(socket.getnameinfo(found[0][4], socket.NI_NUMERICHOST)[0])
    except (OSError, UnicodeError):
        pass
    return host.lower()
