"""Features of hosts: which there are and why, with which settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.inventory.fleet_json import fleet_json
from orchestrator.inventory.load import Inventory, load
from orchestrator.inventory.root import key_of
from orchestrator.inventory.tree import InventoryError

Loaded = Callable[..., Inventory]
Mistakes = Callable[..., list[str]]
Write = Callable[..., Path]

CATALOGUE = """\
features:
  dashboard: {requires: [monitoring]}
  monitoring: {requires: [exporter], tags: [watched]}
  exporter:
  printing:
  gnome: {one_of: desktop}
  plasma: {one_of: desktop}
  minimal-docs: {conflicts: [verbose-docs]}
  verbose-docs:
"""
SCHEMA = """{
  "type": "object",
  "properties": {
    "mode": {"enum": ["client", "server"], "default": "client"},
    "port": {"type": "integer", "minimum": 1, "maximum": 65535, "default": 9100},
    "server": {"type": "string", "format": "host"},
    "labels": {"type": "array", "items": {"type": "string"}},
    "tls": {"type": "object", "properties": {"port": {"type": "integer", "default": 443},
      "name": {"type": "string"}}, "required": ["name"]}
  }
}"""


def _origins(inventory: Inventory, key: str, host: str = "web1") -> list[tuple[object, str]]:
    return [(one.value, str(one.origin)) for one in inventory.origins(host) if one.key == key]


def _schema(root: Path, feature: str = "monitoring", text: str = SCHEMA) -> None:
    folder = root / "templates/features"
    folder.mkdir(exist_ok=True)
    (folder / f"{feature}.schema.json").write_text(text)


def test_what_a_feature_requires_is_added_with_the_reason(loaded: Loaded) -> None:
    """A required feature stands before what requires it; its origin says by which way it comes."""
    read = loaded(f=CATALOGUE, h="hosts:\n  web1:\n    features: [dashboard]\n")
    assert _origins(read, "features") == [
        ("exporter", "inventory/h.yaml:3 (required by monitoring, required by dashboard)"),
        ("monitoring", "inventory/h.yaml:3 (required by dashboard)"),
        ("dashboard", "inventory/h.yaml:3 (host web1)"),
    ]
    assert read.fleet.hosts["web1"].features == ("exporter", "monitoring", "dashboard")


def test_an_added_feature_brings_its_settings_and_suites(write: Write) -> None:
    """What a feature says of hosts, and its suite, count where it is only required, too."""
    root = write(f=CATALOGUE, h="hosts: {web1: {features: [dashboard]}}")
    suite = root / "tests/verify/features/test_exporter.py"
    suite.parent.mkdir(parents=True)
    suite.touch()
    host = load(root).fleet.hosts["web1"]
    assert host.tags == ("watched",)
    assert host.verify.suites == ("tests/verify/features/test_exporter.py",)


def test_features_can_be_a_mapping_and_be_removed(loaded: Loaded) -> None:
    """A host drops what its template gives; a name with nothing behind it is that feature."""
    read = loaded(
        f=CATALOGUE,
        h="templates: {box: {features: [printing, exporter]}}\n"
        "hosts:\n  web1: {template: box, features: {gnome: , remove: [printing]}}\n"
        "  web2: {template: box, features: [gnome]}\n",
    )
    assert read.fleet.hosts["web1"].features == ("exporter", "gnome")
    assert read.fleet.hosts["web2"].features == ("printing", "exporter", "gnome")


def test_a_later_layer_gives_again_what_one_before_removed(loaded: Loaded) -> None:
    """What a template removes, a host can have nevertheless."""
    read = loaded(
        f=CATALOGUE,
        h="defaults: {features: [printing]}\ntemplates: {box: {features: {remove: [printing]}}}\n"
        "hosts: {web1: {template: box, features: [printing]}, web2: {template: box}}",
    )
    assert read.fleet.hosts["web1"].features == ("printing",)
    assert read.fleet.hosts["web2"].features == ()


@pytest.mark.parametrize(
    ("features", "found"),
    [
        (
            "{dashboard: , remove: [exporter]}",
            "inventory/h.yaml:1:49: the feature 'exporter' is removed, and required by monitoring, "
            "required by dashboard (the other is at inventory/h.yaml:1:27); expected 'dashboard' "
            "removed too, or neither of them",
        ),
        (
            "{gnome: , printing: {}, remove: [exporter, printing]}",
            "inventory/h.yaml:1:69: the feature 'printing' is given and removed by one and the "
            "same entry (the other is at inventory/h.yaml:1:36); expected one of both",
        ),
        (
            "[gnome, plasma]",
            "inventory/h.yaml:1:34: the feature 'plasma' conflicts with 'gnome', both of the group "
            "'desktop' (the other is at inventory/h.yaml:1:27); expected one of them; a host drops "
            "what its template gives by `features: {remove: […]}`",
        ),
        (
            "[verbose-docs, minimal-docs]",
            "inventory/h.yaml:1:41: the feature 'minimal-docs' conflicts with 'verbose-docs' (the "
            "other is at inventory/h.yaml:1:27); expected one of them; a host drops what its "
            "template gives by `features: {remove: […]}`",
        ),
    ],
)
def test_what_cannot_be_is_a_mistake(mistakes: Mistakes, features: str, found: str) -> None:
    """Contradictions of a host's features are told with both places and chains."""
    assert mistakes(f=CATALOGUE, h=f"hosts: {{web1: {{features: {features}}}}}") == [found]


def test_a_cycle_of_features_is_a_mistake(mistakes: Mistakes) -> None:
    """Features that require each other are told once, where one of them says so."""
    catalogue = "features:\n  a: {requires: [b]}\n  b: {requires: [c]}\n  c: {requires: [a]}\n"
    assert mistakes(f=catalogue, h="hosts: {web1: }") == [
        "inventory/f.yaml:2:18: a cycle: 'a' → 'b' → 'c' → 'a'; expected an end to what requires "
        "what"
    ]


def test_a_feature_that_nothing_can_have_is_a_mistake(mistakes: Mistakes) -> None:
    """A feature that requires two which conflict is found, though no host has it."""
    catalogue = CATALOGUE + "  both: {requires: [gnome, kde]}\n  kde: {requires: [plasma]}\n"
    assert mistakes(f=catalogue, h="hosts: {web1: }") == [
        "inventory/f.yaml:10:3: the feature 'both' comes to two that conflict: 'both' → 'gnome', "
        "and 'both' → 'kde' → 'plasma'; expected one of them, or none that requires both"
    ]


def test_a_tier_gives_its_features(loaded: Loaded) -> None:
    """A tier has the features of those that it extends; the uppermost layer names the tier."""
    read = loaded(
        f=CATALOGUE,
        t="tiers:\n  minimal: {features: [printing]}\n"
        "  standard: {extends: minimal, features: [exporter], needs: {memory: 4G, cpus: 2}}\n",
        h="defaults: {tier: minimal}\nhosts: {web1: , web2: {tier: standard, features: [gnome]}}",
    )
    assert read.fleet.hosts["web1"].features == ("printing",)
    assert read.fleet.hosts["web2"].features == ("printing", "exporter", "gnome")
    assert read.fleet.hosts["web2"].tier == "standard"
    assert list(read.fleet.tiers) == ["minimal", "standard"]
    assert read.fleet.tiers["standard"].features == ("printing", "exporter")
    assert read.fleet.tiers["standard"].needs.memory == 4 * 2**30
    assert _origins(read, "features", "web2")[1] == (
        "exporter",
        "inventory/t.yaml:3 (tier standard)",
    )


def test_settings_come_from_every_layer(write: Write) -> None:
    """Settings merge from the schema's defaults up to the host, each with its origin."""
    root = write(
        f="features: {monitoring: {settings: {server: web2, labels: [all]}}}",
        h="templates: {box: {features: {monitoring: {mode: server, labels: [box]}}}}\n"
        "hosts: {web1: {template: box, features: {monitoring: {mode: client}}}, web2: }",
    )
    _schema(root)
    read = load(root)
    assert read.fleet.hosts["web1"].settings == {
        "monitoring": {"mode": "client", "port": 9100, "server": "web2", "labels": ["all", "box"]}
    }
    assert _origins(read, "settings.monitoring.port") == [
        (9100, "templates/features/monitoring.schema.json (default)")
    ]
    assert _origins(read, "settings.monitoring.mode") == [
        ("client", "inventory/h.yaml:2 (host web1)")
    ]
    written = json.loads(fleet_json(read))["hosts"]
    assert written["web1"]["settings"]["monitoring"]["port"] == 9100
    assert written["web2"]["settings"] == {}


def test_defaults_below_a_mapping_count_where_it_is(write: Write) -> None:
    """A mapping that nobody says has no defaults below it; one that is said has them."""
    root = write(
        f="features: {monitoring: }",
        h="hosts: {web1: {features: {monitoring: {tls: {name: x}}}}, web2: {features: "
        "[monitoring]}}",
    )
    _schema(root)
    hosts = load(root).fleet.hosts
    assert hosts["web1"].settings["monitoring"]["tls"] == {"name": "x", "port": 443}
    assert "tls" not in hosts["web2"].settings["monitoring"]


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ("prot: 1", "the unknown setting 'prot' of monitoring; expected one of labels, mode, port, "
         "server, tls; did you mean 'port'?"),
        ("port: 0", "the setting monitoring.port: 0; expected at least 1"),
        ("port: a", 'the setting monitoring.port: "a"; expected a whole number'),
        ("mode: peer", 'the setting monitoring.mode: "peer"; expected one of client, server'),
        ("server: wep1", 'the setting monitoring.server: "wep1"; expected the name of a host of '
         "the fleet; did you mean 'web1'?"),
        ("labels: [1]", "the setting monitoring.labels.0: 1; expected a text"),
        ("tls: {}", "monitoring.tls without the setting 'name'; expected it"),
    ],
)  # fmt: skip
def test_wrong_settings_are_told_where_they_stand(write: Write, settings: str, found: str) -> None:
    """What a schema refuses is told in words, with the file and line of the value."""
    root = write(
        f="features: {monitoring: }",
        h=f"hosts:\n  web1:\n    features:\n      monitoring:\n        {settings}\n",
    )
    _schema(root)
    with pytest.raises(InventoryError) as caught:
        load(root)
    (mistake,) = caught.value.mistakes
    place, _, text = str(mistake).partition(": ")
    assert place.startswith("inventory/h.yaml:")
    assert text == found


def test_a_feature_without_a_schema_takes_no_settings(mistakes: Mistakes) -> None:
    """Settings for a feature that declares none are a mistake, with the file that would."""
    features = "{printing: {a: 1}, exporter: {}}"
    assert mistakes(f=CATALOGUE, h=f"hosts: {{web1: {{features: {features}}}}}") == [
        "inventory/h.yaml:1:41: a setting of the feature 'printing', which takes none; expected no "
        "settings, or a schema of them: templates/features/printing.schema.json"
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[", "Expecting value: line 1 column 2 (char 1)"),
        ("[]", 'expected "type": "object" at the top'),
        ('{"type": "object", "$ref": "http://x"}', "it: the keyword '$ref' is not understood"),
        (
            '{"type": "object", "properties": {"a": {"items": {"oneOf": []}}}}',
            "a.items: the keyword 'oneOf' is not understood",
        ),
        (
            '{"type": "object", "properties": {"a": {"format": "hosst"}}}',
            "a: the format 'hosst' is not understood",
        ),
        ('{"type": "object", "properties": {"a": true}}', "a: expected a mapping"),
        (
            '{"type": "object", "properties": {"a": {"type": "strnig"}}}',
            "properties.a.type: 'strnig' is not valid under any of the given schemas",
        ),
        (
            '{"type": "object", "properties": {"a": {"format": ["date"]}}}',
            "a: the format '['date']' is not understood",
        ),
        (
            '{"type": "object", "default": ' + "[" * 450 + "]" * 450 + "}",
            "it has more than 100 levels",
        ),
        ('{"type": "object", "default": NaN}', "the number nan: expected a finite one"),
        ('{"type": "object", "default": 1e999}', "the number inf: expected a finite one"),
        (f'{{"type": "object", "default": {2**64}}}', "a whole number of more than 64 bits"),
        (
            '{"type": "object", "default": "\\u0000"}',
            "the text '\\x00': expected one without NUL",
        ),
    ],
)
def test_a_wrong_schema_is_a_mistake(write: Write, text: str, found: str) -> None:
    """A schema that is none, or says what is not understood, is told with its file."""
    root = write(f="features: {monitoring: }", h="hosts: {web1: {features: [monitoring]}}")
    _schema(root, text=text)
    with pytest.raises(InventoryError) as caught:
        load(root)
    (mistake,) = caught.value.mistakes
    assert mistake.place.file == "templates/features/monitoring.schema.json"
    assert mistake.found == f"no JSON Schema of settings: {found}"


MORE = """{
  "type": "object",
  "required": ["name"],
  "properties": {
    "name": {"type": "string", "pattern": "^[a-z]+$"},
    "retain": {"anyOf": [{"type": "integer"}, {"enum": ["forever"]}]},
    "address": {"format": "ipv4", "type": "string"},
    "share": {"type": "number", "exclusiveMaximum": 1},
    "rules": {"type": "array", "items": {"type": "object", "properties": {
      "port": {"type": "integer"}}}},
    "tls": {"type": "object", "default": {}, "properties": {"port": {"default": 443}}},
    "names": {"default": ["a", {"b": null}]},
    "any": {"type": "object", "additionalProperties": {"type": "boolean"}},
    "sites": {"additionalProperties": {"properties": {"port": {"type": "integer"}}}}
  }
}"""


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ("{name: X}", 'the setting monitoring.name: "X"; expected a text that matches ^[a-z]+$'),
        ("{}", "monitoring without the setting 'name'; expected it"),
        (
            "{name: x, retain: long}",
            'the setting monitoring.retain: "long"; expected what its schema says: '
            "'long' is not valid under any of the given schemas",
        ),
        (
            "{name: x, address: here}",
            "the setting monitoring.address: \"here\"; expected a text of the form 'ipv4'",
        ),
        (
            "{name: x, retain: 3.0}",
            "the setting monitoring.retain: 3.0; expected what its schema "
            "says: 3.0 is not valid under any of the given schemas",
        ),
        ("{name: x, share: 1}", "the setting monitoring.share: 1; expected less than 1"),
        (
            "{name: x, rules: [{port: 1}, {prot: 2}]}",
            "the unknown setting 'prot' of monitoring.rules.1; expected one of port; "
            "did you mean 'port'?",
        ),
        (
            "{name: x, any: {a: 1}}",
            "the setting monitoring.any.a: 1; expected true or false",
        ),
        (
            "{name: x, sites: {here: {prot: 1}}}",
            "the unknown setting 'prot' of monitoring.sites.here; expected one of port; "
            "did you mean 'port'?",
        ),
    ],
)
def test_what_else_a_schema_may_say(write: Write, settings: str, found: str) -> None:
    """Every keyword that is understood refuses what it is there to refuse."""
    root = write(
        f="features: {monitoring: }", h=f"hosts: {{web1: {{features: {{monitoring: {settings}}}}}}}"
    )
    _schema(root, text=MORE)
    with pytest.raises(InventoryError) as caught:
        load(root)
    (mistake,) = caught.value.mistakes
    assert mistake.place.file == "inventory/h.yaml"
    assert str(mistake).partition(": ")[2] == found


def test_defaults_of_every_kind(write: Write) -> None:
    """A default is a text, a list or a mapping; a mapping's default is completed below it."""
    root = write(
        f="features: {monitoring: }", h="hosts: {web1: {features: {monitoring: {name: x}}}}"
    )
    _schema(root, text=MORE)
    read = load(root)
    assert read.fleet.hosts["web1"].settings["monitoring"] == {
        "name": "x",
        "tls": {"port": 443},
        "names": ["a", {"b": None}],
    }
    assert _origins(read, "settings.monitoring.tls.port") == [
        (443, "templates/features/monitoring.schema.json (default)")
    ]


def test_a_default_that_is_wrong_is_told_in_the_schema(write: Write) -> None:
    """A default that its schema refuses is a mistake where it stands."""
    root = write(f="features: {monitoring: }", h="hosts: {web1: {features: [monitoring]}}")
    text = '{"type": "object", "properties": {"port": {"type": "integer", "default": "x"}}}'
    _schema(root, text=text)
    with pytest.raises(InventoryError) as caught:
        load(root)
    (mistake,) = caught.value.mistakes
    assert str(mistake) == (
        'templates/features/monitoring.schema.json: the setting monitoring.port: "x"; expected '
        "a whole number"
    )


@pytest.mark.parametrize("kind", ["folder", "link", "large"])
def test_a_schema_is_a_small_file_of_the_fleet(write: Write, kind: str) -> None:
    """A schema that is a folder, leads out of the fleet, or is too large is not read."""
    root = write(f="features: {monitoring: }", h="hosts: {web1: {features: [monitoring]}}")
    path = root / "templates/features/monitoring.schema.json"
    path.parent.mkdir()
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    else:
        path.write_text(" " * (1 << 17))
    with pytest.raises(InventoryError) as caught:
        load(root)
    (mistake,) = caught.value.mistakes
    assert mistake.found.startswith("unreadable (")
    assert mistake.expected == "a readable regular file"


def test_a_schema_is_not_read_where_nobody_has_the_feature(write: Write) -> None:
    """What is wrong with the schema of a feature that no host has keeps no host from anything."""
    root = write(f="features: {monitoring: }", h="hosts: {web1: }")
    _schema(root, text="[")
    assert load(root).fleet.hosts["web1"].settings == {}


def test_a_changed_schema_is_read_again(write: Write) -> None:
    """The fleet that is remembered is not believed once a schema is another."""
    root = write(f="features: {monitoring: }", h="hosts: {web1: {features: [monitoring]}}")
    before = key_of(root)
    _schema(root)
    assert before != key_of(root) == key_of(root)
