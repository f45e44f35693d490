"""Store paths: what is one, what is none, how a person reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.store import DrvPath, OutPath, StorePath

HASH = "0123456789abcdfghijklmnpqrsvwxyz"
SYSTEM = f"/nix/store/{HASH}-nixos-system-p620-25.05"

hashes = st.text("0123456789abcdfghijklmnpqrsvwxyz", min_size=32, max_size=32)
names = st.from_regex(r"[0-9A-Za-z+\-._?=]{1,211}", fullmatch=True)


def test_a_path_is_read_from_a_commands_output() -> None:
    """White space around a path, as commands print it, is no part of it."""
    path = OutPath.parse(f" {SYSTEM}\n")
    assert path == OutPath(SYSTEM)
    assert str(path) == path.path == SYSTEM


def test_a_path_has_a_name_and_a_short_form() -> None:
    """The name has no hash; the short form has just enough of it to compare."""
    path = OutPath(SYSTEM)
    assert path.name == "nixos-system-p620-25.05"
    assert path.short == "01234…-nixos-system-p620-25.05"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/nix/store",
        "/nix/store/",
        f"/nix/store/{HASH}",
        f"/nix/store/{HASH}-",
        f"/nix/store/{HASH[:31]}-short",
        f"/nix/store/{'e' * 32}-not-base32",
        f"/nix/store/{HASH.upper()}-upper",
        f"{SYSTEM}/bin",
        f"{SYSTEM}\n{SYSTEM}",
        f"{SYSTEM}; reboot",
        f"/gnu/store/{HASH}-guix",
        f"/nix/store/{HASH}-{'n' * 212}",
        f"//nix/store/{HASH}-x",
    ],
)
def test_what_is_no_path_is_refused(text: str) -> None:
    """Whatever is not exactly one path directly below the store raises, and is shown."""
    with pytest.raises(ValueError, match="not a store path"):
        OutPath.parse(text)


def test_a_path_is_not_trimmed_on_construction() -> None:
    """Only parsing ignores white space: a value is checked to the last character."""
    with pytest.raises(ValueError, match="not a store path"):
        OutPath(f"{SYSTEM}\n")


def test_a_derivation_ends_in_drv() -> None:
    """A derivation is a store path that ends in ``.drv``; another is refused, and so is no path."""
    assert DrvPath(f"{SYSTEM}.drv").name == "nixos-system-p620-25.05.drv"
    with pytest.raises(ValueError, match="not a derivation"):
        DrvPath(SYSTEM)
    with pytest.raises(ValueError, match="not a store path"):
        DrvPath("x.drv")


def test_a_derivation_is_no_output() -> None:
    """The two types are never equal, be their text the same."""
    assert DrvPath(f"{SYSTEM}.drv") != OutPath(f"{SYSTEM}.drv")


@given(hashes, names)
def test_every_valid_path_is_read(digest: str, name: str) -> None:
    """Nix's whole alphabet of hashes and names is taken, and given back unchanged."""
    path = StorePath.parse(f"/nix/store/{digest}-{name}")
    assert path.path == f"/nix/store/{digest}-{name}"
    assert path.name == name


@given(st.text(max_size=80))
def test_no_text_does_anything_but_be_refused(text: str) -> None:
    """Any text is a path or a ``ValueError``."""
    try:
        path = StorePath.parse(text)
    except ValueError:
        return
    assert path.path == text.strip()
