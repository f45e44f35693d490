"""How much of hosts' configurations is their own, from made-up evaluations of a real inventory."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.changes.plan import Asked, Read
from orchestrator.core.errors import StepError
from orchestrator.core.host import Connect, Fleet, Host
from orchestrator.fleet import shared
from orchestrator.fleet.draw_shared import draw_shared
from orchestrator.fleet.shared import Modules, Share, Shared, compare, entries, modules
from orchestrator.host.setup import Setup
from orchestrator.inventory import load
from orchestrator.nix.flake import Flake
from orchestrator.render.output import Output
from orchestrator.ssh.settings import SshSettings

INVENTORY = """
templates: {laptop: {tags: [small]}}
hosts:
  a: {template: laptop, address: 192.0.2.1, hardware: {cpu: intel, gpu: intel}}
  b: {template: laptop, address: 192.0.2.2, hardware: {cpu: intel, gpu: nvidia}}
  c: {address: 192.0.2.3, hardware: {cpu: amd}}
"""
ROOT = "/nix/store/x-source/"
LINES = {"base.nix": "{\n  x = 1;\n\n}\n", "a.nix": "{ }\n", "b.nix": "{\n}\n"}
SAID = {
    name: {
        "files": [f"{ROOT}base.nix", f"{ROOT}{name}.nix"],
        "definitions": [
            {"file": f"{ROOT}base.nix", "names": ["x"], "value": {"kind": "plain", "value": 1}},
            {
                "file": f"{ROOT}{name}.nix",
                "names": ["boot", "a.b"],
                "value": {"kind": "plain", "value": "y"},
            },
        ],
    }
    for name in ("a", "b")
}


@pytest.fixture
def found(tmp_path: Path) -> Shared:
    """Two hosts that evaluate, of one template, and one that does not."""
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/hosts.yaml").write_text(INVENTORY)
    for name, text in LINES.items():
        (tmp_path / name).write_text(text)
    inventory = load.load(tmp_path)
    evaluated: dict[str, Modules | StepError] = {
        name: modules(ROOT, said) for name, said in SAID.items()
    }
    read = {name: one.files for name, one in evaluated.items() if isinstance(one, Modules)}
    hosts = tuple(inventory.fleet.hosts.values())
    return compare(inventory, hosts, evaluated | {"c": StepError("no such thing")}, read, tmp_path)


def test_what_no_other_host_has_is_a_host_s_own(found: Shared) -> None:
    """Lines without empty ones, and definitions, by the files; settings by the host's section."""
    a, b, c = found.hosts
    assert a.lines is not None
    assert a.definitions is not None
    assert (a.lines.own, a.lines.all) == (1, 4)
    assert a.lines.shared == 0.75
    assert b.lines is not None
    assert (b.lines.own, b.lines.all) == (2, 5)
    assert (a.definitions.own, a.definitions.all) == (1, 2)
    assert a.settings.own < a.settings.all
    assert (c.lines, c.definitions, c.problem) == (None, None, "no such thing")
    assert (found.whole("lines").own, found.whole("lines").all) == (3, 9)


def test_what_hosts_say_alike_is_named_with_the_template_it_belongs_to(found: Shared) -> None:
    """Equal values in hosts' own sections and files; who a machine is counts for nothing."""
    said = {(one.kind, one.key): one for one in found.repeated}
    assert said.keys() == {("inventory", "hardware.cpu"), ("option", 'boot."a.b"')}
    for one in said.values():
        assert one.hosts == ("a", "b")
        assert one.templates == ("laptop",)


def test_a_class_is_told_once_and_repeats_nothing(tmp_path: Path) -> None:
    """What its entry says stands in one place, and its files are its own, however many it is."""
    (tmp_path / "inventory").mkdir()
    text = "templates: {t: {}}\nhosts:\n  k: {count: 9, template: t, roles: [x]}\n  web: {}\n"
    (tmp_path / "inventory/hosts.yaml").write_text(text)
    (tmp_path / "k.nix").write_text("{ }\n")
    inventory = load.load(tmp_path)
    hosts = entries(inventory.fleet.hosts.values())
    assert [host.name for host in hosts] == ["k", "web"]
    files = {name: Modules(frozenset({f"{name}.nix"}), ()) for name in ("k", "web")}
    read = {name: one.files for name, one in files.items()}
    told = compare(inventory, hosts, files, read, tmp_path)
    assert told.repeated == ()
    assert told.hosts[0].lines == Share(1, 1)


def drawn(found: Shared, *, as_json: bool = False) -> str:
    """What a person or a script sees."""
    stream = io.StringIO()
    output = Output(stream)
    draw_shared(found, output, output, as_json=as_json)
    return stream.getvalue()


def test_shares_are_drawn_with_what_could_stand_once(found: Shared) -> None:
    """A row for each host and one for all; what is not known is a question mark."""
    text = drawn(found)
    assert "1 of 4     75%" in text
    assert "?" in text
    assert "c: no such thing" in text
    assert '  boot."a.b" = "y"  (a, b) → template laptop\n' in text
    assert '  hardware.cpu = "intel"  (a, b) → template laptop\n' in text


def test_a_script_is_told_numbers(found: Shared) -> None:
    """Shares from 0 to 1, and every value that repeats."""
    said = json.loads(drawn(found, as_json=True))
    assert said["hosts"]["a"]["lines"] == {"own": 1, "all": 4, "shared": 0.75}
    assert said["hosts"]["c"]["lines"] is None
    assert said["all"]["definitions"] == {"own": 2, "all": 4, "shared": 0.5}
    assert {one["key"]: one["value"] for one in said["repeated"]} == {
        "hardware.cpu": "intel",
        'boot."a.b"': "y",
    }


def test_a_file_is_the_same_one_whether_it_was_learned_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flake in a folder below: what was learned is told from the root of its repository."""
    (tmp_path / ".git").mkdir()
    reads = (Read(Asked.CONTENT, "nix/a.nix"), Read(Asked.LIST, "nix"))
    learned = SimpleNamespace(fingerprint=SimpleNamespace(reads=reads))

    class Learned:
        """One host of two is learned."""

        def __init__(self, *_: object) -> None:
            pass

        async def of(self, host: Host) -> object:
            return learned if host.name == "a" else SimpleNamespace(fingerprint=None)

    monkeypatch.setattr(shared, "KnownSystems", Learned)
    hosts = {name: Host(name, name, Connect("192.0.2.1")) for name in "ab"}
    flake = str(tmp_path / "nix")
    setup = Setup(Fleet("f", "/f", flake, hosts), Flake.at(flake, "/f"), SshSettings(), tmp_path)
    found = {"a": StepError("no such thing"), "b": Modules(frozenset({"a.nix"}), ())}
    read = asyncio.run(shared._read(setup, tuple(hosts.values()), found))
    assert read["a"] == read["b"] == {str(tmp_path.resolve() / "nix/a.nix")}
