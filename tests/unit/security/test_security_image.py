"""What of a lab's host is its base image's: decided by the image, never by the host's word."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from known_fleet import KnownFleet
from security_answers import OTHER, process, seen

from orchestrator.core.values import replace
from orchestrator.lab.places import LabPlaces
from orchestrator.lab.record import HostRecord, LabRecord
from orchestrator.security.lab_image import base_of
from orchestrator.security.model import Base

PROFILE = b"umask 022\n"


@pytest.fixture
def lab(fleet: KnownFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KnownFleet:
    """A fleet whose lab has p620, on an image with a few files; razer is all NixOS."""
    monkeypatch.setenv("ORCHESTRATOR_LAB_HOME", str(tmp_path / "labs"))
    root = tmp_path / "image/rootfs"
    for name, content in {
        "etc/passwd": b"root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/:/bin/sh\n",
        "etc/group": b"root:x:0:\nsudo:x:27:deploy,ada\n",
        "etc/profile.d/a.sh": PROFILE,
        "usr/bin/su": b"su",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    places = LabPlaces.of(Path(fleet.setup.fleet.root))
    places.root.mkdir(parents=True)
    hosts = {
        "p620": HostRecord(0, "1" * 32, "key"),
        "razer": HostRecord(1, "2" * 32, "key", whole=True),
    }
    record = LabRecord(Path(fleet.setup.fleet.root), Path("/x"), True, tmp_path / "image", hosts)
    record.save(places.record)
    places.identity.with_name("id_ed25519.pub").write_text(f"{OTHER} lab\n")
    return replace(fleet, setup=replace(fleet.setup, in_lab=True))


def test_files_of_the_image_are_known_by_path_and_those_of_etc_by_content(
    lab: KnownFleet,
) -> None:
    """A program of the image counts, one beside it does not; a changed file of /etc neither."""
    same = hashlib.sha256(PROFILE).hexdigest()
    said = seen(
        *process(20, 0, "/usr/bin/su (deleted)", "/x"),
        *process(21, 0, "/usr/bin/other", "/x"),
        *process(22, 0, "/usr/bin/../../etc/passwd", "/x"),
        ("added", "profile.d/a.sh", "", "root", "644", same),
        ("added", "profile.d/a.sh.before", "", "root", "644", same),
        ("added", "profile.d/b.sh", "", "root", "644", same),
    )
    base = base_of(lab.setup, "p620", said)
    assert base.paths == {"/usr/bin/su", "/etc/profile.d/a.sh", "/etc/profile.d/a.sh.before"}
    changed = seen(("added", "profile.d/a.sh", "", "root", "644", "0" * 64))
    assert base_of(lab.setup, "p620", changed).paths == frozenset()


def test_accounts_members_and_the_labs_key_are_known(lab: KnownFleet) -> None:
    """What the image's passwd and group have, and the key by which the lab gets in."""
    base = base_of(lab.setup, "p620", seen())
    assert base.accounts == {"root", "daemon"}
    assert base.groups["sudo"] == {"deploy", "ada"}
    assert base.keys == {OTHER}


def test_a_host_that_is_all_nixos_or_real_has_no_image(lab: KnownFleet) -> None:
    """Of a host of a nixpkgs of the fleet's own, and of any real one, nothing else is known."""
    assert base_of(lab.setup, "razer", seen()) == Base()
    assert base_of(lab.setup, "stranger", seen()) == Base()
    assert base_of(replace(lab.setup, in_lab=False), "p620", seen()) == Base()
