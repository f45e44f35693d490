"""``orchestrator catalogue``: what there is, what requires what, and what is wrong with it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from orchestrator.cli.main import main
from orchestrator.core.errors import UsageError

Run = Callable[..., Result]


def test_list_shows_features_and_tiers(run: Run) -> None:
    """Each feature has a line with its hosts, requirements, needs and risk; tiers are below."""
    lines = run("list").stdout.splitlines()
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["dashboard", "1", "monitoring"],
        ["monitoring", "1", "exporter"],
        ["exporter", "1"],
    ]
    assert "2.0 GiB, 2 CPUs" in lines[2]
    assert lines[-1] == "tier standard: exporter, gnome (needs 4.0 GiB, 2 CPUs, GPU any)"


def test_list_for_programs(run: Run) -> None:
    """The catalogue as JSON has each feature with its hosts, and the tiers in order."""
    said = json.loads(run("list", "--json").stdout)
    by_name = {one["name"]: one for one in said["features"]}
    assert by_name["monitoring"]["hosts"] == ["web1"]
    assert by_name["monitoring"]["needs"]["memory"] == 2 * 2**30
    assert [one["name"] for one in said["tiers"]] == ["minimal", "standard"]


def test_show_says_all_of_a_feature(run: Run) -> None:
    """A feature is shown with what it requires by what, its settings, risk, and its hosts."""
    assert run("show", "dashboard").stdout.splitlines() == [
        "Shows how the hosts are.",
        "requires: exporter (by monitoring), monitoring",
        "risk: moderate: it is seen from outside.",
        "mitigation: a password",
        "web1: inventory/hosts.yaml:5 (host web1)",
    ]
    shown = run("show", "monitoring").stdout
    assert "required by: dashboard" in shown
    assert 'mode     client or server  "client"  What it is.' in shown
    assert "web1: inventory/hosts.yaml:5 (required by dashboard)" in shown
    assert "conflicts: exporter" in run("show", "silence").stdout
    assert "no host has it" in run("show", "silence").stdout


def test_show_for_programs(run: Run) -> None:
    """A feature as JSON has its schema, what requires it, and the hosts with the reasons."""
    said = json.loads(run("show", "monitoring", "--json").stdout)
    assert said["required_by"] == ["dashboard"]
    assert said["schema"]["properties"]["port"]["default"] == 9100
    assert said["hosts"] == {"web1": "inventory/hosts.yaml:5 (required by dashboard)"}


def test_an_unknown_feature_is_named_with_the_nearest(run: Run) -> None:
    """Who mistypes a feature reads which one was probably meant."""
    with pytest.raises(UsageError, match="did you mean 'monitoring'"):
        run("show", "monitorin")


def test_graph_as_text(run: Run) -> None:
    """Trees of what requires what, and the pairs that exclude each other."""
    assert run("graph").stdout.splitlines() == [
        "dashboard",
        "└─ monitoring",
        "   └─ exporter",
        "silence",
        "gnome",
        "plasma",
        "exporter conflicts with silence",
        "gnome conflicts with plasma (both are desktop)",
    ]
    assert run("graph", "web1").stdout.splitlines() == [
        "gnome",
        "dashboard",
        "└─ monitoring",
        "   └─ exporter",
    ]


def test_graph_as_dot(run: Run) -> None:
    """The graph in Graphviz's language has a node for each feature and an edge for each pair."""
    lines = run("graph", "--format", "dot").stdout.splitlines()
    assert lines[0] == "digraph catalogue {"
    assert '  "dashboard" -> "monitoring";' in lines
    assert any(line.startswith('  "gnome" -> "plasma" [dir=none, style=dashed') for line in lines)


def test_graph_as_svg(run: Run) -> None:
    """The graph as SVG is XML, with the features in columns from what requires to what is so."""
    drawn = ET.fromstring(run("graph", "--format", "svg").stdout)  # noqa: S314 - ours
    places = {
        text.text: float(text.attrib["x"])
        for text in drawn.iter("{http://www.w3.org/2000/svg}text")
    }
    assert places["dashboard"] < places["monitoring"] < places["exporter"]
    assert len(places) == 6


def test_a_diamond_is_drawn_once(root: Path, run: Run) -> None:
    """What several features require is written out the first time, and named the others."""
    (root / "inventory/catalogue.yaml").write_text(
        "features: {a: {requires: [b, c]}, b: {requires: [d]}, c: {requires: [d]}, "
        "d: {requires: [e]}, e: }\n"
    )
    (root / "inventory/hosts.yaml").write_text("hosts: {web1: }\n")
    assert run("graph").stdout.splitlines() == [
        "a",
        "├─ b",
        "│  └─ d",
        "│     └─ e",
        "└─ c",
        "   └─ d …",
    ]


def _code(*words: str) -> object:
    with pytest.raises(SystemExit) as ended:
        main(["catalogue", *words])
    return ended.value.code


def test_a_sound_catalogue_has_notices_at_the_most(root: Path, run: Run) -> None:
    """Where every feature has a module nothing is wrong; what no host has is a notice."""
    for name in ("dashboard", "monitoring", "exporter", "silence", "gnome", "plasma"):
        (root / f"templates/features/{name}.nix").touch()
    assert _code("check") == 0
    assert run("check").stdout.splitlines() == [
        "notice: silence: no host has it",
        "notice: plasma: no host has it",
    ]


def test_check_finds_names_that_nothing_implements(run: Run) -> None:
    """A feature without a module is wrong, and the exit code says so."""
    assert _code("check") == 1
    assert (
        "wrong: exporter: nothing implements it: there is no templates/features/exporter.nix"
        in run("check").stdout
    )
    said = json.loads(run("check", "--json").stdout)
    assert said["ok"] is False
    assert {one["name"] for one in said["findings"] if one["wrong"]} >= {"exporter", "gnome"}


def test_check_looks_at_schemas(root: Path, run: Run) -> None:
    """A schema of no feature, one that is none, and a default that it refuses are found."""
    folder = root / "templates/features"
    (folder / "other.schema.json").write_text('{"type": "object"}')
    (folder / "silence.schema.json").write_text('{"type": "text"}')
    (folder / "plasma.schema.json").write_text(
        '{"type": "object", "required": ["x"], '
        '"properties": {"size": {"type": "integer", "default": "x"}}}'
    )
    (folder / "stray.nix").touch()
    told = run("check").stdout
    for words in (
        "wrong: other: templates/features/other.schema.json is of no feature in the catalogue",
        "wrong: silence: templates/features/silence.schema.json is no schema of settings: "
        'expected "type": "object" at the top',
        "wrong: plasma: a default in templates/features/plasma.schema.json is wrong: "
        "size: expected a whole number",
        "notice: stray: templates/features/stray.nix is of no feature in the catalogue",
    ):
        assert words in told
    assert "'x'" not in told
