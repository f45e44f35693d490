"""The user parts of profiles: who has which, and the stand-in for Home Manager."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from nix_bench import HOSTS, REPOSITORY, Fleet
from test_fleet import changed

ADMIN = "home-manager.users.admin"
PROFILES = sorted(one.stem for one in (REPOSITORY / "templates/profiles").glob("*.nix"))


def facts(fleet: Fleet, **users: dict[str, Any]) -> None:
    """Change what fleet.json says of users."""
    path = fleet.root / "inventory/fleet.json"
    said = json.loads(path.read_text())
    for name, change in users.items():
        said["users"][name] = said["users"].get(name, {}) | change
    path.write_text(json.dumps(said))


def test_a_user_has_the_part_of_those_profiles_that_the_host_has(fleet: Fleet) -> None:
    """A home is made of the profiles that both the user and the host name, and no others."""
    files = f"{ADMIN}.home.file"

    def profiles(host: str) -> set[str]:
        return {
            name.removeprefix(".config/fleet/profiles/")
            for name in fleet.option(host, files)
            if name.startswith(".config/fleet/profiles/")
        }

    assert profiles("dex5550") == {"server-admin"}
    assert profiles("p620") == {"developer", "desktop-user"}
    # laptop-user's is made of desktop-user's.
    assert profiles("razer") == {"developer", "laptop-user", "desktop-user"}
    facts(fleet, admin={"profiles": ["developer"]})
    assert profiles("razer") == {"developer"}


def test_a_host_without_user_profiles_needs_no_home_manager(fleet: Fleet) -> None:
    """Where no user has a profile, the input is not asked for anything at all."""
    facts(fleet, admin={"profiles": []})
    broken = fleet.root.parent / "broken"
    broken.mkdir()
    (broken / "flake.nix").write_text('{ outputs = _: throw "Home Manager is asked for"; }')
    plain = Fleet(fleet.root, fleet.nixpkgs, home_manager=broken)
    assert plain.systems().keys() == HOSTS
    facts(fleet, admin={"profiles": ["server-admin"]})
    assert "Home Manager is asked for" in plain.error("dex5550")


@pytest.mark.parametrize(
    ("profile", "before", "after", "who"),
    [
        ("developer", "pkgs.fd", "pkgs.tree", {"p620", "razer", "samsung", "p510"}),
        ("desktop-user", "own desktop.\\n", "desktop.\\n", {"p620", "razer", "samsung"}),
        ("laptop-user", "batsignal.enable", "cbatticon.enable", {"razer", "samsung"}),
        ("server-admin", "50000", "1000", {"p510", "dex5550"}),
        ("server-admin", "# A session", "# One session", set()),
    ],
)
def test_a_changed_home_changes_whom_it_should(
    fleet: Fleet, profile: str, before: str, after: str, who: set[str]
) -> None:
    """A package, a file or a carried option of a home module changes its users' hosts alone."""
    systems = fleet.systems()
    fleet.replace(f"templates/profiles/home/{profile}.nix", before, after)
    assert changed(fleet, systems) == who


def test_every_profile_has_a_user_part_beside_it(fleet: Fleet) -> None:
    """Each profile's two parts have one name, and each user part evaluates by itself."""
    homes = {one.stem for one in (REPOSITORY / "templates/profiles/home").glob("*.nix")}
    assert homes == {"default", *PROFILES}
    for profile in PROFILES:
        (fleet.root / "hosts/dex5550/added.nix").unlink(missing_ok=True)
        default = fleet.root / "hosts/dex5550/default.nix"
        default.write_text(default.read_text().replace(" ./added.nix", ""))
        fleet.module(
            "dex5550",
            f"""{{ lib, ... }}: {{
              home-manager.users.admin = lib.mkForce {{
                imports = [ ../../templates/profiles/home/{profile}.nix ];
                home.stateVersion = "25.05";
              }};
            }}""",
        )
        files = fleet.option("dex5550", f"{ADMIN}.home.file")
        assert f".config/fleet/profiles/{profile}" in files
        assert fleet.option("dex5550", f"{ADMIN}.home.activationPackage")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("home.packags = [ ];", f"The option `{ADMIN}.home.packags' does not exist"),
        ("flet.x = 1;", f"The option `{ADMIN}.flet' does not exist"),
        ('home.file.x.txt = "";', f"The option `{ADMIN}.home.file.x.txt' does not exist"),
        ("home.stateVersion = 25;", f"{ADMIN}.home.stateVersion"),
        ('assertions = [ { assertion = false; message = "no"; } ];', "admin profile: no"),
    ],
)
def test_a_wrong_home_is_an_error(fleet: Fleet, body: str, told: str) -> None:
    """A misspelt option, a wrong type and a failed assertion of a home stop its host, by name."""
    fleet.module("dex5550", f"{{ {ADMIN} = {{ {body} }}; }}")
    assert told in fleet.error("dex5550")


def test_a_home_needs_an_account_and_a_release(fleet: Fleet) -> None:
    """A home of nobody's, and one that does not say its release, are errors as in Home Manager."""
    added = fleet.module("dex5550", '{ home-manager.users.ghost.home.stateVersion = "25.05"; }')
    assert "ghost" in fleet.error("dex5550")
    added.write_text(
        "{ users.users.eve.isNormalUser = true; home-manager.users.eve.home.packages = [ ]; }"
    )
    assert "home-manager.users.eve.home.stateVersion" in fleet.error("dex5550")


@pytest.fixture
def home(fleet: Fleet, tmp_path: Path) -> tuple[Fleet, Path]:
    """A fleet whose dex5550 has an account with its home in a folder of this machine."""
    place = tmp_path / "home"
    place.mkdir()
    fleet.module(
        "dex5550",
        f"""{{ users.users.admin.home = "{place}";
          {ADMIN} = {{ home.file."deep/one".text = "1"; programs.x.y = 1; }}; }}""",
    )
    return fleet, place


def activate(fleet: Fleet, **variables: str) -> subprocess.CompletedProcess[str]:
    """Build the home and run its activation, as its unit does."""
    done = fleet.nix(
        *("build", "--no-link", "--print-out-paths"),
        f"path:{fleet.root}#nixosConfigurations.dex5550.config.{ADMIN}.home.activationPackage",
    )
    assert done.returncode == 0, done.stderr
    program = Path(done.stdout.strip()) / "activate"
    return subprocess.run(
        [program], env=variables, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_home_is_activated_again_and_again(home: tuple[Fleet, Path]) -> None:
    """Files come, change and go with the generations, and what is a person's own stays."""
    fleet, place = home
    (place / "own").write_text("mine")
    for _ in range(2):
        done = activate(fleet)
        assert done.returncode == 0, done.stderr
        assert (place / "deep/one").read_text() == "1"
    added = fleet.root / "hosts/dex5550/added.nix"
    added.write_text(added.read_text().replace("deep/one", "deep/two").replace('"1"', '"2"'))
    assert activate(fleet).returncode == 0
    assert not (place / "deep/one").is_symlink()
    assert (place / "deep/two").read_text() == "2"
    assert (place / "own").read_text() == "mine"


def test_a_file_in_the_way_is_not_overwritten(home: tuple[Fleet, Path]) -> None:
    """A person's own file makes the activation fail, or is kept beside where that is wanted."""
    fleet, place = home
    (place / "deep").mkdir()
    (place / "deep/one").write_text("mine")
    done = activate(fleet)
    assert done.returncode == 1
    assert f"Existing file '{place}/deep/one' would be clobbered" in done.stderr
    assert (place / "deep/one").read_text() == "mine"
    assert activate(fleet, HOME_MANAGER_BACKUP_EXT="before").returncode == 0
    assert (place / "deep/one.before").read_text() == "mine"
    assert (place / "deep/one").read_text() == "1"


def test_the_unit_and_the_packages_of_a_home(fleet: Fleet) -> None:
    """A home is brought up by a unit of its user, and its packages are on the user's path."""
    unit = fleet.option("p620", "systemd.services.home-manager-admin.serviceConfig")
    assert unit["User"] == "admin"
    assert re.fullmatch(r"/nix/store/\w{32}-home-manager-generation/activate", unit["ExecStart"])
    done = fleet.nix(
        *("build", "--no-link", "--print-out-paths"),
        f"path:{fleet.root}#nixosConfigurations.p620.config.system.build.toplevel",
    )
    assert done.returncode == 0, done.stderr
    own = Path(done.stdout.strip()) / "etc/profiles/per-user/admin"
    assert (own / "bin/fd").exists()
    variables = (own / "etc/profile.d/hm-session-vars.sh").read_text()
    assert variables == "export EDITOR=vim\n"
