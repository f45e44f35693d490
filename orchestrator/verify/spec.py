"""What a suite's process is given, and how it asks."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from orchestrator.core.foreign import parse_json
from orchestrator.core.host import Host
from orchestrator.core.process import CommandResult

HEADER = struct.Struct(">I")


def pack(message: Mapping[str, object]) -> bytes:
    """Put a message into one frame."""
    body = json.dumps(message).encode()
    return HEADER.pack(len(body)) + body


def unpack(body: bytes) -> dict[str, object]:
    """Read a frame's body.

    Raises:
        ValueError: It is no JSON object.
    """
    message = parse_json(body)
    if not isinstance(message, dict):
        raise ValueError("a frame holds a JSON object")
    return message


def from_result(result: CommandResult) -> tuple[bytes, bytes, bytes]:
    """Say a command's result: the parts of an answer, none of them copied."""
    head = {"rc": result.rc, "stdout": len(result.stdout), "stderr": len(result.stderr)}
    return pack(head), result.stdout, result.stderr


VARIABLE = "ORCHESTRATOR_VERIFY"
"""The environment variable that holds the file's path."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One run of a host's suites.

    Attributes:
        facts: What the inventory says of the host; the fixture ``fleet_host``.
        socket: The deployment's unix socket.
        results: The file that results are appended to, as JSON lines.
        only: The checks to run; ``None`` means all.
    """

    facts: dict[str, Any]
    socket: str
    results: str
    only: tuple[str, ...] | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what ``write`` wrote."""
        values = json.loads(path.read_text())
        only = values.pop("only")
        return cls(**values, only=None if only is None else tuple(only))

    def write(self, path: Path) -> None:
        """Write it for ``read``."""
        path.write_text(json.dumps(asdict(self)))


def facts(host: Host) -> dict[str, Any]:
    """Say what the inventory says of a host, in values that JSON knows."""
    return {
        "name": host.name,
        "address": host.connect.address,
        "system": host.system,
        "template": host.template,
        "profiles": list(host.profiles),
        "features": list(host.features),
        "roles": list(host.roles),
        "tags": list(host.tags),
        "users": list(host.users),
        "hardware": dict(host.hardware),
        "state_version": host.state_version,
    }
