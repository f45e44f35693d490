"""JSON Schema of what ``orchestrator host facts --json`` prints: draft 2020-12."""

from __future__ import annotations

from typing import Any

from orchestrator.facts.model import KEYS, Key, Kind

_TYPES: dict[Kind, dict[str, Any]] = {
    Kind.TEXT: {"type": "string"},
    Kind.NUMBER: {"type": "integer", "minimum": 0},
    Kind.BYTES: {"type": "integer", "minimum": 0},
    Kind.FLAG: {"type": "boolean"},
    Kind.WORDS: {"type": "array", "items": {"type": "string"}},
    Kind.SECONDS: {"type": "object", "additionalProperties": {"type": "number"}},
}
_FACT = {
    "type": "object",
    "required": ["value", "source"],
    "additionalProperties": False,
}
_SOURCE = {"type": "string", "description": "Where it was read; of what is unknown, why."}
_TEXT = {"type": "string"}


def json_schema() -> dict[str, Any]:
    """Give the schema."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Facts of hosts, by their names",
        "type": "object",
        "additionalProperties": {"oneOf": [_known(), _unreachable()]},
    }


def _known() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["reachable", "at", "asked", "facts"],
        "additionalProperties": False,
        "properties": {
            "reachable": {"type": ["boolean", "null"], "description": "null: it was not asked."},
            "at": {"type": "string", "format": "date-time", "description": "When it said this."},
            "asked": {"type": "boolean", "description": "Whether it was asked now."},
            "machine_id": {"type": "string", "description": "With --identifying."},
            "facts": {
                "type": "object",
                "additionalProperties": False,
                "properties": {key.name: _fact(key) for key in KEYS},
            },
            "changes": {
                "type": ["array", "null"],
                "description": "With --diff; null: it was not asked before.",
                "items": {
                    "type": "object",
                    "required": ["fact", "text", "serious"],
                    "additionalProperties": False,
                    "properties": {"fact": _TEXT, "text": _TEXT, "serious": {"type": "boolean"}},
                },
            },
        },
    }


def _fact(key: Key) -> dict[str, Any]:
    properties = {"value": _or_null(_value(key)), "source": _SOURCE}
    machine = {**_FACT, "description": "What the machine says.", "properties": properties}
    return {**_FACT, "description": key.says, "properties": {**properties, "machine": machine}}


def _value(key: Key) -> dict[str, Any]:
    if key.kind is not Kind.THINGS:
        return _TYPES[key.kind]
    parts = {name: _or_null({"type": kind}) for name, kind in key.parts.items()}
    return {
        "type": "array",
        "items": {"type": "object", "additionalProperties": False, "properties": parts},
    }


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _unreachable() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["reachable", "message", "hint"],
        "additionalProperties": False,
        "properties": {
            "reachable": {"const": False},
            "message": _TEXT,
            "hint": {"type": ["string", "null"]},
        },
    }
