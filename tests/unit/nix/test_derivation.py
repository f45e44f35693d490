"""What a derivation builds, read from its file; the slightest doubt leaves it to Nix."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from orchestrator.core.store import DrvPath, OutPath
from orchestrator.nix import flake

OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system-p620-25.05")
ONE = f'Derive([("out","{OUT}","","")],[("/nix/store/x.drv",["out"])],[],"x86_64-linux"'


def read(folder: Path, text: str) -> OutPath | None:
    """Read a derivation with this text."""
    file = folder / "a.drv"
    file.write_text(text)
    drv = DrvPath(f"{OUT}.drv")
    structs.force_setattr(drv, "path", str(file))
    return flake.output_of(drv)


def test_a_system_has_one_output(tmp_path: Path) -> None:
    """A system has one output, whose path stands first in the derivation, as Nix writes it."""
    assert read(tmp_path, ONE) == OUT


@pytest.mark.parametrize(
    "text",
    [
        "",
        ONE.replace("Derive(", 'DrvWithVersion("xp-dyn-drv",'),
        ONE.replace(str(OUT), ""),
        ONE.replace('"out","/', '"dev","/'),
        ONE.replace('"","")],', f'"",""),("dev","{OUT}-dev","","")],'),
        ONE.replace(str(OUT), "/nix/store/short-name"),
        ONE.replace(str(OUT), str(OUT).replace("-nixos", "\\n-nixos")),
        ONE[:40],
    ],
)
def test_anything_else_is_left_to_nix(tmp_path: Path, text: str) -> None:
    """Newer forms, several outputs, a path that only the build will tell, damage."""
    assert read(tmp_path, text) is None


def test_a_derivation_that_is_not_here() -> None:
    """A derivation whose file is not in this store has no known output."""
    assert flake.output_of(DrvPath(f"{OUT}.drv")) is None
