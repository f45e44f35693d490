"""The lab's base image: what comes of it when a mirror fails or lacks a package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mirror_bench
import pytest
from mirror_bench import Mirror

from orchestrator.lab import image
from orchestrator.lab.image import Image, ensure
from orchestrator.lab.places import LabError


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A mirror that has little of what a system is made of."""
    mirror_bench.publish(("apt", "dbus", "age"), tmp_path / "mirror", tmp_path / "work")
    with mirror_bench.served(tmp_path / "mirror") as served:
        monkeypatch.setenv(image.MIRROR, served.line)
        yield served


def test_a_package_that_is_gone_is_named(mirror: Mirror, tmp_path: Path) -> None:
    """A package that is gone is named with what to do, and no second attempt is made."""
    told: list[str] = []
    with pytest.raises(LabError) as error:
        image.make_tree(("age", "nix-bin", "dbus"), tmp_path / "rootfs", told.append, pause=0)
    assert error.value.message.startswith("Debian trixie has no package nix-bin, which the lab's")
    assert image.MIRROR in str(error.value.hint)
    assert told == []


def test_a_mirror_that_fails_is_asked_again_and_then_told(mirror: Mirror, tmp_path: Path) -> None:
    """Each further attempt is told with its cause; the error says how to name another mirror."""
    mirror.failures = {"Release": 10_000}
    told: list[str] = []
    with pytest.raises(LabError, match="failed, 3 times") as error:
        image.make_tree(("age",), tmp_path / "rootfs", told.append, pause=0)
    assert len(told) == 2
    assert all("trying again" in line for line in told)
    assert image.MIRROR in str(error.value.hint)


def test_an_image_that_failed_is_not_there(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is left, so that the next ``up`` makes it from the beginning."""
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    with pytest.raises(LabError, match="has no packages busybox-static, ca-certificates"):
        ensure(lambda _: None)
    assert not Image.wanted().exists
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["base.lock"]


def test_a_program_that_its_package_no_longer_has_is_named(tmp_path: Path) -> None:
    """A tree without it is told by the program's name, and is no image."""
    with pytest.raises(LabError, match="the Debian tree has no /usr/bin/nix"):
        image.tools(tmp_path / "rootfs", tmp_path / "nix", tmp_path / "final")


def test_the_image_says_what_it_is_made_of(tmp_path: Path) -> None:
    """Each package of the recipe is listed, with the version that was installed."""
    tree = ensure(lambda _: None).rootfs
    listing = dict(line.split("\t") for line in image.installed(tree).splitlines())
    recipe = Path(image.__file__).with_name("base") / "recipe/packages"
    wanted = {line for line in recipe.read_text().splitlines() if not line.startswith("#")}
    assert wanted <= {name.split(":")[0] for name in listing}
    assert all(listing.values())
