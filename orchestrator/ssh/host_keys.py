"""Which keys a host has, as ``known_hosts`` vouches for them; nobody is asked."""

from __future__ import annotations

from orchestrator.core.host import Host
from orchestrator.ssh.said import said_of
from orchestrator.ssh.settings import SshSettings
from orchestrator.ssh.verified import trust_in


async def known_keys(host: Host, settings: SshSettings) -> tuple[str, ...]:
    """Look up a host's keys, each as its kind and its base64, without a comment.

    Raises:
        StepError: What the inventory and ``ssh_config`` say of the connection cannot be used.
    """
    target = settings.connect_for(host.name, host.connect)
    trust = trust_in(await said_of(target, settings), settings)
    return tuple(key.text for key in trust.trusted_keys())
