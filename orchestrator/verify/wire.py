"""The frames that a suite's process and the deployment exchange: a length, then JSON.

Four bytes, big endian, say how many bytes of JSON follow. A request is ``{"command": TEXT}``; its
answer is ``{"rc": INT, "stdout": SIZE, "stderr": SIZE}``, and so many bytes of either after it, or
``{"error": TEXT}`` where the command could not be run at all.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping

from orchestrator.core.json_text import parse_json
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
