"""Whose a key is: the fleet's hosts by their known keys, its users by the inventory's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from orchestrator.core.errors import StepError
from orchestrator.core.host import Fleet, Host
from orchestrator.secrets.age import recipients
from orchestrator.secrets.model.recipient import Recipient
from orchestrator.ssh.host_keys import known_keys
from orchestrator.ssh.local import is_this_machine
from orchestrator.ssh.settings import SshSettings

OWN = Path("/etc/ssh")
"""Where this machine's own host keys are."""


async def keys_of_hosts(fleet: Fleet, settings: SshSettings) -> dict[str, tuple[str, ...]]:
    """Look up the keys of every host; one of which nothing is known has none.

    Returns:
        Host → its keys, as :class:`Recipient` has their text.
    """
    return {host.name: await _keys(host, settings) for host in fleet.hosts.values()}


async def _keys(host: Host, settings: SshSettings) -> tuple[str, ...]:
    if is_this_machine(host) and (own := tuple(_own_keys())):
        return own
    try:
        found = await known_keys(host, settings)
    except StepError:
        return ()
    return tuple(one.text for one in usable(found))


def _own_keys() -> Iterator[str]:
    """Look up the keys of the machine that this runs on: sshd(8), FILES."""
    for kind in ("ed25519", "rsa"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            text = (OWN / f"ssh_host_{kind}_key.pub").read_text()
            yield from (one.text for one in usable([text.strip()]))


def by_key(
    keys: Mapping[str, Iterable[str]], declared: Iterable[Recipient]
) -> dict[str, tuple[str, ...]]:
    """Turn keys round: key → its hosts.

    A host of which no key is known is taken for the owner of a declared key whose comment says so,
    as ``ssh-keygen -A`` writes it: ``root@HOST``.
    """
    found: dict[str, dict[str, None]] = {}
    for host, texts in keys.items():
        for text in texts:
            found.setdefault(text, {})[host] = None
    silent = {f"root@{host}": host for host, texts in keys.items() if not texts}
    for one in declared:
        owner = silent.get(one.comment.partition(".")[0])
        if owner is not None:
            found.setdefault(one.text, {})[owner] = None
    return {text: tuple(hosts) for text, hosts in found.items()}


def usable(keys: Iterable[str]) -> tuple[Recipient, ...]:
    """Those of some keys that a secret could be encrypted to."""
    found = []
    for key in keys:
        try:
            found.append(recipients.parse(key))
        except ValueError:
            continue
    return tuple(found)
