"""The frames that a suite's process and the deployment exchange: a length, then JSON.

Four bytes, big endian, say how many bytes of JSON follow. A request is ``{"command": TEXT}``; its
answer is ``{"rc": INT, "stdout": BASE64, "stderr": BASE64}``, or ``{"error": TEXT}`` where the
command could not be run at all.
"""

from __future__ import annotations

import base64
import json
import struct

from orchestrator.adapters.process import CommandResult
from orchestrator.json_text import parse_json

HEADER = struct.Struct(">I")


def pack(message: dict[str, object]) -> bytes:
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


def from_result(result: CommandResult) -> dict[str, object]:
    """Say a command's result in an answer."""
    return {
        "rc": result.rc,
        "stdout": base64.b64encode(result.stdout).decode(),
        "stderr": base64.b64encode(result.stderr).decode(),
    }


def to_result(answer: dict[str, object]) -> CommandResult:
    """Read a command's result from an answer."""
    return CommandResult(
        rc=int(str(answer["rc"])),
        stdout=base64.b64decode(str(answer["stdout"])),
        stderr=base64.b64decode(str(answer["stderr"])),
    )
