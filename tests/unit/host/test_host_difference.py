"""How a host compares two closures: its shell with a store of our own, and what is read of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestrator.core.store import OutPath
from orchestrator.host.difference import (
    ALONE,
    MOST_PATHS,
    Difference,
    growth,
    parse_difference,
)
from orchestrator.host.scripts import script


def path(name: str) -> str:
    """A path in the store."""
    return f"/nix/store/{'a' * 32}-{name}"


OLD = ["etc", "same-1", "nginx-1.26", "unit-nginx.service", "nixos-system-p510-25.05"]
NEW = [
    "etc2",
    "same-1",
    "nginx-1.28",
    "openssl-3",
    "unit-nginx2.service",
    "nixos-system-p510-26",
]
STORE = r"""#!/bin/sh
what=$2
shift 2
[ "$what" != "$BREAKS" ] || exit 1
for path; do
  case $what:$path in
  --requisites:/run/current-system) cat "$HERE/old" ;;
  --requisites:*) cat "$HERE/new" ;;
  --size:*) echo 100 ;;
  --references:*unit-nginx.service) grep 'nginx-1.26' "$HERE/old" ;;
  --references:*unit-nginx2.service) grep 'nginx-1.28' "$HERE/new" ;;
  --references:/run/current-system) grep 'etc$' "$HERE/old" ;;
  esac
done
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A ``nix-store`` that knows two closures."""
    for name, names in (("old", OLD), ("new", NEW)):
        (tmp_path / name).write_text("".join(f"{path(one)}\n" for one in names))
    (tmp_path / "nix-store").write_text(STORE)
    (tmp_path / "nix-store").chmod(0o755)
    return tmp_path


def compared(store: Path, target: str, stdin: str = "", breaks: str = "") -> Difference | None:
    """Run the host's shell."""
    done = subprocess.run(
        script(ALONE, target),
        input=stdin,
        env={"PATH": f"{store}:/usr/bin:/bin", "HERE": str(store), "BREAKS": breaks},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return parse_difference(done.stdout.split("\n"))


def names(paths: tuple[OutPath, ...] | frozenset[OutPath]) -> set[str]:
    """What paths are called."""
    return {one.name for one in paths}


def test_a_host_says_what_only_one_closure_has(store: Path) -> None:
    """Paths of either alone, those that changed units and systems name, and both sizes."""
    found = compared(store, path("nixos-system-p510-26"))
    assert found is not None
    assert names(found.gone) == set(OLD) - set(NEW)
    assert names(found.new) == set(NEW) - set(OLD)
    assert names(found.direct) == {"etc", "nginx-1.26", "nginx-1.28"}
    assert (found.gone_size, found.new_size) == (400, 500)
    assert growth(found) == 100


def test_a_closure_that_the_host_has_not_comes_on_standard_input(store: Path) -> None:
    """For a plan: of what it has not it cannot say the size."""
    found = compared(store, "", stdin=(store / "new").read_text())
    assert found is not None
    assert names(found.new) == set(NEW) - set(OLD)
    assert names(found.direct) == {"etc", "nginx-1.26"}
    assert (found.gone_size, found.new_size) == (400, None)
    assert growth(found) is None


def test_the_same_system_differs_in_nothing(store: Path) -> None:
    """Two equal closures: no path, and no byte."""
    (store / "new").write_text((store / "old").read_text())
    assert compared(store, path("x")) == Difference((), (), frozenset(), 0, 0)


def test_where_the_store_does_not_answer_nothing_is_said(store: Path) -> None:
    """A closure that is not whole is no closure that has less."""
    assert compared(store, path("x"), breaks="--requisites") is None


def test_where_sizes_are_not_known_the_packages_are(store: Path) -> None:
    """Where sizes are not known the packages are said alone, and nothing false."""
    found = compared(store, path("x"), breaks="--size")
    assert found is not None
    assert growth(found) is None
    assert names(found.gone) == set(OLD) - set(NEW)


def test_two_systems_with_nothing_in_common_are_too_much(store: Path) -> None:
    """An answer is bounded on the host already."""
    many = "".join(f"{path(f'p-{number}')}\n" for number in range(MOST_PATHS + 1))
    assert compared(store, "", stdin=many) is None


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["gone=/nix/store/x"],
        [f"gone={path('a-1')}"],
        ["gone=../../etc/passwd", "compared=yes"],
        [f"new={path('a')}\x1b[2J", "compared=yes"],
        ["new=" + path("b" * 300), "compared=yes"],
        [*[f"new={path('a-1')}"] * (MOST_PATHS + 1), "compared=yes"],
    ],
    ids=["nothing", "no path", "no end", "elsewhere", "escape", "long", "many"],
)
def test_an_answer_of_another_form_is_none(lines: list[str]) -> None:
    """What a host sends may be anything."""
    assert parse_difference(lines) is None


def test_sizes_that_are_no_numbers_are_not_known() -> None:
    """Sizes that are no numbers, or that no store has, count as not known."""
    for size in ("-5", "1e9", "9" * 40, "", "x"):
        found = parse_difference([f"gone.size={size}", f"new.size={size}", "compared=yes"])
        assert found is not None
        assert growth(found) is None


def test_a_login_shells_words_are_not_read() -> None:
    """Lines that are none of ours are left out."""
    found = parse_difference(["Welcome!", "a=b", f"new={path('a-1')}", "new=", "compared=yes"])
    assert found == Difference((), (OutPath(path("a-1")),), frozenset(), None, None)
