"""What Nix says of a host's secrets, read; Nix itself says it in the lab's tests."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core.values import replace
from orchestrator.nix.verbs import Flake
from orchestrator.secrets.model.repository import HostSecrets, SecretUse
from orchestrator.secrets.model.sops import SopsKeys, SopsUse
from orchestrator.secrets.uses import Origin, parse

WIFI = {
    "file": "/nix/store/s-source/secrets/wifi.age",
    "exists": True,
    "source": "/nix/store/w-wifi.age",
    "path": "/run/agenix/wifi",
    "mode": "0400",
    "owner": "app",
    "group": "0",
    "ownerKnown": False,
    "hidden": False,
    "groupKnown": True,
}
SAID = {
    "secrets": {
        "wifi": WIFI,
        "gone": {**WIFI, "file": "/nix/store/s-source/gone.age", "exists": False, "source": None},
    },
    "identityPaths": ["/etc/ssh/ssh_host_ed25519_key"],
    "program": "/nix/store/a-age/bin/age",
    "sops": {
        "token": {
            "file": "/nix/store/s-source/secrets/web.yaml",
            "exists": True,
            "key": "api/token",
            "format": "yaml",
        }
    },
    "sopsKeys": {
        "ssh": ["/etc/ssh/ssh_host_ed25519_key"],
        "file": "/var/lib/sops-nix/key.txt",
        "generated": False,
        "gnupgSsh": [],
        "elsewhere": False,
    },
}
USE = SecretUse(
    host="p620",
    name="wifi",
    file="secrets/wifi.age",
    in_repo=True,
    exists=True,
    mode="0400",
    owner="app",
    group="0",
    install_path="/run/agenix/wifi",
    identity_paths=("/etc/ssh/ssh_host_ed25519_key",),
    owner_known=False,
    group_known=True,
)


class Ours(Origin):
    """Takes one source for the fleet's."""

    def _compare(self, source: str) -> bool:
        return source == "/nix/store/s-source"


def test_paths_are_the_repositorys(tmp_path: Path) -> None:
    """Without the store's part; a file that is missing does not spoil the others."""
    found = parse(SAID, "p620", Ours(tmp_path, ""))
    assert found == HostSecrets(
        "p620",
        (replace(USE, name="gone", file="gone.age", exists=False), USE),
        (None, "/nix/store/w-wifi.age"),
        ("/etc/ssh/ssh_host_ed25519_key",),
        "/nix/store/a-age/bin/age",
        (SopsUse("p620", "token", "secrets/web.yaml", True, True, "api/token", "yaml"),),
        SopsKeys(("/etc/ssh/ssh_host_ed25519_key",), "/var/lib/sops-nix/key.txt"),
    )


def test_what_is_not_of_the_repository(tmp_path: Path) -> None:
    """Another flake's file, one on the host's disk, or where there is no repository here."""
    ours = Ours(tmp_path, "")
    assert ours.path("/nix/store/other-source/secrets/wifi.age") is None
    assert ours.path("/nix/store/w-wifi.age") is None
    assert ours.path("/persist/wifi.age") is None
    (outside, _) = parse(SAID, "p620", None).uses
    assert (outside.in_repo, outside.file) == (False, "/nix/store/s-source/gone.age")


def test_where_a_flake_lies(tmp_path: Path) -> None:
    """A source is the fleet's that has its ``flake.nix``, wherever that is in the repository."""
    root, source = tmp_path / "fleet", tmp_path / "source"
    for place in (root, source):
        (place / "nix").mkdir(parents=True)
        (place / "nix/flake.nix").write_text("{ }")
    (root / ".git").mkdir()
    flake = Flake.at(str(root / "nix"), str(root))
    origin = Origin.of(flake)
    assert origin is not None
    assert origin._compare(str(source))
    (source / "nix/flake.nix").write_text("{ outputs = _: { }; }")
    assert not origin._compare(str(source))
    assert Origin.of(replace(flake, reference="github:a/b")) is None


def test_a_host_without_agenix_and_sops() -> None:
    """A host without agenix and sops-nix has no secrets, and that is no error."""
    keys = {"ssh": [], "file": None, "generated": False, "gnupgSsh": [], "elsewhere": False}
    said = {"secrets": {}, "identityPaths": [], "program": None, "sops": {}, "sopsKeys": keys}
    assert parse(said, "p620", None) == HostSecrets("p620")
