"""asyncssh, imported without what it would look for and we never use.

For two optional libraries (liboqs and nettle) its import searches the machine through ``ctypes``,
which runs ``gcc`` and ``ld``: a third of its time. And X.509 certificates are no part of OpenSSH.
"""

from __future__ import annotations

import ctypes.util
import os
import sys

from orchestrator.core.machine import user_name

_WITHOUT = "asyncssh.crypto.x509"

_find_library = ctypes.util.find_library


def _find_nothing(name: str) -> None:
    """Say that no library is there."""


# asyncssh makes no options for a user without a name, though it is always told whom to log in as.
os.environ.setdefault("LOGNAME", user_name())

ctypes.util.find_library = _find_nothing
sys.modules.setdefault(_WITHOUT, None)  # type: ignore[arg-type]  # importlib's word for "absent"
try:
    import asyncssh
    from asyncssh.agent import SSHAgentClient
    from asyncssh.encryption import get_encryption_algs
    from asyncssh.kex import get_kex_algs
    from asyncssh.mac import get_mac_algs
    from asyncssh.packet import SSHPacket, String
    from asyncssh.public_key import (
        decode_ssh_public_key,
        get_certificate_algs,
        get_public_key_algs,
        load_keypairs,
    )
finally:
    ctypes.util.find_library = _find_library


__all__ = [
    "SSHAgentClient",
    "SSHPacket",
    "String",
    "asyncssh",
    "decode_ssh_public_key",
    "get_certificate_algs",
    "get_encryption_algs",
    "get_kex_algs",
    "get_mac_algs",
    "get_public_key_algs",
    "load_keypairs",
]
