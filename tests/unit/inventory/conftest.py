"""A fleet in a temporary folder, and its mistakes as text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.inventory.load import Inventory, load
from orchestrator.inventory.tree import InventoryError


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write ``inventory/NAME.yaml`` for each keyword, and return the fleet's root.

    The fleet is of those that are made of templates' modules.
    """
    root = tmp_path / "fleet"
    (root / "inventory").mkdir(parents=True)
    (root / "templates").mkdir()

    def write_files(**files: str) -> Path:
        for name, text in files.items():
            (root / "inventory" / f"{name}.yaml").write_text(text, encoding="utf-8")
        return root

    return write_files


@pytest.fixture
def loaded(write: Callable[..., Path]) -> Callable[..., Inventory]:
    """Load the inventory that the keywords make up."""
    return lambda **files: load(write(**files))


@pytest.fixture
def mistakes(write: Callable[..., Path]) -> Callable[..., list[str]]:
    """The mistakes of the inventory that the keywords make up, each as its line of text."""

    def told(**files: str) -> list[str]:
        root = write(**files)
        with pytest.raises(InventoryError) as caught:
            load(root)
        return [str(mistake) for mistake in caught.value.mistakes]

    return told
