"""Secrets of equal hosts: one configuration, each member's own files by its name."""

from __future__ import annotations

import subprocess
from pathlib import Path

from orchestrator.secrets.members import of_member
from orchestrator.secrets.model.repository import MEMBER, HostSecrets, SecretUse
from orchestrator.secrets.model.sops import SopsUse


def use(file: str, *, own: bool = False) -> SecretUse:
    """A secret of the class."""
    words = ("0400", "0", "0", "/run/agenix/x", ("/etc/ssh/key",), True, True)
    return SecretUse("kiosk", "x", file, True, True, *words, of_member=own)


SHARED = HostSecrets(
    "kiosk",
    (use("secrets/shared.age"), use(f"secrets/kiosk{MEMBER}x.age", own=True)),
    ("/nix/store/a-shared.age", f"/nix/store/b-kiosk{MEMBER}x.age"),
    sops=(SopsUse("kiosk", "s", "s.yaml", True, True, "s", "yaml"),),
)


def test_a_members_own_file_is_below_its_name(tmp_path: Path) -> None:
    """What is shared stays as it is; whether the own file is there is looked up in the fleet."""
    subprocess.run(("git", "init", "-q", tmp_path), check=True)
    (tmp_path / "secrets/kiosk/k-1").mkdir(parents=True)
    (tmp_path / "secrets/kiosk/k-1/x.age").touch()
    one, two = (of_member(SHARED, name, str(tmp_path)) for name in ("k-1", "k-2"))
    assert [it.file for it in one.uses] == ["secrets/shared.age", "secrets/kiosk/k-1/x.age"]
    assert one.sources == ("/nix/store/a-shared.age", "/nix/store/b-kiosk/k-1/x.age")
    assert {it.host for it in (*one.uses, *one.sops)} == {one.host} == {"k-1"}
    assert [it.exists for it in one.uses] == [True, True]
    assert [it.exists for it in two.uses] == [True, False]


def test_outside_of_a_repository_nothing_is_looked_up(tmp_path: Path) -> None:
    """What cannot be known stays as the configuration says it."""
    found = of_member(SHARED, "k-1", str(tmp_path / "nowhere"))
    assert [it.exists for it in found.uses] == [True, True]
    plain = HostSecrets("kiosk", (use("a.age"),), (None,))
    assert of_member(plain, "k-1", str(tmp_path)).uses[0].host == "k-1"


def test_a_class_keeps_its_place_for_every_member() -> None:
    """What is kept under the class's name is of no member yet."""
    assert SHARED.of_host("k-1").called("kiosk") != SHARED
    assert SHARED.called("k-1").called("kiosk") == SHARED
