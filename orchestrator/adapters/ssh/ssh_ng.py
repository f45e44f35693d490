"""Have Nix's own ``ssh`` reach a host by the settings that our connection has."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from orchestrator.adapters.executor import SshNg
from orchestrator.adapters.ssh.options import KEEPALIVE_COUNT, KEEPALIVE_SECONDS
from orchestrator.adapters.ssh.settings import SshSettings
from orchestrator.model.host import Connect, Host

_ALIAS = "orchestrator-target"
"""Stands for an IPv6 address, which not every Nix takes in a URL."""


def ssh_ng(host: Host, settings: SshSettings, daemon: Sequence[str], folder: Path) -> SshNg:
    """Write an ``ssh_config`` into a folder and tell Nix to use it.

    A file, since ``NIX_SSHOPTS`` is split at spaces by older Nix, whatever stands around them.

    Args:
        host: The host to reach.
        settings: Which files of OpenSSH's count.
        daemon: What runs ``nix-daemon`` there as root.
        folder: A private one, without a space in its path.
    """
    target = settings.connect_for(host.name, host.connect)
    config = folder / "ssh_config"
    config.write_text("\n".join(_lines(host, target, settings)) + "\n")
    program = f"?remote-program={quote(shlex.join(daemon))}" if len(daemon) > 1 else ""
    return SshNg(f"ssh-ng://{_name(target)}{program}", f"-F {config}")


def _name(target: Connect) -> str:
    return _ALIAS if ":" in target.address else target.address


def _lines(host: Host, target: Connect, settings: SshSettings) -> list[str]:
    """The configuration: of several values for an option, ssh takes the first (ssh_config(5))."""
    known = settings.known_hosts
    own = [
        *([f"HostName {target.address}"] if _name(target) == _ALIAS else []),
        *([f"User {target.user}"] if target.user else []),
        *([f"Port {target.port}"] if target.port else []),
        *([f"ProxyJump {target.jump}"] if target.jump else []),
        *([f"IdentityFile {_quoted(target.identity)}"] if target.identity else []),
    ]
    return [
        "BatchMode yes",
        "StrictHostKeyChecking yes",
        "ControlPath none",
        f"ConnectTimeout {max(1, round(host.deadlines.connect))}",
        f"ServerAliveInterval {KEEPALIVE_SECONDS}",
        f"ServerAliveCountMax {KEEPALIVE_COUNT}",
        *([f"UserKnownHostsFile {_quoted(known)}", "GlobalKnownHostsFile none"] if known else []),
        f"Host {_name(target)}",
        *own,
        "Host *",
        *(f"Include {_quoted(file)}" for file in settings.config_files),
    ]


def _quoted(path: str) -> str:
    return f'"{path}"'
