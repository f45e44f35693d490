"""What counts besides the fleet's files: Nix, its settings, what stands in for inputs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.core.errors import StepError
from orchestrator.core.nix_settings import NixSettings
from orchestrator.core.values import replace
from orchestrator.nix.context import context
from orchestrator.nix.verbs import Flake


@dataclass(frozen=True)
class Machine:
    """A machine's places that count, all in a folder of the test's."""

    root: Path

    def write(self, name: str, text: str) -> Path:
        """Write a file below the folder."""
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def context(self, *overrides: tuple[str, str]) -> str:
        """What counts now, of the flake of any folder."""
        return context(Flake(".", str(self.root / "fleet"), overrides))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a ``nix`` and settings."""
    machine = Machine(tmp_path)
    machine.write("bin/nix", "#!/bin/sh\n").chmod(0o755)
    machine.write("etc/nix.conf", "max-jobs = 1\n!include more.conf\ninclude /nowhere/at-all\n")
    for name in list(os.environ):
        if name.startswith(("NIX_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NIX_CONF_DIR", str(tmp_path / "etc"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "xdg"))
    return machine


FILES = (
    *("etc/nix.conf", "etc/more.conf", "home/.config/nix/nix.conf", "xdg/nix/nix.conf"),
    "home/.local/share/nix/trusted-settings.json",
)


def test_nothing_changed(machine: Machine) -> None:
    """The same digest, and it is one."""
    assert machine.context() == machine.context()
    assert len(machine.context()) == 64


def test_the_fleets_folder_does_not_count(machine: Machine) -> None:
    """Two checkouts of one commit evaluate to the same."""
    assert context(Flake(".", "/a")) == context(Flake(".", "/b"))


@pytest.mark.parametrize("name", FILES)
def test_each_file_of_settings_counts(machine: Machine, name: str) -> None:
    """A file of Nix's settings counts when it appears, changes and disappears."""
    (machine.root / name).unlink(missing_ok=True)
    seen = [machine.context()]
    for text in ("a = 1", "a = 2"):
        machine.write(name, text)
        seen.append(machine.context())
    if name == "etc/more.conf":
        assert len(set(seen)) == 3
    (machine.root / name).unlink()
    assert machine.context() == seen[0]
    assert len(set(seen)) == 3


def test_a_file_that_cannot_be_read_is_another_than_one_that_is_not_there(machine: Machine) -> None:
    """A file of settings that cannot be read is not taken for one that is missing."""
    absent = machine.context()
    (machine.root / "home/.config/nix/nix.conf").mkdir(parents=True)
    assert machine.context() != absent


def test_files_that_include_one_another_come_to_an_end(machine: Machine) -> None:
    """Each is read once; what is behind counts."""
    machine.write("etc/more.conf", "include nix.conf\n include deep/er.conf")
    seen = [machine.context()]
    machine.write("etc/deep/er.conf", "a = 1")
    seen.append(machine.context())
    assert len(set(seen)) == 2


@pytest.mark.parametrize(
    "name",
    [
        "NIX_CONFIG",
        "NIX_REMOTE",
        "NIX_STORE_DIR",
        "NIX_STORE",
        "NIX_STATE_DIR",
        "NIX_CONF_DIR",
        "NIX_USER_CONF_FILES",
        "XDG_CONFIG_HOME",
        "XDG_CONFIG_DIRS",
    ],
)
def test_variables_count(machine: Machine, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Each variable that Nix takes from the environment changes the context."""
    before = machine.context()
    monkeypatch.setenv(name, "/somewhere/else")
    assert machine.context() != before


def test_files_that_a_variable_names(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that a variable names replace a person's own files of settings, which do not count."""
    file = machine.write("own.conf", "a = 1")
    monkeypatch.setenv("NIX_USER_CONF_FILES", f"{file}:{machine.root}/none.conf")
    before = machine.context()
    machine.write("home/.config/nix/nix.conf", "b = 1")
    assert machine.context() == before
    file.write_text("a = 2")
    assert machine.context() != before


def replace_nix(machine: Machine) -> None:
    """Install another version over it."""
    machine.write("bin/nix", "#!/bin/sh\n# another")


def rewrite_nix(machine: Machine) -> None:
    """Install a version of the same size and date over it."""
    times = (machine.root / "bin/nix").stat()
    new = machine.write("bin/new", "#!/bin/ls\n")
    new.chmod(0o755)
    os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))
    new.rename(machine.root / "bin/nix")


def link_nix(machine: Machine) -> None:
    """Have the same name lead to another program."""
    machine.write("other/nix", "#!/bin/sh\n").chmod(0o755)
    (machine.root / "bin/nix").unlink()
    (machine.root / "bin/nix").symlink_to("../other/nix")


def remove_nix(machine: Machine) -> None:
    """Take it away."""
    (machine.root / "bin/nix").unlink()


@pytest.mark.parametrize("change", [replace_nix, rewrite_nix, link_nix, remove_nix])
def test_another_nix_counts(machine: Machine, change: Callable[[Machine], None]) -> None:
    """Another Nix counts by its path and by what the file is."""
    before = machine.context()
    change(machine)
    assert machine.context() != before


def test_the_flakes_reference_counts(machine: Machine) -> None:
    """Another flake reference is another context, with the same settings."""
    assert context(Flake("github:a/b", "/")) != context(Flake(".", "/"))


# What stands in for an input.


def edit(folder: Path) -> None:
    """Change bytes."""
    (folder / "a/b").write_text("other, longer")


def undo(folder: Path) -> None:
    """Change bytes and put them and their time back: only the change of the file itself shows."""
    times = (folder / "a/b").stat()
    (folder / "a/b").write_text("anew")
    (folder / "a/b").write_text("text")
    os.utime(folder / "a/b", ns=(times.st_atime_ns, times.st_mtime_ns))


def add(folder: Path) -> None:
    """Add a file; Nix copies whatever is in a ``path:``."""
    (folder / "a/c").touch()


def remove(folder: Path) -> None:
    """Take a file away."""
    (folder / "a/b").unlink()


def empty(folder: Path) -> None:
    """Add a folder with nothing in it."""
    (folder / "a/d").mkdir()


def mode(folder: Path) -> None:
    """Set the bit to execute."""
    (folder / "a/b").chmod(0o755)


@pytest.mark.parametrize("change", [edit, undo, add, remove, empty, mode])
def test_any_change_of_a_folder_that_stands_in_counts(
    machine: Machine, change: Callable[[Path], None]
) -> None:
    """Any change in a folder that stands in for an input counts, at any depth."""
    machine.write("input/a/b", "text")
    pair = ("nixpkgs", f"path:{machine.root}/input")
    before = machine.context(pair)
    assert machine.context(pair) == before
    change(machine.root / "input")
    assert machine.context(pair) != before


def test_which_input_it_stands_in_for_counts(machine: Machine) -> None:
    """The name, the folder, and that there is one at all."""
    for name in ("one", "two"):
        machine.write(f"{name}/flake.nix", "")
    every = [
        (),
        (("a", f"path:{machine.root}/one"),),
        (("b", f"path:{machine.root}/one"),),
        (("a", f"path:{machine.root}/two"),),
    ]
    assert len({machine.context(*pairs) for pairs in every}) == len(every)


def test_a_path_in_the_store_is_not_walked_through(machine: Machine) -> None:
    """A path in the store is not walked through: it cannot change, and need not be here."""
    before = machine.context(("a", f"path:/nix/store/{'a' * 32}-source"))
    assert before != machine.context(("a", f"path:/nix/store/{'b' * 32}-source"))


@pytest.mark.parametrize(
    "url",
    [
        "github:NixOS/nixpkgs",
        "nixpkgs",
        "path:./relative",
        "path:relative",
        "path:/folder?rev=abc",
        "path:/folder#attribute",
        "git+file:///folder",
        "/folder",
        "https://example.org/a.tar.gz",
        "path:/nix/store/aaaa-source?dir=../..",
    ],
)
def test_what_may_change_unseen_is_refused(machine: Machine, url: str) -> None:
    """What may change unseen is refused as knowledge, so that every run evaluates."""
    with pytest.raises(StepError, match="may change unseen"):
        machine.context(("a", url))


REV = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    "url",
    [
        f"github:NixOS/nixpkgs/{REV}",
        f"github:NixOS/nixpkgs/{REV}?dir=lib",
        f"git+https://h/r?ref=main&rev={REV}",
        "https://h/a.tar.gz?narHash=sha256-AAAA",
    ],
)
def test_a_reference_that_names_one_content_may_stand_in(machine: Machine, url: str) -> None:
    """A revision or a hash in it: what is behind it is always the same."""
    assert machine.context(("nixpkgs", url)) != machine.context()


@pytest.mark.parametrize(
    "settings",
    [
        NixSettings(impure=True),
        NixSettings(accept_flake_config=True),
        NixSettings(options=(("cores", "2"),)),
        NixSettings(override_inputs=(("nixpkgs", f"github:NixOS/nixpkgs/{REV}"),)),
    ],
)
def test_what_the_inventory_says_to_nix_counts(machine: Machine, settings: NixSettings) -> None:
    """What was learned with other settings is not recalled; without any, nothing is forgotten."""
    flake = Flake(".", "/f")
    assert context(replace(flake, settings=settings)) != context(flake)
    assert context(replace(flake, settings=NixSettings())) == context(flake) == machine.context()


@pytest.mark.parametrize(
    "text",
    [
        "{ nixConfig.pure-eval = false; outputs = _: { }; }",
        '{ nixConfig = { "pure-eval" = false; }; outputs = _: { }; }',
        r'{ nixConfig."pure\-ev\al" = false; outputs = _: { }; }',
    ],
)
def test_a_flake_that_may_set_whether_it_is_evaluated_purely(machine: Machine, text: str) -> None:
    """However it spells that: what it saw of this machine is never taken for what it would see."""
    machine.write("flake.nix", "{ outputs = _: { }; }")
    machine.context()
    machine.write("flake.nix", text)
    with pytest.raises(StepError, match=r"^flake\.nix sets pure-eval, so it may read"):
        machine.context()


@pytest.mark.parametrize("url", ["path:/my%20inputs", "path:/nix/store/%2e%2e/%2e%2e/tmp/inputs"])
def test_a_folder_that_is_spelled_as_in_a_url_may_change_unseen(machine: Machine, url: str) -> None:
    """Nix decodes it: what is looked at here would be another folder, or one that never changes."""
    with pytest.raises(StepError, match="may change unseen"):
        machine.context(("words", url))
