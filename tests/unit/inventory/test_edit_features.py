"""A feature is turned on or off in an inventory's text so that nothing else changes, or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.core import beneath
from orchestrator.core.errors import RefusedError, UsageError
from orchestrator.inventory.edit_features import FeatureEdit, draft, write
from orchestrator.inventory.load import load

CATALOGUE = """\
features: {a: , b: , c: , t: , needs-a: {requires: [a]}, not-a: {conflicts: [a]}, set: }
templates: {box: {features: [t, b]}}
"""
SCHEMA = """{"type": "object", "properties": {"port": {"type": "integer"}, "peer": {"type":
"string", "format": "host"}, "tls": {"type": "object"}}}"""


def fleet(folder: Path, hosts: str) -> Path:
    """A fleet of some hosts; the feature ``set`` takes settings."""
    (folder / "inventory").mkdir()
    (folder / "templates/features").mkdir(parents=True)
    (folder / "templates/features/set.schema.json").write_text(SCHEMA)
    (folder / "inventory/catalogue.yaml").write_text(CATALOGUE)
    (folder / "inventory/hosts.yaml").write_bytes(hosts.encode())
    return folder


def edited(
    folder: Path, text: str, feature: str, *names: str, on: bool = True, **settings: Any
) -> str:
    """The text of the hosts' file afterwards."""
    root = fleet(folder, text)
    drafts = draft(root, FeatureEdit(feature, on, settings), names or ("w",))
    assert (root / "inventory/hosts.yaml").read_bytes() == text.encode(), "nothing is written"
    return drafts[0].after.decode() if drafts else text


ENABLED = [
    ("hosts:\n  w:\n", "hosts:\n  w:\n    features: [a]\n"),
    ("hosts:\n  w:", "hosts:\n  w:\n    features: [a]\n"),
    ("hosts: {w: }\n", "hosts: {w: {features: [a]}}\n"),
    ("hosts:\n  w: {tags: [x]}\n", "hosts:\n  w: {features: [a], tags: [x]}\n"),
    ("hosts:\n  w: {}\n", "hosts:\n  w: {features: [a]}\n"),
    (
        "hosts:\n  # ours\n  w: # it\n    tags: [x] # one\n\n  # next\n  v: {}\n",
        "hosts:\n  # ours\n  w: # it\n    tags: [x] # one\n    features: [a]\n\n"
        "  # next\n  v: {}\n",
    ),
    (
        "hosts:\n  w:\n    description: |\n      # no comment\n  v: {}\n",
        "hosts:\n  w:\n    features: [a]\n    description: |\n      # no comment\n  v: {}\n",
    ),
    (
        "hosts:\r\n  w:\r\n    tags: [x]\r\n",
        "hosts:\r\n  w:\r\n    tags: [x]\r\n    features: [a]\r\n",
    ),
    ("hosts: {w: {features: [b]}}\n", "hosts: {w: {features: [b, a]}}\n"),
    ("hosts:\n  w:\n    features:\n", "hosts:\n  w:\n    features: [a]\n"),
    (
        "hosts:\n  w:\n    features: # they\n      - b # bee\n      # end\n    tags: [x]\n",
        "hosts:\n  w:\n    features: # they\n      - b # bee\n      - a\n      # end\n"
        "    tags: [x]\n",
    ),
    (
        "hosts:\n  w:\n    features:\n    - b\n    tags: [x]\n",
        "hosts:\n  w:\n    features:\n    - b\n    - a\n    tags: [x]\n",
    ),
    (
        "hosts:\n  w:\n    features:\n      set: {port: 1} # set\n      b:\n",
        "hosts:\n  w:\n    features:\n      set: {port: 1} # set\n      b:\n      a:\n",
    ),
    (
        "hosts: {w: {template: box, features: {remove: [a, t]}}}\n",
        "hosts: {w: {template: box, features: {a: {}, remove: [t]}}}\n",
    ),
    ("hosts: {w: {features: [a]}}\n", "hosts: {w: {features: [a]}}\n"),
    ("\ufeffhosts: {w: {features: [b]}}\n", "\ufeffhosts: {w: {features: [b, a]}}\n"),
    (
        "\ufeffhosts:\n  w:\n    features:\n      - b\n",
        "\ufeffhosts:\n  w:\n    features:\n      - b\n      - a\n",
    ),
]


@pytest.mark.parametrize(("before", "after"), ENABLED)
def test_a_feature_is_turned_on(tmp_path: Path, before: str, after: str) -> None:
    """The feature stands where the others do; every other byte of the file is what it was."""
    assert edited(tmp_path, before, "a") == after


WITH_SETTINGS = [
    ("hosts:\n  w:\n", "hosts:\n  w:\n    features: {set: {port: 2}}\n"),
    ("hosts: {w: {features: [b]}}\n", "hosts: {w: {features: {b: {}, set: {port: 2}}}}\n"),
    (
        "hosts:\n  w:\n    features:\n    - b # bee\n    - a\n    tags: [x]\n",
        "hosts:\n  w:\n    features:\n      b: # bee\n      a:\n      set: {port: 2}\n"
        "    tags: [x]\n",
    ),
    (
        "hosts:\n  w:\n    features:\n      set:\n      b: # bee\n",
        "hosts:\n  w:\n    features:\n      set: {port: 2}\n      b: # bee\n",
    ),
    (
        "hosts:\n  w:\n    features:\n      set: {peer: w, port: 1}\n",
        "hosts:\n  w:\n    features:\n      set: {peer: w, port: 2}\n",
    ),
]


def test_settings_below_others_leave_them(tmp_path: Path) -> None:
    """Who says one setting of a mapping leaves the others of that mapping as they are."""
    before = "hosts: {w: {features: {set: {tls: {name: x, port: 1}}}}}\n"
    after = "hosts: {w: {features: {set: {tls: {name: x, port: 2}}}}}\n"
    assert edited(tmp_path, before, "set", tls={"port": 2}) == after


@pytest.mark.parametrize(("before", "after"), WITH_SETTINGS)
def test_settings_are_written_too(tmp_path: Path, before: str, after: str) -> None:
    """With settings, names become a mapping; settings that are there already stay."""
    assert edited(tmp_path, before, "set", port=2) == after


DISABLED = [
    ("a", "hosts: {w: {features: [b, a]}}\n", "hosts: {w: {features: [b]}}\n"),
    ("a", "hosts: {w: {features: [a]}}\n", "hosts: {w: {features: []}}\n"),
    (
        "a",
        "hosts:\n  w:\n    features:\n      - a # ay\n      - b # bee\n",
        "hosts:\n  w:\n    features:\n      - b # bee\n",
    ),
    (
        "set",
        "hosts:\n  w:\n    features:\n      set:\n        port: 1\n      b: # bee\n",
        "hosts:\n  w:\n    features:\n      b: # bee\n",
    ),
    (
        "t",
        "hosts:\n  w:\n    template: box\n",
        "hosts:\n  w:\n    template: box\n    features: {remove: [t]}\n",
    ),
    (
        "t",
        "hosts:\n  w:\n    template: box\n    features:\n      - a # ay\n",
        "hosts:\n  w:\n    template: box\n    features:\n      a: # ay\n      remove: [t]\n",
    ),
    (
        "t",
        "hosts:\n  w:\n    template: box\n    features:\n      remove: [b]\n",
        "hosts:\n  w:\n    template: box\n    features:\n      remove: [b, t]\n",
    ),
    ("a", "hosts: {w: }\n", "hosts: {w: }\n"),
    (
        "t",
        "hosts: {w: {template: box, features: {remove: [t]}}}\n",
        "hosts: {w: {template: box, features: {remove: [t]}}}\n",
    ),
]


@pytest.mark.parametrize(("feature", "before", "after"), DISABLED)
def test_a_feature_is_turned_off(tmp_path: Path, feature: str, before: str, after: str) -> None:
    """A feature goes from the host's entry; what a template gives is removed there."""
    assert edited(tmp_path, before, feature, on=False) == after


def test_several_hosts_are_changed_in_one_file(tmp_path: Path) -> None:
    """Each of the hosts has the feature afterwards, and the others are what they were."""
    before = "hosts:\n  w:\n  v: {tags: [x]}\n  u:\n"
    assert edited(tmp_path, before, "a", "w", "v") == (
        "hosts:\n  w:\n    features: [a]\n  v: {features: [a], tags: [x]}\n  u:\n"
    )


@pytest.mark.parametrize(
    ("feature", "on", "text", "words"),
    [
        ("not-a", True, "hosts: {w: {features: [a]}}", "'not-a' conflicts with 'a'"),
        (
            "a",
            False,
            "hosts: {w: {features: [needs-a]}}",
            "it nevertheless: inventory/hosts.yaml:1 (required by needs-a)",
        ),
        ("a", True, "hosts:\n  w: &x\n    features:\n      - b\n  v: *x\n", "were not changed"),
        (
            "a",
            True,
            "hosts: {w: {features: [b, # bee\n  t]}}",
            "is not so plain that it can be done without harm",
        ),
        (
            "set",
            True,
            "hosts:\n  w:\n    features:\n      set:\n        port: 1\n",
            "is not so plain that it can be done without harm",
        ),
    ],
)
def test_what_would_be_wrong_is_not_done(
    tmp_path: Path, feature: str, on: bool, text: str, words: str
) -> None:
    """Nothing is changed where the inventory would be wrong, or others would change with it."""
    with pytest.raises(UsageError) as caught:
        edited(tmp_path, text, feature, on=on, **({"port": 2} if feature == "set" else {}))
    assert words in caught.value.message
    assert caught.value.hint is not None
    assert "nothing was written" in caught.value.hint


def test_what_another_feature_requires_stays(tmp_path: Path) -> None:
    """Who removes what a template's feature requires reads the chain."""
    root = fleet(tmp_path, "hosts: {w: {features: [needs-a, a]}}")
    with pytest.raises(UsageError):
        draft(root, FeatureEdit("a", on=False, settings={}), ("w",))
    assert load(root).fleet.hosts["w"].features == ("a", "needs-a")


def test_all_files_are_written_or_none(tmp_path: Path) -> None:
    """Where one of several files was changed meanwhile, the others are what they were."""
    root = fleet(tmp_path, "hosts: {w: }\n")
    (root / "inventory/more.yaml").write_text("hosts: {v: }\n")
    drafts = draft(root, FeatureEdit("a", on=True, settings={}), ("w", "v"))
    (root / "inventory/more.yaml").write_text("hosts: {v: {tags: [x]}}\n")
    with pytest.raises(RefusedError):
        write(root, drafts)
    assert (root / "inventory/hosts.yaml").read_text() == "hosts: {w: }\n"
    write(root, drafts[:1])
    assert load(root).fleet.hosts["w"].features == ("a",)


def test_an_interrupt_leaves_all_files_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who interrupts it between two files finds both as they were."""
    root = fleet(tmp_path, "hosts: {w: }\n")
    (root / "inventory/more.yaml").write_text("hosts: {v: }\n")
    drafts = draft(root, FeatureEdit("a", on=True, settings={}), ("w", "v"))
    replace = beneath.replace

    def interrupted(folder: Path, file: str, data: bytes) -> None:
        if file == drafts[1].file:
            raise KeyboardInterrupt
        replace(folder, file, data)

    monkeypatch.setattr(beneath, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(root, drafts)
    assert [(root / one.file).read_bytes() for one in drafts] == [one.before for one in drafts]
