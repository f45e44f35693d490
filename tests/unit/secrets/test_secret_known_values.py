"""LEAK-KNOWN: a value is found in each disguise that tools give it, and only a value that tells."""

from __future__ import annotations

import base64
import json
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.secrets.model.ciphertext import Severity
from orchestrator.secrets.model.repository import Rules
from orchestrator.secrets.plan.evidence import Evidence
from orchestrator.secrets.plan.leaks import LONGEST, SHORTEST, KnownValues, check, forms, standing

VALUE = 'p/ss "wörd"\n+ line two\\'
PLAINTEXT = VALUE.encode() + b"\n"


@pytest.mark.parametrize(
    "written",
    [
        VALUE,
        json.dumps(VALUE, ensure_ascii=False),
        json.dumps(json.dumps({"value": VALUE}, ensure_ascii=False), ensure_ascii=False),
        base64.b64encode(VALUE.encode()).decode(),
        base64.b64encode(PLAINTEXT).decode(),
        VALUE.encode().hex(),
        VALUE.encode().hex().upper(),
        urllib.parse.quote(VALUE, safe=""),
    ],
)
def test_a_value_is_found_however_it_is_written(written: str) -> None:
    """A secret's value is found in a file in each way of writing or encoding it."""
    data = f"before {written} after".encode()
    known = KnownValues({"a.age": forms(PLAINTEXT), "b.age": forms(b"another value")})
    assert list(standing(known, {"x": data, "y": b"nothing"})) == [("x", "a.age")]


VALUES = st.binary(min_size=8, max_size=40).filter(lambda value: len(value.strip()) >= SHORTEST)


@given(st.lists(VALUES, max_size=4), st.lists(st.binary(max_size=12)), st.data())
def test_values_are_found_wherever_they_stand(
    values: list[bytes], around: list[bytes], data: st.DataObject
) -> None:
    """All at once finds exactly what one after the other does."""
    wanted = {str(number): forms(value) for number, value in enumerate(values)}
    every = [form for some in wanted.values() for form in some]
    parts = data.draw(st.lists(st.sampled_from([*every, *around, b""])))
    text = b"".join(parts)
    one_by_one = {name for name, some in wanted.items() if any(form in text for form in some)}
    assert KnownValues(wanted).within(text) == one_by_one


@pytest.mark.parametrize("plaintext", [b"", b"\n", b"short", b" 1234567 \n", b"x" * (LONGEST + 1)])
def test_a_value_that_tells_nothing_is_not_looked_for(plaintext: bytes) -> None:
    """A value that is too common to say anything is not looked for."""
    assert forms(plaintext) == ()


def test_the_finding_names_the_file_and_the_secret() -> None:
    """A finding of a leaked value names file and secret, and does not have the value."""
    evidence = Evidence(rules=Rules("", "", ()), leaked=(("hosts/a.nix", "secrets/a b.age"),))
    (one,) = check(evidence)
    assert (one.id, one.severity, one.path) == ("LEAK-KNOWN", Severity.ERROR, "hosts/a.nix")
    assert "orchestrator secrets edit 'secrets/a b.age'" in one.fix


def test_a_common_word_is_told_in_a_few_places_of_the_store() -> None:
    """The last place tells how many more there are."""
    places = tuple((f"/nix/store/{number:02}.drv", "a.age") for number in range(12))
    found = list(check(Evidence(rules=Rules("", "", ()), leaked_in_store=places)))
    assert [one.path for one in found] == [path for path, _ in places[:10]]
    assert [one.path for one in found if "2 more" in one.fact] == [places[9][0]]
    assert all("nix-collect-garbage" in one.fix for one in found)
