"""Which keys a host has, as ``known_hosts`` vouches for them; nobody is asked."""

from __future__ import annotations

from orchestrator.adapters.ssh.known_hosts import read_known_hosts
from orchestrator.adapters.ssh.options import ssh_options
from orchestrator.adapters.ssh.settings import SshSettings
from orchestrator.errors import StepError
from orchestrator.model.host import Host


async def known_keys(host: Host, settings: SshSettings) -> tuple[str, ...]:
    """Look up a host's keys, each as its kind and its base64, without a comment.

    Raises:
        StepError: What the inventory and ``ssh_config`` say of the connection cannot be used.
    """
    options = await ssh_options(settings.connect_for(host.name, host.connect), settings)
    try:
        known = read_known_hosts(settings.known_hosts_files(options.known_hosts))
    except OSError as error:
        raise StepError(f"a known_hosts file cannot be read: {error}") from error
    trusted = known(options.host_key_alias or options.host, "", options.port)[0]
    return tuple(" ".join(key.export_public_key().decode().split()[:2]) for key in trusted)
