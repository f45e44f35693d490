"""LEAK-LITERAL and LEAK-READFILE: what is a credential in Nix, what is none; no value is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.secrets.model.ciphertext import SecretFinding, Severity
from orchestrator.secrets.model.repository import Rules
from orchestrator.secrets.plan.evidence import Evidence
from orchestrator.secrets.plan.leaks import Kind, check, words

VALUE = "hunter22"
GITHUB = "ghp_" + "a1" * 18


def found(text: str) -> list[SecretFinding]:
    """What is found in one Nix file; never the value itself."""
    evidence = Evidence(rules=Rules("", "", ()), sources={"hosts/p620.nix": text})
    findings = list(check(evidence))
    for one in findings:
        assert one.path == "hosts/p620.nix"
        assert VALUE not in one.message
        assert GITHUB not in one.message
    return findings


@pytest.mark.parametrize(
    "text",
    [
        f'{{ services.db.password = "{VALUE}"; }}',
        f'{{ "password" = "{VALUE}"; }}',
        f"{{ wirelessPsk = ''{VALUE}''; }}",
        f'{{ initialPassword = lib.mkDefault "{VALUE}"; }}',
        f'{{ password ? "{VALUE}", lib }}: {{ }}',
        f'{{ environment.API_TOKEN = "{VALUE}"; }}',
        f'{{ s.apiKey = "{VALUE}"; }}',
        f'{{ a = "${{b {{ c = 1; }}}} # "; client-secret = "{VALUE}"; }}',
        f"{{ a = '' it'''s ''${{x}} \"''; token = \"{VALUE}\"; }}",
    ],
)
def test_a_credential_is_found(text: str) -> None:
    """However it is assigned, and whatever stands before it."""
    (one,) = found(text)
    assert (one.id, one.severity) == ("LEAK-LITERAL", Severity.WARNING)
    assert "line 1 " in one.fact


@pytest.mark.parametrize(
    "text",
    [
        '{ passwordFile = "/run/agenix/db"; }',
        '{ password = "/run/agenix/db"; }',
        '{ hashedPassword = "$6$abcdefgh$abcdefgh"; initialHashedPassword = "abcdefgh"; }',
        '{ password = "${config.x}"; token = ""; secret = "$__file{/run/x}"; }',
        f'# password = "{VALUE}";\n/* token = "{VALUE}"; */ {{ }}',
        f"{{ script = ''\n  password = \"{VALUE}\";\n''; }}",
        '{ tokenUrl = "something"; publicKey = "ssh-ed25519 AAAA"; keyboard.key = "abcdef"; }',
        f'if config.password == "{VALUE}" then 1 else 2',
        '{ password = cfg."some name"; secrets = [ "abcdef" ]; }',
    ],
)
def test_what_is_no_credential(text: str) -> None:
    """A path, a hash, a reference, a comment, a comparison."""
    assert found(text) == []


def test_the_shape_of_a_token_is_an_error_anywhere() -> None:
    """Under any name, in any string, with the line."""
    (one,) = found(f"{{\n  script = ''\n    curl -H \"{GITHUB}\" ${{x}}\n  '';\n}}")
    assert (one.id, one.severity) == ("LEAK-LITERAL", Severity.ERROR)
    assert "line 2 " in one.fact
    key = "-----BEGIN OPENSSH PRIVATE KEY-----"
    assert [one.severity for one in found(f'{{ secretText = "{key}"; }}')] == [Severity.ERROR]


@pytest.mark.parametrize(
    "argument",
    [
        "config.age.secrets.wifi.path",
        '(config.age.secrets."the wifi".path)',
        '"${config.age.secrets.wifi.path}"',
        '"/run/agenix/wifi"',
        "(toString config.age.secrets.wifi.path)",
    ],
)
def test_a_secret_that_is_read_by_an_evaluation(argument: str) -> None:
    """A secret that an evaluation reads is found: its plaintext would be in the store."""
    (one,) = found(f"{{ a = 1;\n b = builtins.readFile {argument}; }}")
    assert (one.id, one.severity) == ("LEAK-READFILE", Severity.ERROR)
    assert "line 2 " in one.fact


def test_other_files_may_be_read() -> None:
    """Reading other files is no finding, also beside a secret's path."""
    assert found("{ a = readFile ./motd; b = config.age.secrets.wifi.path; }") == []
    assert found('{ a = f (readFile ./motd) config.age.secrets.wifi.path "/run/agenix/x"; }') == []


def test_words_of_nix() -> None:
    """Strings are whole, code within them is code, and lines are counted."""
    text = """{ a = "x\\"
${b "y"}z"; # c
 d = ''e''\\n''; }"""
    strings = [(one.text, one.line, one.whole) for one in words(text) if one.kind is Kind.STRING]
    assert strings == [("y", 2, True), ('x\\"\nz', 1, False), ("e''\\n", 3, True)]
    assert [one.text for one in words(text) if one.kind is Kind.NAME] == ["a", "b", "d"]


@given(st.text(alphabet="\"'${}\\#/*=;a \n", max_size=80))
def test_whatever_it_is_comes_to_an_end(text: str) -> None:
    """No text is an error, and none loops."""
    assert all(one.line >= 1 for one in words(text))
