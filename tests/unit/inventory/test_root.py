"""Which folder is the fleet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.core.errors import UsageError
from orchestrator.inventory.root import find_root

Write = Callable[..., Path]


def test_the_nearest_folder_above(write: Write) -> None:
    """A folder deep inside of the fleet finds it; one named inventory without YAML is none."""
    root = write(h="hosts: {h: }")
    deep = root / "src" / "deep"
    (root / "src" / "inventory").mkdir(parents=True)
    deep.mkdir()
    assert find_root(deep, None, {}) == root
    assert find_root(root, None, {}) == root


def test_what_is_named_wins(write: Write, tmp_path: Path) -> None:
    """``--fleet`` before the environment before what is near."""
    root = write(h="hosts: {h: }")
    other = tmp_path / "other"
    (other / "inventory").mkdir(parents=True)
    (other / "inventory" / "h.yml").touch()
    assert find_root(root, None, {"ORCHESTRATOR_FLEET": str(other)}) == other
    assert find_root(root, root, {"ORCHESTRATOR_FLEET": str(other)}) == root
    assert find_root(root, None, {"ORCHESTRATOR_FLEET": ""}) == root


def test_a_relative_name_becomes_absolute(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The root is absolute, whatever was typed."""
    root = write(h="hosts: {h: }")
    monkeypatch.chdir(root.parent)
    assert find_root(Path.cwd(), Path("fleet"), {}) == root


@pytest.mark.parametrize(
    ("explicit", "environ", "told"),
    [
        (None, {}, "no fleet here"),
        ("nowhere", {}, "--fleet: no YAML file in"),
        (None, {"ORCHESTRATOR_FLEET": "nowhere"}, r"\$ORCHESTRATOR_FLEET: no YAML file in"),
    ],
)
def test_no_fleet_teaches(
    tmp_path: Path, explicit: str | None, environ: dict[str, str], told: str
) -> None:
    """Who has no fleet is shown how to begin one."""
    with pytest.raises(UsageError, match=told) as caught:
        find_root(tmp_path, Path(explicit) if explicit else None, environ)
    assert "address: 10.0.0.5" in str(caught.value.hint)
