"""What ``check`` and ``doctor`` found, as a person and as a script reads it."""

from __future__ import annotations

import io
import json

import pytest

from orchestrator.core.checks import Finding, Grade
from orchestrator.fleet.doctor import Checked, draw_checks, draw_findings
from orchestrator.render.output import Output
from orchestrator.secrets.check import SecretCheck
from orchestrator.secrets.model.ciphertext import SecretFinding, Severity

RIGHT = Checked("inventory", {"hosts.yaml": None})
WRONG = Checked("syntax", {"a.nix": None, "b\x1b[2J.nix": "unexpected ';'\nat line 3\n"})
LEAK = SecretFinding("SECRET-LEAKED", Severity.ERROR, "motd", None, "its value is there", "", "")
SECRETS = Checked("secrets", {}, SecretCheck((LEAK,), 4))


def drawn(*checked: Checked, as_json: bool = False) -> str:
    """What is drawn of some checks."""
    output = io.StringIO()
    draw_checks(checked, Output(output), as_json=as_json)
    return output.getvalue()


def test_what_is_wrong_is_listed_and_counted() -> None:
    """Each error has its thing and its own lines, without anything that controls a terminal."""
    assert drawn(RIGHT, WRONG).splitlines() == [
        "inventory: 1 checked, no mistakes",
        "error: b.nix: unexpected ';'",
        "  | at line 3",
        "syntax: 2 checked, 1 of 2 wrong",
    ]


@pytest.mark.parametrize(("checked", "ok"), [(RIGHT, True), (WRONG, False), (SECRETS, False)])
def test_a_script_reads_whether_all_is_right(checked: Checked, ok: bool) -> None:
    """As JSON one wrong check makes all of them not ok, and each has its own word."""
    found = json.loads(drawn(RIGHT, checked, as_json=True))
    assert found["ok"] is ok
    assert found["checks"][checked.what]["ok"] is ok


def test_findings_of_secrets_are_drawn_as_their_own_check_does() -> None:
    """A finding of secrets has its id, for people and for scripts."""
    assert "SECRET-LEAKED" in drawn(SECRETS)
    (finding,) = json.loads(drawn(SECRETS, as_json=True))["checks"]["secrets"]["findings"]
    assert finding["id"] == "SECRET-LEAKED"


def test_doctor_says_what_to_do() -> None:
    """A finding of ``doctor`` has its grade, what was found, and what to do about it."""
    findings = (
        Finding("git", Grade.GOOD, "2.39.5", ""),
        Finding("ssh", Grade.BAD, "there is none", "install it"),
    )
    output = io.StringIO()
    draw_findings(findings, Output(output), as_json=False)
    _, good, bad = output.getvalue().splitlines()
    assert good.split() == ["git", "good", "2.39.5"]
    assert bad.split() == ["ssh", "missing", "there", "is", "none", "→", "install", "it"]
    output = io.StringIO()
    draw_findings(findings, Output(output), as_json=True)
    assert [one["grade"] for one in json.loads(output.getvalue())] == [
        *(finding.grade.value for finding in findings),
    ]
