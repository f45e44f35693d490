"""JSON Schema of an inventory file, for editors."""

from __future__ import annotations

from orchestrator.inventory.declaration import DOCUMENT
from orchestrator.inventory.kinds import JsonSchema


def json_schema() -> JsonSchema:
    """The declaration as JSON Schema, draft 2020-12 (https://json-schema.org/draft/2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An inventory file of orchestrator",
    } | DOCUMENT.schema()
