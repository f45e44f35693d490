"""LEAK-KNOWN: a value is found in each disguise that tools give it, and only a value that tells."""

from __future__ import annotations

import base64
import json
import urllib.parse

import pytest

from orchestrator.model.secrets.finding import Severity
from orchestrator.model.secrets.rules import Rules
from orchestrator.plan.secrets.evidence import Evidence
from orchestrator.plan.secrets.known_values import LONGEST, forms, standing
from orchestrator.plan.secrets.leaks import check

VALUE = 'p/ss "wörd"\n+ line two\\'
PLAINTEXT = VALUE.encode() + b"\n"


@pytest.mark.parametrize(
    "written",
    [
        VALUE,
        json.dumps(VALUE, ensure_ascii=False),
        base64.b64encode(VALUE.encode()).decode(),
        base64.b64encode(PLAINTEXT).decode(),
        VALUE.encode().hex(),
        VALUE.encode().hex().upper(),
        urllib.parse.quote(VALUE, safe=""),
    ],
)
def test_a_value_is_found_however_it_is_written(written: str) -> None:
    """In the midst of a file."""
    data = f"before {written} after".encode()
    values = {"secrets/a.age": forms(PLAINTEXT), "secrets/b.age": forms(b"another value")}
    assert list(standing(values, {"x": data, "y": b"nothing"})) == [("x", "secrets/a.age")]


@pytest.mark.parametrize("plaintext", [b"", b"\n", b"short", b" 1234567 \n", b"x" * (LONGEST + 1)])
def test_a_value_that_tells_nothing_is_not_looked_for(plaintext: bytes) -> None:
    """It would be found everywhere, or nowhere."""
    assert forms(plaintext) == ()


def test_the_finding_names_the_file_and_the_secret() -> None:
    """And the value is not in it."""
    evidence = Evidence(rules=Rules("", "", ()), leaked=(("hosts/a.nix", "secrets/a b.age"),))
    (one,) = check(evidence)
    assert (one.id, one.severity, one.path) == ("LEAK-KNOWN", Severity.ERROR, "hosts/a.nix")
    assert "orchestrator secrets edit 'secrets/a b.age'" in one.fix
