"""Have Nix's own ``ssh`` reach a host by the settings that our connection has."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from orchestrator.core.executor import SshNg
from orchestrator.core.host import Connect, Host
from orchestrator.ssh.options import KEEPALIVE_COUNT, KEEPALIVE_SECONDS
from orchestrator.ssh.rules import Rules
from orchestrator.ssh.settings import SshSettings

_ALIAS = "orchestrator-target"
"""Stands for an IPv6 address, which not every Nix takes in a URL."""

_STRICT = (
    "StrictHostKeyChecking yes",
    "NoHostAuthenticationForLocalhost no",
    "VerifyHostKeyDNS no",
    "UpdateHostKeys no",
    "ForwardAgent no",
    "ForwardX11 no",
    "ClearAllForwardings yes",
    "PermitLocalCommand no",
)
"""As strict as our own connection, and it is given nothing that ours is not."""


def ssh_ng(
    host: Host,
    settings: SshSettings,
    daemon: Sequence[str],
    folder: Path,
    rules: Rules | None = None,
    patched: Sequence[str] = (),
) -> SshNg:
    """Write an ``ssh_config`` into a folder and tell Nix to use it.

    A file, since ``NIX_SSHOPTS`` is split at spaces by older Nix, whatever stands around them.

    Args:
        host: The host to reach.
        settings: Which files of OpenSSH's count.
        daemon: What runs ``nix-daemon`` there as root.
        folder: A private one, without a space in its path.
        rules: What ``ssh_config`` says of trusting the host: by the name that stands for an IPv6
            address ssh would not find it.
        patched: Lines that only some ssh know.
    """
    target = settings.connect_for(host.name, host.connect)
    config = folder / "ssh_config"
    trust = _trust(rules) if rules is not None and _name(target) == _ALIAS else []
    config.write_text("\n".join((*patched, *_lines(host, target, settings, trust))) + "\n")
    program = f"?remote-program={quote(shlex.join(daemon))}" if len(daemon) > 1 else ""
    return SshNg(f"ssh-ng://{_name(target)}{program}", f"-k -F {config}")


def _name(target: Connect) -> str:
    return _ALIAS if ":" in target.address else target.address


def _lines(host: Host, target: Connect, settings: SshSettings, trust: Sequence[str]) -> list[str]:
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
        *_STRICT,
        "ControlPath none",
        f"ConnectTimeout {max(1, round(host.deadlines.connect))}",
        f"ServerAliveInterval {KEEPALIVE_SECONDS}",
        f"ServerAliveCountMax {KEEPALIVE_COUNT}",
        *([f"UserKnownHostsFile {_quoted(known)}", "GlobalKnownHostsFile none"] if known else []),
        f"Host {_name(target)}",
        *own,
        *trust,
        "Host *",
        *(f"Include {_quoted(file)}" for file in settings.config_files),
    ]


def _trust(rules: Rules) -> list[str]:
    files = {
        "UserKnownHostsFile": rules.user_files,
        "GlobalKnownHostsFile": rules.global_files,
        "RevokedHostKeys": rules.revoked,
    }
    return [
        *([f"HostKeyAlias {rules.alias}"] if rules.alias else []),
        *(f"{word} {' '.join(map(_quoted, paths)) or 'none'}" for word, paths in files.items()),
        f"CASignatureAlgorithms {','.join(rules.authority_algorithms)}",
        *([f"RequiredRSASize {rules.rsa_bits}"] if rules.rsa_bits != Rules().rsa_bits else []),
        *([] if rules.known_keys_first else [f"HostKeyAlgorithms {','.join(rules.algorithms)}"]),
        *(["CheckHostIP yes"] if rules.check_address else []),
    ]


def _quoted(path: str) -> str:
    return f'"{path}"'
