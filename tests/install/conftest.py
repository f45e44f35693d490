"""Fixtures: the local index, and how it is reached."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from index_bench import DEVELOPMENT, PIPS, checkout, download, publish, served


@pytest.fixture(scope="session")
def pips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A wheel of each pip that is tried."""
    folder = tmp_path_factory.mktemp("pips")
    for version in PIPS:
        download(folder / version, "pip" if version == "newest" else f"pip=={version}")
    return {version: next((folder / version).glob("*.whl")) for version in PIPS}


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an index in which every locked package has a newer release."""
    folder = tmp_path_factory.mktemp("index")
    download(folder / "wheels", "--require-hashes", "-r", str(DEVELOPMENT))
    publish(folder / "wheels", folder)
    with served(folder) as address:
        yield f"{address}/simple/"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of this checkout."""
    return checkout(tmp_path / "clone")


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who has set nothing, with an empty home."""
    (tmp_path / "home").mkdir()
    return {
        "PATH": os.defpath,
        "HOME": str(tmp_path / "home"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "LOCK_INSTALL_PAUSE": "0",
    }
