"""What a system consists of: read by the script that hosts are given, from folders as NixOS's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from orchestrator.core.contents import ActiveUnit, Contents
from orchestrator.core.errors import StepError
from orchestrator.deploy.plan.decide import PARTS
from orchestrator.host.contents import HERE, MOST, parse_contents, parse_host
from orchestrator.host.scripts import script


def tree(folder: Path, files: dict[str, str], links: dict[str, str]) -> Path:
    """Lay out a toplevel."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, target in links.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    return folder


def read(system: Path) -> Contents:
    """Read it with the script."""
    argv = script(HERE, str(system), *PARTS)
    done = subprocess.run(argv, capture_output=True, check=True, timeout=30)
    return parse_contents(done.stdout.decode(errors="replace").split("\n"), PARTS)


UNIT = "etc/systemd/system"


def test_files_are_told_apart_by_what_is_in_them(tmp_path: Path) -> None:
    """A link into the tree counts as what it leads to; one to a folder as the link that it is."""
    files = {"etc/hosts": "a\n", "etc/a b/ä": "b\n", f"{UNIT}/x.service": "[Unit]\n"}
    links = {"etc/copy": "hosts", "etc/zone": "/nix/store/none", "etc/folder": "a b"}
    one = read(tree(tmp_path / "one", files, links))
    same = read(tree(tmp_path / "same", files, links))
    other = read(tree(tmp_path / "other", {**files, "etc/hosts": "c\n"}, links))
    assert one == same
    assert one.etc.keys() == {"hosts", "a b/ä", "copy", "zone", "folder"}
    assert one.etc["zone"] == "link /nix/store/none"
    assert {name for name in one.etc if one.etc[name] != other.etc[name]} == {"hosts", "copy"}


def test_a_copy_is_another_one_where_its_mode_or_owner_is(tmp_path: Path) -> None:
    """What NixOS keeps beside a file that it copies is no file of /etc, and a part of that one."""
    files = {"etc/a": "x", "etc/a.mode": "0440", "etc/a.uid": "0", "etc/a.gid": "0"}
    files |= {"etc/b.uid": "no copy's", "etc/c.mode": "nor this"}
    one = read(tree(tmp_path / "one", files, {}))
    other = read(tree(tmp_path / "other", {**files, "etc/a.mode": "0400"}, {}))
    assert one.etc.keys() == {"a", "b.uid", "c.mode"}
    assert one.etc["a"] != other.etc["a"]


def test_what_is_no_file_of_the_system_is_not_read(tmp_path: Path) -> None:
    """A device, a pipe, or a file elsewhere on the machine is told by its link, and never read."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "secret").write_text("secret")
    links = {
        "etc/zero": "/dev/zero",
        "etc/pipe": "../../pipe",
        "etc/secret": str(tmp_path / "secret"),
        "etc/loop": "loop",
    }
    found = read(tree(tmp_path / "system", {}, links))
    assert found.etc == {name.removeprefix("etc/"): f"link {to}" for name, to in links.items()}


def test_a_name_with_a_newline_is_left_out(tmp_path: Path) -> None:
    """A name that does not fit into a line cannot put words into the answer."""
    files = {"etc/a\nend=": "x", "etc/good": "x", f"{UNIT}/b\nspec={{}}.service": "[Unit]\n"}
    found = read(tree(tmp_path / "system", files, {"etc/link": "x\nspec=[]"}))
    assert found.etc.keys() == {"good"}
    assert found.users is None
    assert found.units.links == {}


def test_units_are_read_with_drop_ins_and_links(tmp_path: Path) -> None:
    """A unit's lines, those of its drop-ins, what targets want, and what is masked."""
    files = {
        f"{UNIT}/a.service": "[Service]\nExecStart=/bin/a\tb\n\nUser=x\n",
        f"{UNIT}/a.service.d/overrides.conf": "[Service]\nUser=y",
        f"{UNIT}/empty.service": "",
        f"{UNIT}/dev-disk-by\\x2dlabel-a.swap": "[Swap]\n",
        f"{UNIT}/-.slice": "[Slice]\n",
    }
    links = {
        f"{UNIT}/multi-user.target.wants/a.service": "../a.service",
        f"{UNIT}/masked.service": "/dev/null",
    }
    units = read(tree(tmp_path / "system", files, links)).units
    assert units.texts["a.service"] == ("[Service]", "ExecStart=/bin/a\tb", "", "User=x")
    assert units.texts["a.service.d/overrides.conf"] == ("[Service]", "User=y")
    assert units.texts["dev-disk-by\\x2dlabel-a.swap"] == ("[Swap]",)
    assert units.texts["-.slice"] == ("[Slice]",)
    assert units.links["masked.service"] == "/dev/null"
    assert units.links["multi-user.target.wants/a.service"] == "../a.service"
    assert units.links["empty.service"] == ""
    assert "masked.service" not in units.texts


def test_parts_and_components_are_read(tmp_path: Path) -> None:
    """What counts from a boot on, and what is not to change live."""
    files = {
        "kernel-params": "quiet\n",
        "init-interface-version": "systemd 2\n",
        "switch-inhibitors": '{"dbus-implementation": "broker"}',
        "etc/fstab": "/dev/a / ext4 defaults\n",
        "bzImage": "",
    }
    system = tree(tmp_path / "system", files, {"kernel": "bzImage"})
    found = read(system)
    assert found.parts == {"kernel": str(system / "bzImage"), "kernel-params": "quiet"}
    assert found.components == {
        "dbus-implementation": "broker",
        "init-interface-version": "systemd 2",
    }
    assert found.fstab == ("/dev/a / ext4 defaults",)


def test_accounts_are_kept_as_digests() -> None:
    """Nothing that a password could be found from is held; the order of members says nothing."""
    spec = (
        '{"mutableUsers":false,"users":[{"name":"a","hashedPassword":"$6$x"}],'
        '"groups":[{"name":"g","members":["b","a"]}]}'
    )
    lines = [f"spec={spec}", "end="]
    found = parse_contents(lines, PARTS)
    assert found.users is not None
    assert "$6$" not in repr(found)
    assert found.users["a"].keys() == {"hashedPassword"}
    turned = parse_contents([lines[0].replace('"b","a"', '"a","b"'), "end="], PARTS)
    assert turned.groups == found.groups
    assert turned == found


@pytest.mark.parametrize(
    "spec",
    [
        *(
            "",
            "[",
            "[]",
            "{}",
            "null",
            '{"users": 1, "groups": []}',
            '{"users": [1], "groups": []}',
        ),
        *('{"users": [{}], "groups": []}', '{"users": null, "groups": []}', "[" * 100_000),
    ],
)
def test_a_list_of_accounts_that_is_none_is_not_known(spec: str) -> None:
    """What cannot be read says nothing of accounts, and breaks nothing."""
    found = parse_contents([f"spec={spec}", "end="], PARTS)
    assert (found.users, found.groups) == (None, None)


def test_what_is_more_than_any_system_has_is_refused() -> None:
    """A host that floods the answer is told to have done so, in place of a plan of it."""
    with pytest.raises(StepError, match="more files"):
        parse_contents([f"link=x\t{number}" for number in range(MOST + 1)], PARTS)


def test_a_host_says_what_runs_what_was_booted_and_what_is_active() -> None:
    """Units that are inactive or follow another are none that run; the other system comes last."""
    said = [
        *("link=x\tone", "state=Id=a.service", "state=Following=", "state=ActiveState=active"),
        *("state=FragmentPath=/etc/systemd/system/a.service", "state="),
        *("state=Id=b.service", "state=ActiveState=inactive", "state="),
        *("state=Id=c.device", "state=Following=d.device", "state=ActiveState=active", "state="),
        *("state=Id=e.service", "state=ActiveState=failed"),
        *("booted.kernel=/old", "target.kernel=/new", "end=", "other=", "link=y\ttwo", "end="),
    ]
    found = parse_host(said, PARTS)
    assert found.active == {
        "a.service": ActiveUnit("active", "/etc/systemd/system/a.service"),
        "e.service": ActiveUnit("failed", ""),
    }
    assert (found.booted, found.running.parts) == ({"kernel": "/old"}, {"kernel": "/new"})
    assert found.other is not None
    assert (found.running.etc.keys(), found.other.etc.keys()) == ({"one"}, {"two"})
    silent = parse_host(["end="], PARTS)
    assert (silent.active, silent.other) == (None, None)
