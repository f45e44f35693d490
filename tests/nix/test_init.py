"""A newcomer's first hour: from a clone of a fleet to a plan, with no edit of its files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import newcomer_fleets as fleets
import pytest
import yaml
from newcomer_parts import Clone, Parts, cloned, make_parts

from orchestrator.core.values import replace


@pytest.fixture(scope="session")
def parts(nixpkgs: Path, tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """What the fleets are made with."""
    return make_parts(nixpkgs, tmp_path_factory.mktemp("parts"))


def said(clone: Clone, file: str = "inventory/hosts.yaml") -> Any:
    """What an inventory's file says, read as any YAML is."""
    return yaml.safe_load(clone.read(file))


def planned(clone: Clone, *more: str) -> dict[str, Any]:
    """Plan, where no host answers: each host's outcome, with the system that would wait for it."""
    done = clone.type("plan", "--json", "--unreachable", "defer", *more)
    (report,) = [
        one for one in map(json.loads, done.stdout.splitlines()) if one["type"] == "report"
    ]
    assert done.returncode == 3, done.stderr
    return dict(report["hosts"])


def begun(files: dict[str, str], parts: Parts, folder: Path) -> Clone:
    """Clone a fleet, and type what a newcomer types."""
    clone = cloned(files, parts, folder)
    done = clone.type("init", "--yes")
    assert done.returncode == 0, done.stderr
    assert clone.git("status", "--porcelain", "--untracked-files=no") == ""
    (add,) = [line.strip() for line in done.stderr.splitlines() if line.startswith("  git add ")]
    clone.git(*add.partition("#")[0].split()[1:])
    return clone


def systems(clone: Clone, *more: str) -> dict[str, str]:
    """Each host and the system that a plan found for it, evaluated by Nix."""
    found = planned(clone, *more)
    assert {one["outcome"] for one in found.values()} == {"deferred"}, found
    assert clone.git("diff", "HEAD", "--diff-filter=a", "--name-only") == ""
    return {name: one["out_path"].partition("-")[2] for name, one in found.items()}


def test_flake_parts_with_read_dir_and_deploy_nodes(parts: Parts, tmp_path: Path) -> None:
    """Address, login, port and place to build come from deploy.nodes; an image is left out."""
    clone = begun(fleets.READ_DIR, parts, tmp_path)
    assert said(clone)["hosts"] == {
        "web-1": {
            "address": "127.0.0.2",
            "template": "server",
            "connect": {"user": "deploy", "port": 1},
        },
        "thinkpad": {
            "address": "127.0.0.3",
            "template": "laptop",
            "build": "target",
            "connect": {"user": "deploy"},
        },
    }
    assert "# deploy.nodes.web-1.hostname" in clone.read("inventory/hosts.yaml")
    assert "# guessed: its name" in clone.read("inventory/hosts.yaml")
    found = systems(clone)
    assert found.keys() == {"web-1", "thinkpad"}
    assert "nixos-system-web-1" in found["web-1"]


@pytest.mark.parametrize("files", [fleets.HIVE_FLAKE, fleets.RAW_HIVE], ids=["made", "raw"])
def test_colmenas_hive_in_a_flake(files: dict[str, str], parts: Parts, tmp_path: Path) -> None:
    """A hive is planned through a flake of ours, with what its `deployment` says."""
    clone = begun(files, parts, tmp_path)
    assert said(clone)["fleet"] == {"flake": "inventory"}
    assert said(clone)["hosts"] == {
        "hades": {
            "address": "127.0.0.4",
            "attr": "Hades",
            "template": "laptop",
            "tags": ["laptop", "fleet"],
            "connect": {"user": "admin", "port": 1},
        },
        "nas": {
            "address": "127.0.0.5",
            "template": "server",
            "tags": ["fleet"],
            "build": "target",
            "connect": {"user": "root", "port": 1},
        },
    }
    found = systems(clone)
    assert "nixos-system-Hades" in found["hades"]
    assert "nixos-system-nas" in found["nas"]


def test_a_hive_that_is_not_at_the_top_of_its_repository(parts: Parts, tmp_path: Path) -> None:
    """A fleet in a folder with a space in its name: the flake of ours finds theirs there, too."""
    files = {f"in fra/{name}": text for name, text in fleets.HIVE_FLAKE.items()}
    clone = cloned(files, parts, tmp_path)
    clone = replace(clone, root=clone.root / "in fra")
    assert clone.type("init", "--yes").returncode == 0
    clone.git("add", "inventory")
    assert systems(clone).keys() == {"hades", "nas"}


def test_a_plain_flake_with_home_manager_and_disko(parts: Parts, tmp_path: Path) -> None:
    """Without a word of where hosts answer they are reached by their names, and that is marked."""
    clone = begun(fleets.PLAIN, parts, tmp_path)
    assert said(clone)["hosts"] == {
        "desktop": {"address": "desktop", "template": "workstation"},
        "vps": {"address": "vps.example", "attr": "vps.example", "template": "server"},
    }
    for host in ("desktop", "vps"):
        text = clone.read("inventory/hosts.yaml").partition(f"  {host}:\n")[2]
        assert text.partition("\n")[0].endswith(
            "# guessed: its name: nothing says where it answers"
            if host == "desktop"
            else "# guessed: its name below nixosConfigurations"
        )
    assert systems(clone).keys() == {"desktop", "vps"}


def test_a_flake_in_a_subfolder(parts: Parts, tmp_path: Path) -> None:
    """A flake that is not at the top is found, and reads files beside its folder as before."""
    clone = begun(fleets.SUBFOLDER, parts, tmp_path)
    assert said(clone)["fleet"] == {"flake": "nix"}
    assert "nixos-system-router" in systems(clone)["router"]


def test_folders_of_hosts_with_npins(parts: Parts, tmp_path: Path) -> None:
    """No flake at all: each folder is a host, on the nixpkgs that npins has; new ones count too."""
    clone = begun(fleets.FOLDERS, parts, tmp_path)
    assert said(clone)["hosts"].keys() == {"mail", "t480"}
    assert "common" not in clone.read("inventory/hosts.yaml")
    found = systems(clone)
    assert "nixos-system-mail" in found["mail"]
    host = clone.root / "hosts/db/configuration.nix"
    host.parent.mkdir()
    host.write_text('{ imports = [ ../../common.nix ]; networking.hostName = "db"; }')
    clone.git("add", "hosts")
    before = clone.read("inventory/hosts.yaml")
    again = clone.type("init", "--yes")
    assert again.returncode == 0, again.stderr
    assert clone.read("inventory/hosts.yaml") == before
    assert said(clone, "inventory/hosts-2.yaml")["hosts"].keys() == {"db"}
    assert planned(clone).keys() == {"db", "mail", "t480"}


def test_hive_nix_with_npins(parts: Parts, tmp_path: Path) -> None:
    """A hive outside of a flake asks for the current system: it is told, purely."""
    clone = begun(fleets.HIVE, parts, tmp_path)
    assert said(clone)["hosts"]["hades"]["connect"] == {"user": "admin", "port": 1}
    assert systems(clone).keys() == {"hades", "nas"}


def test_default_nix_with_systems(parts: Parts, tmp_path: Path) -> None:
    """A default.nix with nixosConfigurations is taken as it is."""
    clone = begun(fleets.FILE, parts, tmp_path)
    assert "nixos-system-builder" in systems(clone)["builder"]


def small(outputs: str, folder: Path, **more: str) -> Clone:
    """A fleet without inputs, whose hosts throw when anybody evaluates them."""
    hosts = 'host = throw "a host is evaluated"'
    text = f"{{ outputs = {{ self }}: let {hosts}; in {{ {outputs} }}; }}"
    return cloned({"flake.nix": text, **more}, Parts({}, ""), folder)


def test_names_are_data_and_no_host_is_evaluated(tmp_path: Path) -> None:
    """Five hundred hosts, and names that would be YAML, Nix or a terminal's: none does anything."""
    odd = ('"a: b"', '"x\\ny: z"', '"\\"q\\""', '"\\${abort \\"no\\"}"', '"-o"', '"é"', '""')
    many = 'builtins.genList (n: { name = "n${toString n}"; value = host; }) 500'
    names = "".join(f"{name} = host; " for name in odd)
    outputs = f"nixosConfigurations = builtins.listToAttrs ({many}) // {{ {names} Web_1 = host; }};"
    clone = small(outputs, tmp_path)
    done = clone.type("init", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found["hosts"]) == 501
    assert {one["attr"] for one in found["left_out"]} == {
        "a: b",
        "x\ny: z",
        '"q"',
        '${abort "no"}',
        "-o",
        "é",
        "",
    }
    assert len(said(clone)["hosts"]) == 501
    assert said(clone)["hosts"]["web-1"]["attr"] == "Web_1"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("{ outputs = ", "syntax error"),
        ("{ outputs = _: { nixosConfigurations = throw ''it is broken''; }; }", "it is broken"),
        ("{ outputs = _: { packages = { }; }; }", "no flake here has nixosConfigurations"),
    ],
)
def test_a_broken_flake_is_an_error_and_nothing_is_written(
    tmp_path: Path, text: str, cause: str
) -> None:
    """The error has Nix's cause; no file is half there."""
    clone = cloned({"README": ""}, Parts({}, ""), tmp_path)
    (clone.root / "flake.nix").write_text(text)
    clone.git("add", "flake.nix")
    done = clone.type("init", "--yes")
    assert done.returncode in (1, 2)
    assert cause in done.stderr
    assert "Traceback" not in done.stderr
    assert clone.git("status", "--porcelain") == "A  flake.nix\n"


def test_what_one_output_hides_is_a_notice(tmp_path: Path) -> None:
    """A deploy output that does not evaluate leaves the hosts, and says why it says nothing."""
    outputs = "nixosConfigurations.web1 = host; deploy.nodes.web1 = 1 + { };"
    done = small(outputs, tmp_path).type("init", "--yes")
    assert done.returncode == 0, done.stderr
    assert "deploy.nodes cannot be read" in done.stderr


def test_a_node_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    """A file that is not decrypted is a syntax error; deploy-rs's and a hive's others are read."""
    bad = "(import ./secrets.nix).b"
    deploy = f'a.hostname = "10.0.0.1"; b.hostname = {bad}; a.profiles.system = {{ }};'
    hive = f'c.deployment.targetHost = "10.0.0.3"; b.deployment.targetHost = {bad};'
    outputs = "nixosConfigurations = { a = host; b = host; c = host; };"
    outputs += f"deploy.nodes = {{ {deploy} b.profiles.system = {{ }}; }}; colmena = {{ {hive} }};"
    done = small(outputs, tmp_path, **{"secrets.nix": "{ b ="}).type("init", "--dry-run", "--json")
    found = json.loads(done.stdout)
    addresses = {one["name"]: one["values"]["address"] for one in found["hosts"]}
    assert addresses == {"a": "10.0.0.1", "b": "b", "c": "10.0.0.3"}
    unread = {one.partition(" cannot be read")[0] for one in found["notices"]}
    assert unread == {"colmena.b", "deploy.nodes.b"}


def test_where_hosts_are_looked_for_can_be_said(tmp_path: Path) -> None:
    """One tool's hosts alone; a tool that says nothing is an error."""
    hive = 'colmena = { meta = { }; db = { deployment.targetHost = "10.0.0.6"; }; };'
    outputs = f"nixosConfigurations = {{ db = host; web1 = host; }}; {hive}"
    clone = small(outputs, tmp_path)
    for way, hosts in (("colmena", ["db"]), ("flake", ["db", "web1"]), ("auto", ["db", "web1"])):
        found = json.loads(clone.type("init", "--dry-run", "--json", "--from", way).stdout)
        assert [host["name"] for host in found["hosts"]] == hosts
        address = found["hosts"][0]["values"]["address"]
        assert address == ("db" if way == "flake" else "10.0.0.6")
    failed = clone.type("init", "--yes", "--from", "deploy-rs")
    assert failed.returncode == 2
    assert "deploy.nodes is none of the flake's outputs" in failed.stderr


def test_clans_machines_and_a_hive_that_is_made_already(tmp_path: Path) -> None:
    """Clan's inventory, its option, and a colmenaHive without the hive it was made of."""
    clan = """
      nixosConfigurations = {
        a = host;
        b.config.clan.core.networking.targetHost = "root@10.0.0.8";
        c = host;
      };
      clan.inventory.machines = {
        a = { deploy.targetHost = "root@10.0.0.7:2222"; tags = [ "all" "rack" ]; };
        b = { tags = [ ]; };
      };
      colmenaHive.nodes.c.config.deployment = { targetHost = "10.0.0.9"; targetUser = null; };
    """
    done = small(clan, tmp_path).type("init", "--dry-run", "--json")
    found = {one["name"]: one["values"] for one in json.loads(done.stdout)["hosts"]}
    assert found["a"] == {"address": "10.0.0.7", "user": "root", "port": 2222, "tags": ["rack"]}
    assert found["b"] == {"address": "10.0.0.8", "user": "root"}
    assert found["c"] == {"address": "10.0.0.9"}


def test_properties_of_a_hives_settings_are_read_or_said(tmp_path: Path) -> None:
    """MkMerge, mkIf, mkDefault and mkForce count as in modules; who logs in is not made up."""
    lib = """{
      mkMerge = contents: { _type = "merge"; inherit contents; };
      mkIf = condition: content: { _type = "if"; inherit condition content; };
      mkDefault = content: { _type = "override"; priority = 1000; inherit content; };
      mkForce = content: { _type = "override"; priority = 50; inherit content; };
    }"""
    hive = f"""
      meta.nixpkgs.lib = {lib};
      defaults = {{ lib, ... }}: {{ deployment.targetUser = lib.mkDefault "all"; }};
      a = {{ lib, ... }}: {{
        deployment = lib.mkMerge [ {{ targetHost = "10.0.0.1"; }} {{ targetUser = "ada"; }} ];
      }};
      b = {{ lib, config, ... }}: lib.mkIf true {{
        deployment.targetUser = lib.mkIf config.x "bob";
        deployment.targetHost = lib.mkIf false "10.0.0.9";
      }};
      c = {{ lib, ... }}: {{
        imports = [ {{ deployment.targetHost = lib.mkForce "10.0.0.3"; }} ];
        deployment.targetHost = "10.0.0.9";
      }};
    """
    clone = small(
        f"nixosConfigurations = {{ a = host; b = host; c = host; }}; colmena = {{ {hive} }};",
        tmp_path,
    )
    found = json.loads(clone.type("init", "--dry-run", "--json").stdout)
    values = {one["name"]: one["values"] for one in found["hosts"]}
    assert values["a"] == {"address": "10.0.0.1", "user": "ada"}
    assert values["b"] == {"address": "b"}
    assert values["c"] == {"address": "10.0.0.3", "user": "all"}
    assert found["notices"] == [
        "b: deployment.targetUser is known only once the host is evaluated; add it by hand"
    ]


def test_what_only_an_evaluation_tells_is_evaluated_or_said(tmp_path: Path) -> None:
    """A target of `config` is asked of the hive that is made; without one, it is a notice."""
    raw = "colmena = { meta = { }; c = { config, ... }: { deployment.targetHost = config.x; }; };"
    made = 'colmenaHive.nodes.c.config.deployment.targetHost = "10.0.0.9";'
    there = small(f"nixosConfigurations.c = host; {raw} {made}", tmp_path / "made")
    found = json.loads(there.type("init", "--dry-run", "--json").stdout)
    assert found["hosts"][0]["values"] == {"address": "10.0.0.9", "user": "root"}
    assert found["notices"] == []
    other = small(f"nixosConfigurations.c = host; {raw}", tmp_path / "raw")
    found = json.loads(other.type("init", "--dry-run", "--json").stdout)
    assert found["hosts"][0]["values"]["address"] == "c"
    assert "address" in found["hosts"][0]["guessed"]
    (notice,) = found["notices"]
    assert notice.startswith("c: deployment.targetHost is known only once the host is evaluated")


def test_several_flakes_with_hosts_are_one_fleet(tmp_path: Path) -> None:
    """Each host names the flake that has it, where that is not the fleet's; later hosts, too."""
    flake = "{ outputs = _: { nixosConfigurations = { web = throw ''evaluated''; @ = { }; }; }; }"
    files = {f"{name}/flake.nix": flake.replace("@", name) for name in ("home", "work")}
    clone = cloned(files, Parts({}, ""), tmp_path)
    done = clone.type("init", "--yes")
    assert done.returncode == 0, done.stderr
    assert said(clone)["fleet"] == {"flake": "home"}
    found = {name: (it.get("flake"), it.get("attr")) for name, it in said(clone)["hosts"].items()}
    assert found == {
        "home": (None, None),
        "web": (None, None),
        "web-2": ("work", "web"),
        "work": ("work", None),
    }
    assert "nothing is new" in clone.type("init", "--yes").stderr
    (clone.root / "work/flake.nix").write_text(flake.replace("@", "db"))
    done = clone.type("init", "--yes")
    assert "work: the flake has no nixosConfigurations.work" in done.stderr
    assert said(clone, "inventory/hosts-2.yaml")["hosts"]["db"]["flake"] == "work"


def test_a_host_of_another_flake_is_planned_from_that(parts: Parts, tmp_path: Path) -> None:
    """Two flakes, one host each: every system is the one that its own flake has."""
    flake = fleets.SUBFOLDER["nix/flake.nix"]
    files = {f"{name}/flake.nix": flake.replace("router", name) for name in ("home", "work")}
    clone = begun(
        {**files, "shared/base.nix": fleets.SUBFOLDER["shared/base.nix"]}, parts, tmp_path
    )
    found = systems(clone)
    assert {name: f"system-{name}-" in out for name, out in found.items()} == {
        "home": True,
        "work": True,
    }


def test_a_flake_without_hosts_or_a_broken_one_does_not_hide_the_one_with(tmp_path: Path) -> None:
    """Below a flake of tools only, and beside one that does not evaluate, which is named."""
    host = "{ outputs = _: { nixosConfigurations.web1 = throw ''evaluated''; }; }"
    top = {"flake.nix": "{ outputs = _: { devShells = { }; }; }", "infra/nixos/flake.nix": host}
    clone = cloned(top, Parts({}, ""), tmp_path / "top")
    assert clone.type("init", "--yes").returncode == 0
    assert said(clone)["fleet"] == {"flake": "infra/nixos"}
    broken = "{ outputs = _: throw ''it is broken''; }"
    beside = {"dev/flake.nix": broken, "infra/flake.nix": host}
    clone = cloned(beside, Parts({}, ""), tmp_path / "beside")
    done = clone.type("init", "--yes")
    assert done.returncode == 0, done.stderr
    assert "dev/flake.nix: the flake does not say its hosts: it is broken" in done.stderr
    assert said(clone)["fleet"] == {"flake": "infra"}


def test_outside_of_git_a_flake_is_enough_and_files_are_not(parts: Parts, tmp_path: Path) -> None:
    """A flake needs no repository; what would need one of ours is told how to become one."""
    clone = small("nixosConfigurations.web1 = host;", tmp_path)
    shutil.rmtree(clone.root / ".git")
    assert clone.type("init", "--yes").returncode == 0
    assert said(clone)["hosts"].keys() == {"web1"}
    other = cloned(fleets.FOLDERS, parts, tmp_path / "other")
    shutil.rmtree(other.root / ".git")
    done = other.type("init", "--yes")
    assert done.returncode == 2
    assert "is in no git repository" in done.stderr
    assert not (other.root / "inventory").exists()


def test_ansibles_folder_stays_and_the_plan_goes_by_name(parts: Parts, tmp_path: Path) -> None:
    """Ours lies beside it, and each command that is told names it."""
    theirs = "all:\n  hosts:\n    router:\n"
    clone = begun({**fleets.SUBFOLDER, "inventory/hosts.yml": theirs}, parts, tmp_path)
    assert said(clone, "orchestrator/inventory/hosts.yaml")["fleet"] == {"flake": "../nix"}
    assert "an inventory of Ansible's" in clone.type("plan").stderr
    assert systems(clone, "--fleet", "orchestrator").keys() == {"router"}


def test_ctrl_c_at_a_question_writes_nothing(tmp_path: Path) -> None:
    """On a terminal, at the first question: exit 130, and the folder is as it was."""
    clone = small("nixosConfigurations.hades = host;", tmp_path)
    status, shown = clone.at_a_terminal("where does it answer?", b"\x03", "init")
    assert status == 130, shown
    assert clone.git("status", "--porcelain") == ""
