"""JSON Schema and reading follow one declaration, and agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.host import is_host_name
from orchestrator.inventory.declaration import DOCUMENT, HOST_NAME
from orchestrator.inventory.fleet_json import json_schema
from orchestrator.inventory.load import load
from orchestrator.inventory.tree import InventoryError

ROOT = Path(__file__).parents[3]
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def test_the_schema_is_one() -> None:
    """The inventory's JSON schema is itself a valid schema of draft 2020-12."""
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", sorted((ROOT / "inventory").glob("*.yaml")), ids=lambda p: p.name)
def test_the_example_fleet_is_valid(path: Path) -> None:
    """An editor shows no error in the example."""
    VALIDATOR.validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    "entry",
    [
        {"address": "10.0.0.5"},
        {"address": "-o"},
        {"address": "fe80::1%eth0"},
        {"address": "a b"},
        {"address": "a\nb"},
        {"address": 5},
        {"connect": {"port": 22}},
        {"connect": {"port": 0}},
        {"connect": {"prot": 22}},
        {"connect": {"jump": "me@gate:22,[::1]:2222"}},
        {"connect": {"jump": "-x"}},
        {"connect": None},
        {"tags": ["a", "b"]},
        {"tags": "a"},
        {"tags": [1]},
        {"tags": ["a"] * 257},
        {"state_version": "25.05"},
        {"state_version": 25.05},
        {"deadlines": {"copy": "10m"}},
        {"deadlines": {"copy": 0}},
        {"deadlines": {"copy": "10 minutes"}},
        {"verify": {"settle": 0, "retries": 101}},
        {"verify": {"settle": 0, "retries": 100}},
        {"verify": {"suites": ["/etc"]}},
        {"verify": {"suites": ["a/../b"]}},
        {"hardware": {"a": [1, {"b": None}]}},
        {"hardware": []},
        {"system": "x86_64-darwin"},
        {"system": "aarch64-linux"},
        {"tier": "t"},
        {"tier": ["t"]},
        {"features": ["f"]},
        {"features": "f"},
        {"features": None},
        {"features": {"f": None, "remove": []}},
        {"features": {"remove": ["f"]}},
        {"features": {"f": {}}},
        {"features": {"f": ["x"]}},
        {"features": {"f": 1}},
        {"features": {"a b": {}}},
        {"features": {"remove": "f"}},
        {"unknown": 1},
    ],
)
def test_schema_and_reading_agree(write: Callable[..., Path], entry: dict[str, object]) -> None:
    """What an editor underlines is what the tool refuses, and nothing else."""
    document = {"hosts": {"web1": entry}, "features": {"f": {}}, "tiers": {"t": {}}}
    root = write(h=yaml.safe_dump(document))
    try:
        load(root)
    except InventoryError:
        assert not VALIDATOR.is_valid(document)
    else:
        assert VALIDATOR.is_valid(document)


@pytest.mark.parametrize(
    "feature",
    [
        {"requires": ["g"], "one_of": "desktop"},
        {"conflicts": ["g"]},
        {"requires": "g"},
        {"one_of": ["g"]},
        {"needs": {"memory": "2G", "cpus": 2, "disk": "20G", "gpu": "any", "capability": ["kvm"]}},
        {"needs": {"memory": 2}},
        {"needs": {"cpus": 0}},
        {"needs": {"gpu": "NVIDIA"}},
        {"risk": "high", "because": "x", "mitigations": ["y"]},
        {"risk": "medium"},
        {"settings": {"a": 1}},
        {"features": ["g"]},
        {"tags": ["x"]},
    ],
)
def test_schema_and_reading_agree_on_features(
    write: Callable[..., Path], feature: dict[str, object]
) -> None:
    """What an editor underlines of the catalogue is what the tool refuses, and nothing else."""
    document = {"hosts": {"web1": {}}, "features": {"f": feature, "g": {}}}
    root = write(h=yaml.safe_dump(document))
    try:
        load(root)
    except InventoryError:
        assert not VALIDATOR.is_valid(document)
    else:
        assert VALIDATOR.is_valid(document)


@given(st.text("aZ09-_.\n", max_size=5) | st.from_regex(r"[a-z-]{60,66}", fullmatch=True))
def test_host_names_are_those_of_the_model(text: str) -> None:
    """The declaration's pattern is RFC 1123's label."""
    assert (HOST_NAME.problem(text) is None) == is_host_name(text)


def test_every_key_is_documented() -> None:
    """``docs/inventory.md`` names each key of the declaration."""
    text = (ROOT / "docs" / "inventory.md").read_text()
    assert {name for name in _keys(DOCUMENT.schema()) if f"`{name}`" not in text} == set()


def _keys(schema: dict[str, object]) -> set[str]:
    found: set[str] = set()
    for key, below in schema.items():
        if key == "properties" and isinstance(below, dict):
            found |= set(below)
        for inner in below.values() if key == "properties" else [below]:
            found |= _keys(inner) if isinstance(inner, dict) else set()
    return found
