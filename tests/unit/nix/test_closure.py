"""What a derivation needs and builds, read from its file; all of a system's, each once."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.nix.closure import Recipe, regular_files

STORE = "/nix/store/" + "n" * 32
REST = ',"x86_64-linux","/bin/sh",["-e","\\"x\\""],[("a","\\n[(")])'


def parse(text: str) -> Recipe:
    """Read a derivation with this text."""
    return Recipe.parse(f"{STORE}-x.drv", text.encode())


def test_what_it_needs_and_builds() -> None:
    """Several of each, and what follows does not count."""
    recipe = parse(
        f'Derive([("dev","{STORE}-x-dev","",""),("out","{STORE}-x","","")],'
        f'[("{STORE}-a.drv",["dev","out"]),("{STORE}-b.drv",["out"])],'
        f'["{STORE}-builder.sh","{STORE}-y.patch"]{REST}'
    )
    assert recipe.outputs == (f"{STORE}-x-dev", f"{STORE}-x")
    assert recipe.inputs == (f"{STORE}-a.drv", f"{STORE}-b.drv")
    assert recipe.sources == (f"{STORE}-builder.sh", f"{STORE}-y.patch")


@pytest.mark.parametrize(
    "output", [f'("out","{STORE}-x","r:sha256","00ff")', '("out","","r:sha256","")']
)
def test_what_is_fetched_or_not_known_yet_is_no_output(output: str) -> None:
    """The former is nobody's configuration, the latter has no path."""
    assert parse(f"Derive([{output}],[],[]{REST}") == Recipe(
        f"{STORE}-x.drv", f"Derive([{output}],[],[]{REST}".encode(), (), (), ()
    )


def test_a_form_that_is_not_known_loses_no_derivation() -> None:
    """What it mentions is followed all the same."""
    text = f'DrvWithVersion("xp-dyn-drv",[],[("{STORE}-a.drv",(["out"],[]))],[]{REST}'
    assert parse(text).inputs == (f"{STORE}-a.drv",)


def test_a_derivation_of_very_many_is_read() -> None:
    """A large system's has thousands of inputs."""
    inputs = ",".join(f'("{STORE}-{number}.drv",["out"])' for number in range(50_000))
    assert len(parse(f'Derive([("out","{STORE}-x","","")],[{inputs}],[]{REST}').inputs) == 50_000


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A link leads to a path of its own, or out of the store."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_text("")
    (tmp_path / "a/link").symlink_to("/etc/passwd")
    (tmp_path / "a/folder").symlink_to("/etc")
    (tmp_path / "link").symlink_to("a/b/file")
    assert list(regular_files(str(tmp_path / "a"))) == [tmp_path / "a/b/file"]
    assert list(regular_files(str(tmp_path / "a/b/file"))) == [tmp_path / "a/b/file"]
    assert list(regular_files(str(tmp_path / "link"))) == []
