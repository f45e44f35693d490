"""CFG-*: each defect of a configuration is found by its id, and nothing else is said."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.values import replace
from orchestrator.secrets.model.ciphertext import Recipient, RecipientKind, Severity
from orchestrator.secrets.model.repository import Rule, Rules, SecretUse
from orchestrator.secrets.plan.config import check
from orchestrator.secrets.plan.evidence import Evidence

KEY = Recipient("ssh-ed25519 AAAAp620", RecipientKind.ED25519, b"p620")
OTHER = Recipient("ssh-ed25519 AAAAp510", RecipientKind.ED25519, b"p510")
USE = SecretUse(
    host="p620",
    name="wifi",
    file="secrets/wifi.age",
    in_repo=True,
    exists=True,
    mode="0400",
    owner="0",
    group="0",
    install_path="/run/agenix/wifi",
    identity_paths=("/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ed25519_key"),
    owner_known=True,
    group_known=True,
)
RULE = Rule("secrets/wifi.age", (KEY.text,), (KEY,))


def found(*uses: SecretUse, rules: tuple[Rule, ...] = (RULE,)) -> dict[str, Severity]:
    """What is found of uses on a host whose key is known."""
    evidence = Evidence(
        rules=Rules("/fleet/secrets.nix", "/fleet", rules),
        uses=uses,
        hosts={KEY.text: ("p620",)},
    )
    findings = list(check(evidence))
    assert len({one.id for one in findings}) == len(findings), findings
    for one in findings:
        assert one.host == "p620"
        assert one.message.startswith(one.path + ": ")
        assert " Fix: " in one.message
    return {one.id: one.severity for one in findings}


def test_a_sound_configuration_has_nothing() -> None:
    """A sound configuration of secrets has no finding, nor has an empty one."""
    assert found(USE) == {}
    assert found() == {}


@pytest.mark.parametrize(
    ("defect", "check", "severity"),
    [
        ({"exists": False}, "CFG-FILE", Severity.ERROR),
        ({"in_repo": False, "file": "/persist/wifi.age"}, "CFG-OUTSIDE", Severity.WARNING),
        ({"in_repo": False, "exists": False}, "CFG-OUTSIDE", Severity.WARNING),
        ({"file": "secrets/other.age"}, "CFG-NORULE", Severity.ERROR),
        ({"mode": "0444"}, "CFG-MODE", Severity.WARNING),
        ({"mode": "u=r,o+r"}, "CFG-MODE", Severity.WARNING),
        ({"mode": "a=rw"}, "CFG-MODE", Severity.WARNING),
        ({"owner": "nobodys", "owner_known": False}, "CFG-OWNER", Severity.ERROR),
        ({"group": "nobodys", "group_known": False}, "CFG-OWNER", Severity.ERROR),
        ({"hidden": True}, "CFG-SYMLINK", Severity.ERROR),
    ],
)
def test_each_defect_is_found_alone(defect: dict[str, Any], check: str, severity: Severity) -> None:
    """Each defect of a configuration is found alone, by its id and its severity."""
    assert found(replace(USE, **defect)) == {check: severity}


@pytest.mark.parametrize("mode", ["0400", "400", "0440", "0751", "u=r,g=r", "u+rw,o="])
def test_a_mode_that_shows_nothing_to_others(mode: str) -> None:
    """Nobody can read a file that everybody may only execute."""
    assert found(replace(USE, mode=mode)) == {}


def test_a_rule_without_the_host() -> None:
    """The host opens files with its own key alone."""
    left_out = (replace(RULE, recipients=(OTHER,)),)
    assert found(USE, rules=left_out) == {"CFG-HOST": Severity.ERROR}
    elsewhere = replace(USE, identity_paths=("/persist/age.key",))
    assert found(elsewhere, rules=left_out) == {}


def test_what_a_member_has_of_its_own_is_for_no_other_host() -> None:
    """Neither by its rule nor by a key that clones of one image have; a person's is no host's."""
    person = Recipient("ssh-ed25519 AAAAme", RecipientKind.ED25519, b"me")
    evidence = Evidence(
        rules=Rules("/fleet/secrets.nix", "/fleet", (replace(RULE, recipients=(KEY, person)),)),
        uses=(replace(USE, of_member=True),),
        hosts={KEY.text: ("p620",), OTHER.text: ("p510",)},
    )
    assert list(check(evidence)) == []
    shared = (replace(RULE, recipients=(KEY, OTHER)),)
    (told,) = check(replace(evidence, rules=replace(evidence.rules, rules=shared)))
    assert (told.id, told.host, told.severity) == ("CFG-MEMBER", "p620", Severity.WARNING)
    assert told.fact == "it is p620's own, and its rule has the key of p510"
    cloned = {KEY.text: ("p620", "clone")}
    (told,) = check(replace(evidence, hosts=cloned))
    assert told.fact == "it is p620's own, and its host key is that of clone too"
    ours = replace(evidence, uses=(USE,), hosts=cloned, rules=replace(evidence.rules, rules=shared))
    assert list(check(ours)) == []


def test_two_secrets_at_one_place() -> None:
    """However the place is written, and on one host only."""
    again = replace(USE, name="again", install_path="/run/./agenix//wifi")
    assert found(USE, again) == {"CFG-COLLIDE": Severity.ERROR}
    evidence = Evidence(
        rules=Rules("/fleet/secrets.nix", "/fleet", (RULE,)),
        uses=(USE, replace(again, host="p510")),
    )
    assert list(check(evidence)) == []
