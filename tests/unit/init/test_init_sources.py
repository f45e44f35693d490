"""What Nix's answers and SSH's files say of hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.init import sources
from orchestrator.init.model import Source
from orchestrator.ssh.config import aliases
from orchestrator.ssh.known_hosts import read_again

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJJ4lXw3kyDAvMPaJ0Zb1bCBQmtDPqMI4l2zJ4l3Vw2C"


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with an empty ``.ssh``."""
    folder = tmp_path / ".ssh"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    read_again()
    return folder


def values(source: Source, name: str) -> dict[str, object]:
    """What a source says of a host, without who says it."""
    return {key: said.value for key, said in source.hosts[name].values.items()}


def node(**said: Any) -> dict[str, Any]:
    """A node as ``read.nix`` gives one."""
    nothing = {"host": None, "user": None, "port": None, "tags": [], "onTarget": False}
    more = {
        "options": [],
        "profile": None,
        "local": False,
        "anybody": False,
        "keys": False,
        "unknown": [],
    }
    return {**nothing, **more, **said}


def test_deploy_rs_says_where_how_and_by_whom() -> None:
    """Each value names the attribute that it is from; options that are not ours are named."""
    found = sources.deploy_nodes(
        {"a": node(host="h", user="u", options=["-p", "22", "-A"], onTarget=True)}
    )
    assert values(found, "a") == {"address": "h", "port": 22, "user": "u", "build": "target"}
    assert found.hosts["a"].values["user"].origin == "deploy.nodes.a.sshUser"
    assert found.hosts["a"].notices == ("a: sshOpts that belong into ~/.ssh/config: -A",)


def test_a_profile_that_is_not_the_systems_is_no_machine() -> None:
    """A node whose system is put beside the machine's own; the machine's own path is one."""
    path = "/nix/var/nix/profiles/"
    found = sources.deploy_nodes(
        {
            "a": node(host="h", profile=f"{path}per-container/a"),
            "b": node(host="h", profile=f"{path}system"),
        }
    )
    assert found.hosts["a"].no_machine.startswith(f"deploy.nodes.a puts it on h as {path}per-")
    assert found.hosts["b"].no_machine == ""


def test_colmena_deploys_as_root_unless_it_says_who() -> None:
    """Root is Colmena's default, and is not assumed where the user is only not known."""
    found = sources.colmena_nodes(
        {
            "a": node(host="h"),
            "b": node(host="h", user="ada", port="99999999999"),
            "c": node(unknown=["targetUser"]),
            "d": node(local=True, keys=True),
            "e": node(anybody=True),
        }
    )
    assert values(found, "a") == {"address": "h", "user": "root"}
    assert values(found, "b") == {"address": "h", "user": "ada", "port": 0}
    assert values(found, "c") == {}
    assert [notice.partition(": ")[2][:24] for notice in found.hosts["c"].notices] == [
        "deployment.targetUser is"
    ]
    assert values(found, "d") == values(found, "e") == {}
    assert len(found.hosts["d"].notices) == 2


def test_clans_target_has_user_and_port_in_it() -> None:
    """Tags that every machine has are none."""
    found = sources.clan_machines(
        {"a": {"host": "root@a.example:22", "tags": ["all", "nixos", "rack"]}}
    )
    expected = {"address": "a.example", "user": "root", "port": 22, "tags": ("rack",)}
    assert values(found, "a") == expected


def test_names_in_ssh_config_are_found_whatever_else_is_in_it(ssh: Path) -> None:
    """Patterns are no names; a Match, an odd line and a missing file hide nobody."""
    (ssh / "more").write_text("Host db\n  HostName 10.0.0.6\n")
    (ssh / "config").write_text(
        'Include more missing*\nMatch exec "true"\n\x01\xff\nHost web1 "web 2" *.lan !no  # why\n'
        "  HostName 10.0.0.5\nhost=Eq\n",
        encoding="latin-1",
    )
    found = aliases([str(ssh / "config"), str(ssh / "none")])
    assert found.keys() == {"db", "web1", "web", "2", "Eq"}
    said = sources.ssh_config(("Web1", "db", "other"))
    assert said.hosts.keys() == {"Web1", "db"}
    assert said.hosts["Web1"].values["address"].value == "web1"
    assert said.hosts["db"].values["address"].origin == "~/.ssh/more: Host db"


def test_known_hosts_tells_where_a_name_answers(ssh: Path) -> None:
    """The name itself, a single name with a domain, a port; of two with a domain neither."""
    lines = ["web1", "db.example.org", "[nas]:2222", "x.a,x.b", "*.lan"]
    (ssh / "known_hosts").write_text("".join(f"{line} {KEY}\n" for line in lines))
    found = sources.known_hosts(("web1", "db", "NAS", "x", "y"))
    assert values(found, "web1") == {"address": "web1"}
    assert values(found, "db") == {"address": "db.example.org"}
    assert values(found, "NAS") == {"address": "nas", "port": 2222}
    assert found.hosts.keys() == {"web1", "db", "NAS"}


def test_hashed_names_are_found_as_well(ssh: Path) -> None:
    """What ssh-keygen -H hid is compared by its hash; in a pattern nobody is found."""
    hashed = "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg="
    (ssh / "known_hosts").write_text(f"{hashed} {KEY}\n@cert-authority * {KEY}\n")
    assert values(sources.known_hosts(("192.168.1.61", "web1")), "192.168.1.61") == {
        "address": "192.168.1.61"
    }
    assert "web1" not in sources.known_hosts(("web1",)).hosts


def test_an_unreadable_known_hosts_says_nothing(ssh: Path) -> None:
    """What is no file is passed over: hosts are known without it."""
    (ssh / "known_hosts").mkdir()
    assert sources.known_hosts(("web1",)).hosts == {}
