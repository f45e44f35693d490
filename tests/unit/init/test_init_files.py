"""The files that are written: what they say, where they go, and that nothing else is touched."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from orchestrator.cli.main import orchestrator
from orchestrator.core.errors import RefusedError, StepError, UsageError
from orchestrator.init import places, wrapper, write
from orchestrator.init.model import NewHost, Said
from orchestrator.init.places import Place, find_place, flake_folders, shape_of
from orchestrator.init.wrapper import OfFile, OfFlake, OfFolders, OfHive
from orchestrator.inventory.load import load
from orchestrator.inventory.sections import others_tool
from orchestrator.inventory.tree import InventoryError

ANSIBLE = "all:\n  hosts:\n    web1:\n      ansible_host: 10.0.0.5\n"


def host(name: str, attr: str = "", **values: str | int | tuple[str, ...]) -> NewHost:
    """A host whose values somebody said."""
    said = {"address": name, **values}
    return NewHost(name, attr or name, {key: Said(it, f"by {key}") for key, it in said.items()})


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(one.name for one in folder.iterdir())


def place_of(root: Path) -> Place:
    """A fleet's folder that is also ours."""
    return Place(root, root, is_known=False)


def test_each_value_has_a_comment_that_says_where_it_is_from(tmp_path: Path) -> None:
    """What is guessed says so; what is read back is what was found."""
    (tmp_path / "nix").mkdir()
    (tmp_path / "nix/flake.nix").touch()
    guess = Said("server", "its name", guessed=True)
    one = host("web1", "Web_1", address="10.0.0.5", user="root", port=2222, tags=("a", "yes"))
    files = write.files_of(
        place_of(tmp_path),
        "nix",
        [NewHost("web1", "Web_1", {**one.values, "template": guess})],
        None,
    )
    text = files.texts["inventory/hosts.yaml"]
    assert "    address: 10.0.0.5 # by address\n" in text
    assert "    template: server # guessed: its name\n" in text
    assert yaml.safe_load(text)["hosts"]["web1"] == {
        "address": "10.0.0.5",
        "attr": "Web_1",
        "template": "server",
        "tags": ["a", "yes"],
        "connect": {"user": "root", "port": 2222},
    }


@pytest.mark.parametrize(
    "text", ["x\nhosts: {evil: }", "\u2028a: b", "x\r\ny", "#", "\x1b]0;x\x07"]
)
def test_an_origin_never_ends_its_comment(tmp_path: Path, text: str) -> None:
    """Who says something is data of others: in a comment it stays on its line."""
    one = NewHost("web1", "web1", {"address": Said("web1", text)})
    files = write.files_of(place_of(tmp_path), None, [one], None)
    inventory = load(tmp_path, {"inventory/hosts.yaml": files.texts["inventory/hosts.yaml"]})
    assert list(inventory.fleet.hosts) == ["web1"]
    assert "\x1b" not in files.texts["inventory/hosts.yaml"]


def test_thousands_of_hosts_are_split_over_files(tmp_path: Path) -> None:
    """No file passes the bound of one; together they are all hosts, and AGENTS.md stays a page."""
    hosts = [host(f"node-{n}", address=f"node-{n}.{'x' * 200}.example") for n in range(4000)]
    files = write.files_of(place_of(tmp_path), None, hosts, None)
    write.write(place_of(tmp_path), files)
    assert names(tmp_path / "inventory") == ["hosts-2.yaml", "hosts.yaml"]
    assert load(tmp_path).fleet.hosts.keys() == {one.name for one in hosts}
    agents = (tmp_path / "AGENTS.md").read_text()
    assert len(agents.splitlines()) < 100
    assert "3960 more" in agents


def test_what_is_there_is_never_written(tmp_path: Path) -> None:
    """Hosts go into a new file; another AGENTS.md stays, even a link that leads nowhere."""
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/hosts.yaml").write_text("hosts: {old: }\n")
    (tmp_path / "AGENTS.md").symlink_to("nowhere")
    files = write.files_of(place_of(tmp_path), None, [host("web1")], None)
    write.write(place_of(tmp_path), files)
    assert files.kept == ("AGENTS.md",)
    assert (tmp_path / "inventory/hosts.yaml").read_text() == "hosts: {old: }\n"
    assert load(tmp_path).fleet.hosts.keys() == {"old", "web1"}
    assert not (tmp_path / "nowhere").exists()


def test_a_flake_in_the_inventorys_folder_is_not_replaced(tmp_path: Path) -> None:
    """Where a flake would have to be written and one is there, nothing is."""
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/flake.nix").write_text("{ }")
    with pytest.raises(RefusedError, match="is there already"):
        write.files_of(place_of(tmp_path), "inventory", [host("web1")], "{ outputs = _: { }; }")


def test_all_is_written_or_nothing(tmp_path: Path) -> None:
    """A file that comes there meanwhile stays, and what was written before it is gone again."""
    files = write.files_of(place_of(tmp_path), None, [host("web1")], None)
    (tmp_path / "AGENTS.md").write_text("theirs")
    with pytest.raises(RefusedError, match="came there meanwhile"):
        write.write(place_of(tmp_path), files)
    assert names(tmp_path) == ["AGENTS.md"]
    assert (tmp_path / "AGENTS.md").read_text() == "theirs"


def test_a_disk_that_is_full_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of a file is removed as well, and the error names the file and the reason."""
    files = write.files_of(place_of(tmp_path), None, [host("web1")], None)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StepError, match=r"inventory/hosts\.yaml cannot be written: No space"):
        write.write(place_of(tmp_path), files)
    assert names(tmp_path) == []


@pytest.mark.parametrize("is_absolute", [True, False])
def test_nothing_is_written_through_a_link_out_of_the_fleet(
    tmp_path: Path, is_absolute: bool
) -> None:
    """An inventory that is a link to elsewhere is an error, and elsewhere nothing is made."""
    root, outside = tmp_path / "fleet", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "inventory").symlink_to(outside if is_absolute else "../outside")
    files = write.files_of(place_of(root), None, [host("web1")], None)
    with pytest.raises(StepError, match="cannot be written: it leads out of the folder"):
        write.write(place_of(root), files)
    assert list(outside.iterdir()) == []
    assert names(root) == ["inventory"]


def test_ansibles_inventory_is_recognised_and_ours_goes_beside(tmp_path: Path) -> None:
    """Beside another tool's YAML ours has a folder of its own, and is found there again."""
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/hosts.yml").write_text(ANSIBLE)
    (tmp_path / "flake.nix").touch()
    place = find_place(tmp_path, None, None)
    assert place.others == "inventory/hosts.yml is an inventory of Ansible's"
    assert place.root == tmp_path / "orchestrator"
    assert not place.is_known
    files = write.files_of(place, place.relative(tmp_path), [host("web1")], None)
    write.write(place, files)
    assert load(place.root).fleet.flake == str(tmp_path)
    assert find_place(tmp_path, None, None).is_known
    assert "plan --fleet orchestrator" in (tmp_path / "AGENTS.md").read_text()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (ANSIBLE, "an inventory of Ansible's"),
        ("web:\n  children: {db: }\n", "an inventory of Ansible's"),
        ("plugin: amazon.aws.aws_ec2\n", "an inventory of Ansible's"),
        ("- hosts: all\n  tasks: []\n", "a playbook of Ansible's"),
    ],
)
def test_reading_anothers_file_says_whose_it_is(tmp_path: Path, text: str, what: str) -> None:
    """One mistake that names the tool and the way out, and no list of unknown keys."""
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/hosts.yml").write_text(text)
    with pytest.raises(InventoryError) as caught:
        load(tmp_path)
    (mistake,) = caught.value.mistakes
    assert (mistake.found, "orchestrator init" in mistake.expected) == (what, True)


def test_an_inventory_of_ours_is_nobody_elses() -> None:
    """Our own sections, and a mistake in one of them, are not taken for another tool's."""
    assert others_tool("hosts: {web1: }\nrollout: {stages: {a: {hosts: web1}}}\n") == ""
    assert others_tool("hots: {web1: {address: x}}\n") == ""
    assert others_tool("- a\n") == others_tool("") == others_tool("{") == ""


def test_ansibles_other_files_are_no_hindrance(tmp_path: Path) -> None:
    """An INI inventory and folders of variables may lie beside ours."""
    (tmp_path / "inventory/group_vars").mkdir(parents=True)
    (tmp_path / "inventory/hosts.ini").write_text("[web]\nweb1\n")
    (tmp_path / "inventory/group_vars/all.yml").write_text("x: 1\n")
    place = find_place(tmp_path, None, None)
    assert (place.root, place.is_known, place.others) == (tmp_path, False, "")


def test_the_fleet_is_the_nearest_above(tmp_path: Path) -> None:
    """From a folder within it, by --fleet, by the environment; what is no folder is an error."""
    (tmp_path / "hosts/web1").mkdir(parents=True)
    (tmp_path / "flake.nix").touch()
    assert find_place(tmp_path / "hosts/web1", None, None).own == tmp_path
    assert find_place(tmp_path, tmp_path / "hosts", None).own == tmp_path / "hosts"
    assert find_place(Path("/"), None, str(tmp_path)).own == tmp_path
    with pytest.raises(UsageError, match=r"--fleet: .* is no folder"):
        find_place(tmp_path, tmp_path / "none", None)


def test_flakes_are_looked_for_two_levels_deep(tmp_path: Path) -> None:
    """The fleet's own counts alone; else those below, without templates, tests and hidden ones."""
    for name in ("nix", "infra/prod", "a/b/c", "templates/x", ".direnv", "tests"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "flake.nix").touch()
    assert flake_folders(tmp_path) == (tmp_path / "infra/prod", tmp_path / "nix")
    (tmp_path / "flake.nix").touch()
    assert flake_folders(tmp_path) == (tmp_path,)


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of files by their names and texts."""

    def make(**files: str) -> Path:
        for name, text in files.items():
            file = tmp_path / name.replace("__", "/").replace("_nix", ".nix").replace(
                "_json", ".json"
            )
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path

    return make


def test_a_folder_without_a_flake_is_told_by_its_files(tree: Callable[..., Path]) -> None:
    """A hive first, then systems in a file, then a folder for each host with its pins."""
    pins = '{"pins": {"nixos-25.05": {}, "agenix": {}}, "version": 5}'
    root = tree(npins__default_nix="", npins__sources_json=pins, hosts__a__configuration_nix="")
    assert shape_of(root) == OfFolders("npins", "nixos-25.05", "hosts")
    tree(default_nix="# nodes = no\n{ nodes = { }; }")
    assert shape_of(root) == OfFile("default.nix", "nodes")
    tree(hive_nix="{ }")
    assert shape_of(root) == OfHive("hive.nix")
    assert shape_of(root, folders=True) == OfFolders("npins", "nixos-25.05", "hosts")


def test_a_hive_on_a_channel_is_told_to_pin_it(tree: Callable[..., Path]) -> None:
    """No flake reads a channel, so no flake is written; a comment about one is no use of it."""
    root = tree(hive_nix="{\n  # <nixpkgs> of old\n  meta.nixpkgs = import <nixpkgs> { };\n}")
    with pytest.raises(UsageError, match="looks nixpkgs up in the channels") as caught:
        shape_of(root)
    assert "npins init" in str(caught.value.hint)
    tree(hive_nix="{\n  # <nixpkgs> of old\n}")
    assert shape_of(root) == OfHive("hive.nix")


def test_a_single_configuration_has_the_name_that_it_says(tree: Callable[..., Path]) -> None:
    """One machine's configuration.nix with niv; without pins the flake to write is told."""
    root = tree(configuration_nix='{\n  networking.hostName = "ada";\n}\n')
    with pytest.raises(UsageError, match="nothing in it pins nixpkgs") as caught:
        shape_of(root)
    assert "nixosConfigurations.ada = " in str(caught.value.hint)
    tree(nix__sources_nix="", nix__sources_json='{"nixpkgs": {}}')
    assert shape_of(root) == OfFolders("nix/sources.nix", "nixpkgs", "", "ada")


def test_a_folder_of_nothing_says_what_was_looked_for(tmp_path: Path) -> None:
    """The error names each file that would have done."""
    with pytest.raises(UsageError, match=r"no flake\.nix, no hive\.nix, no hosts/NAME/"):
        shape_of(tmp_path)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (OfFlake("", "colmenaHive"), "inherit (fleet.colmenaHive) nodes;"),
        (OfFlake("my nix/${x}", "colmena"), 'dir = "my nix/\\${x}";'),
        (OfHive("hive.nix"), "scope.import ../hive.nix"),
        (OfFile("odd name.nix", "nodes"), 'scope.import (../. + "/odd name.nix")'),
        (OfFolders("npins", 'a"b', "hosts"), 'sources."a\\"b"'),
        (OfFolders("npins", "nixpkgs", "", "ada"), '"ada" = system ../configuration.nix;'),
    ],
)
def test_the_flake_of_ours_names_theirs(shape: wrapper.Shape, expected: str) -> None:
    """Paths and names of theirs are Nix's strings where they have odd characters."""
    text = wrapper.text(shape, "inventory", "aarch64-linux")
    assert expected in text
    assert "@" not in text.replace("}@", "")


@pytest.mark.parametrize("ours", ["", "orchestrator/"])
def test_each_command_of_the_page_for_assistants_can_be_typed(ours: str) -> None:
    """The commands and options that AGENTS.md names are the program's, with the fleet's name."""
    page = write.agents([("web1", "10.0.0.5", "server", ("a",))], ours, is_wrapped=True)
    commands = re.findall(r"`orchestrator ([^`]+)`", page)
    assert len(commands) > 8
    assert "| web1 | 10.0.0.5 | server | a |" in page
    for command in commands:
        words = [word for word in command.split() if word not in ("HOST", "[HOST]")]
        done = CliRunner().invoke(orchestrator, [*words, "--help"])
        assert (command, done.exit_code) == (command, 0), done.output
        group = words[0] in ("inventory", "host") or words == ["--help"]
        assert group or ("--fleet orchestrator" in command) is bool(ours)
    options = set(re.findall(r"`(--[a-z-]+)`", page)) - {"--json"}
    shown = CliRunner().invoke(orchestrator, ["deploy", "--help"]).output
    assert len(options) == 4
    assert all(option in shown for option in options)


def test_a_fleet_in_no_repository_has_none(tmp_path: Path) -> None:
    """Whether git tracks what Nix would read is known from the nearest .git above."""
    assert places.Place(tmp_path, tmp_path, is_known=False).repository is None
    (tmp_path / ".git").mkdir()
    assert places.Place(tmp_path, tmp_path, is_known=False).repository == tmp_path.resolve()
