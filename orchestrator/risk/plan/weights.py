"""Weights of terms, in points; ``docs/risk.md`` gives each with its reason."""

from __future__ import annotations

from orchestrator.core.risk import Term

# The network.
PORT = 5
PORT_OF_ONE = 2
SENSITIVE = 10
FORWARD = 5
TRUSTED = 5
EVERYTHING = 40

# Services.
ROOT_BARE = 10
ROOT_LITTLE = 5
ROOT_CONFINED = 2
PACKAGED = 2
PRIVILEGED = 20

# Who gets in, and who becomes root.
EMPTY_PASSWORD = 100
EMPTY_ALLOWED = 50
STORED_PASSWORD = 15
SSH_PASSWORDS = 10
ROOT_BY_PASSWORD = 20
ROOT_BY_KEY = 3
WHEEL = 2
LIKE_ROOT = 5
FREE_SUDO = 8
FREE_COMMAND = 3
SETUID = 5
CAPABLE = 3
AUTO_LOGIN = 10
ROOT_LOGIN = 30

# Nix.
TRUSTED_USER = 8
TRUSTED_WHEEL = 3
TRUSTED_ALL = 60
NO_SANDBOX = 10
NO_SIGNATURES = 25
FOREIGN_KEY = 3
INSECURE = 5

# What is not known.
UNREAD = 10
OWN_RULES = 10
OWN_LINES = 5

_SENSITIVE = {
    ("tcp", 23): "telnet",
    ("tcp", 111): "rpcbind",
    ("tcp", 139): "SMB",
    ("tcp", 445): "SMB",
    ("tcp", 2049): "NFS",
    ("tcp", 2375): "Docker's socket",
    ("tcp", 3306): "MySQL",
    ("tcp", 3389): "RDP",
    ("tcp", 5432): "PostgreSQL",
    ("tcp", 5900): "VNC",
    ("tcp", 6379): "Redis",
    ("tcp", 9200): "Elasticsearch",
    ("tcp", 11211): "memcached",
    ("tcp", 27017): "MongoDB",
}
"""Ports of what often asks for no password, or takes many tries at one: IANA's numbers."""


def sensitive(protocol: str, port: int) -> str:
    """Name what usually listens on a port, where that should not be open to everybody."""
    name = _SENSITIVE.get((protocol, port), "")
    return f" ({name})" if name else ""


def range_weight(first: int, last: int) -> int:
    """Weigh a range of ports: nobody knows what will listen there."""
    count = max(last - first + 1, 1)
    if count <= 2:
        return PORT * count
    return 10 if count <= 10 else 20 if count <= 1000 else EVERYTHING


def unread(name: str, what: str, evidence: str) -> Term:
    """Make a term of what could not be read: it may be anything, and is never taken for safe."""
    return Term(f"unread:{name}", f"not known: {what}", UNREAD, evidence, known=False)
