"""`lab up --nixpkgs`: hosts that are all of one nixpkgs, from an empty root on.

The nixpkgs of these tests is laid out as the real one is, and needs no cache: the stand-in, with a
Debian in its systems, which their `init` unpacks into the empty root. What was seen on a real one
is in docs/reality.md.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_bench import BOOT_ID, Bench, committed

from orchestrator.lab import image, seed
from orchestrator.lab.cgroup import run

pytestmark = pytest.mark.lab

FLAKE = """\
{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.05";
  outputs = { nixpkgs, ... }: {
    nixosConfigurations.web1 = nixpkgs.lib.nixosSystem {
      system = "x86_64-linux";
      modules = [ ./web1.nix ];
    };
  };
}
"""
MODULE = """\
{ ... }: {
  networking.hostName = "web1";
  services.openssh.enable = true;
  users.users.deploy = { isNormalUser = true; home = "/var/lib/deploy"; };
  environment.etc."web/page".text = "one";
}
"""
INVENTORY = """\
lab: {nixpkgs: ../nixpkgs}
hosts:
  web1:
    connect: {user: root}
"""
INIT = """\
#!@busybox@ sh
export PATH=@path@
if [ ! -e /usr/bin ]; then tar -x -f @debian@ -C /; fi
printf '#!/bin/sh\\nexec @out@/bin/boot-activate\\n' > /usr/local/lib/lab/generation-boot
echo "@out@" > /usr/local/lib/lab/was-pid-1
exec /sbin/init "$@"
"""


@pytest.fixture(scope="module")
def nixpkgs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out like nixpkgs, whose systems boot in an empty root."""
    base = image.ensure(print)
    folder = tmp_path_factory.mktemp("own") / "nixpkgs"
    seed.place_nixpkgs(base, folder)
    (folder / ".stamp").unlink()
    debian = folder / "nixos/debian.tar"
    left = [
        f"--exclude=./{name}" for name in ("dev/*", "etc/hostname", "etc/hosts", "etc/machine-id")
    ]
    run("tar", "-c", "-f", debian, *left, "-C", base.rootfs, ".", deadline=120)
    (folder / "nixos/init").write_text(INIT)
    builder = folder / "nixos/build-toplevel.sh"
    text = builder.read_text()
    assert "ln -s activate $out/init" in text
    builder.write_text(
        text.replace(
            "ln -s activate $out/init",
            'sed -e "s|@out@|$out|g; s|@busybox@|$applets/bin/busybox|; s|@path@|$applets/bin|" '
            '-e "s|@debian@|$debian|" "$init" > $out/init; chmod +x $out/init',
        )
    )
    toplevel = folder / "nixos/toplevel.nix"
    text = toplevel.read_text()
    assert 'boot = "${./boot.sh}";' in text
    toplevel.write_text(
        text.replace(
            'boot = "${./boot.sh}";',
            'boot = "${./boot.sh}"; init = "${./init}"; debian = "${./debian.tar}";',
        )
    )
    return folder


@pytest.fixture(scope="module")
def web(nixpkgs: Path) -> Iterator[Bench]:
    """A fleet of one host that names that nixpkgs in its inventory, and its lab."""
    root = nixpkgs.parent / "fleet"
    (root / "inventory").mkdir(parents=True)
    (root / "flake.nix").write_text(FLAKE)
    (root / "web1.nix").write_text(MODULE)
    (root / "inventory/hosts.yaml").write_text(INVENTORY)
    bench = committed(Bench(root, nixpkgs.parent / "home"))
    try:
        up = bench.run("lab", "up", seconds=600)
        assert up.rc == 0, up
        assert "fetching nixpkgs from" in up.err
        yield bench
    finally:
        assert bench.run("lab", "down", "--purge").rc == 0


def test_a_host_is_the_fleet_s_nixpkgs_from_an_empty_root_on(web: Bench) -> None:
    """The first generation is PID 1, it is deployed to, and what boots is what was deployed."""
    first = web.on("web1", "cat /usr/local/lib/lab/was-pid-1").out.strip()
    assert first == web.on("web1", "readlink -f /nix/var/nix/profiles/system-1-link").out.strip()
    empty = web.lab_folder / "hosts/web1/empty"
    assert list(empty.iterdir()) == []

    done = web.deploy()
    assert done.outcomes == {"web1": "deployed"}, done
    assert web.on("web1", "cat /etc/web/page").out == "one"
    assert web.deploy().outcomes == {"web1": "unchanged"}

    web.boot("web1", "reboot")
    booted = web.on("web1", "cat /usr/local/lib/lab/was-pid-1").out.strip()
    assert booted == web.state("web1")["profile"]
    assert booted != first


def test_a_power_cut_in_the_middle_of_nothing_boots_what_was_deployed(web: Bench) -> None:
    """The boot loader's files in the host's /boot decide, each time the power comes back."""
    assert web.deploy().rc == 0
    before = web.on("web1", BOOT_ID).out
    web.boot("web1", "kill", "start")
    assert web.on("web1", BOOT_ID).out not in ("", before)
    assert web.on("web1", "readlink /run/booted-system").out.strip() == web.state("web1")["profile"]


def test_a_host_whose_activation_fails_is_rolled_back_there_too(web: Bench) -> None:
    """Everything else of the lab is the same: the guard takes the host back to what it ran."""
    assert web.deploy().rc == 0
    good = web.state("web1")["running"]
    bad = '{ ... }: { imports = [ ./plain.nix ]; system.activationScripts.bad.text = "false"; }\n'
    web.write("plain.nix", MODULE)
    web.write("web1.nix", bad)
    done = web.deploy()
    assert done.outcomes == {"web1": "rolled_back"}, done
    assert web.state("web1")["running"] == good
    web.reset()


def test_a_fresh_host_that_cannot_be_built_leaves_the_one_that_is_there(
    web: Bench, nixpkgs: Path
) -> None:
    """`--fresh` with a nixpkgs of which nothing can be built: the host runs, and is deployed to."""
    assert web.deploy().rc == 0
    broken = nixpkgs.with_name("broken")
    broken.mkdir()
    (broken / "flake.nix").write_text("{ outputs = _: { lib = { }; }; }\n")
    before = web.on("web1", BOOT_ID).out
    up = web.run("lab", "up", "--fresh", "--nixpkgs", str(broken), "web1", seconds=300)
    assert up.rc != 0
    assert "gives no system of NixOS in the lab" in up.err
    assert before != ""
    assert web.on("web1", BOOT_ID).out == before
    assert web.deploy().outcomes == {"web1": "unchanged"}


def test_placeholders_stand_for_secrets_and_are_of_the_lab_s_profile_alone(web: Bench) -> None:
    """A secret for nobody is deployed with placeholders, and is refused by its host without."""
    secret = '  age.secrets.token.file = ./token.age;\n  environment.etc."web/page"'
    web.write("token.age", "age-encryption.org/v1\n-> X25519 nobody\n")
    web.write("web1.nix", MODULE.replace('  environment.etc."web/page"', secret))
    try:
        assert web.deploy().outcomes == {"web1": "rolled_back"}
        up = web.run("lab", "up", "--secrets", "placeholder", seconds=300)
        assert up.rc == 0, up
        assert "the lab's profile replaces kernel, initrd" in up.err
        assert web.deploy().outcomes == {"web1": "deployed"}
        assert web.on("web1", "cat /run/agenix/token").out == "PLACEHOLDER=token\n"
        assert web.on("web1", "stat -c %a /run/agenix/token").out == "400\n"
    finally:
        assert web.run("lab", "up", "--secrets", "own", seconds=300).rc == 0
    assert web.deploy().outcomes == {"web1": "rolled_back"}
    web.reset()
    assert web.deploy().rc == 0


def test_a_nixpkgs_that_is_not_there_or_is_none_says_what_to_do(web: Bench) -> None:
    """Not found, not a nixpkgs, and another kind of host than the lab has: one clear line each."""
    nowhere = web.run("lab", "up", "--nixpkgs", "./nowhere")
    assert nowhere.rc != 0
    assert "has no flake.nix" in nowhere.err
    gone = web.run("lab", "up", "--nixpkgs", "path:/nowhere/at/all", seconds=300)
    assert gone.rc != 0
    assert "nixpkgs was not found: path:/nowhere/at/all cannot be fetched" in gone.err
    assert "nix flake metadata" in gone.err
    kinds = web.run("lab", "up", "--nixpkgs", "stand-in")
    assert kinds.rc != 0
    assert "orchestrator lab up --fresh web1" in kinds.err
    assert web.deploy().outcomes == {"web1": "unchanged"}


def test_a_nixpkgs_without_systems_is_refused_before_a_host_is_made(
    web: Bench, tmp_path: Path
) -> None:
    """A flake that has no lib.nixosSystem is named, with the fault in Nix's own words."""
    root = tmp_path / "fleet"
    shutil.copytree(web.root, root)
    (tmp_path / "nixpkgs").mkdir()
    (tmp_path / "nixpkgs/flake.nix").write_text("{ outputs = _: { lib = { }; }; }\n")
    other = Bench(root, web.home)
    try:
        up = other.run("lab", "up", seconds=300)
        assert up.rc != 0
        assert "gives no system of NixOS in the lab" in up.err
        assert other.lab["hosts"] == {}
    finally:
        assert other.run("lab", "down", "--purge").rc == 0
