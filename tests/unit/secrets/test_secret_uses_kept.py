"""What configurations say of secrets is kept by the system that they make."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.store import OutPath
from orchestrator.core.values import replace
from orchestrator.secrets.model.repository import HostSecrets, SecretUse
from orchestrator.secrets.uses import keep, recall

OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system-p620")
OTHER = OutPath("/nix/store/dddddddddddddddddddddddddddddddd-nixos-system-p620")
USE = SecretUse(
    *("p620", "wifi", "secrets/wifi.age", True, True, "0400", "0", "0", "/run/agenix/wifi"),
    *(("/etc/ssh/key",), True, False),
)
SECRETS = HostSecrets(
    "p620", (USE, replace(USE, name="b")), ("/s", None), ("/etc/ssh/key",), "/age"
)


def test_what_was_kept_is_given_for_that_system(tmp_path: Path) -> None:
    """What was kept is given for the same host and system, and for no other."""
    keep(tmp_path / "secrets", OUT, SECRETS)
    assert recall(tmp_path / "secrets", "p620", OUT) == SECRETS
    assert recall(tmp_path / "secrets", "p620", OTHER) is None
    assert recall(tmp_path / "secrets", "p510", OUT) is None


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"[]", b"null", b"\xff", b'{"version": 1', b'{"version": 2}']
)
def test_what_is_damaged_was_not_kept(tmp_path: Path, damage: bytes) -> None:
    """A damaged file of kept secrets counts as none, so that Nix is asked again."""
    keep(tmp_path, OUT, SECRETS)
    (tmp_path / "p620.json").write_bytes(damage)
    assert recall(tmp_path, "p620", OUT) is None


def test_what_cannot_be_kept_fails_nothing(tmp_path: Path) -> None:
    """The state folder may be read-only or full."""
    (tmp_path / "secrets").touch()
    keep(tmp_path / "secrets", OUT, SECRETS)
    assert recall(tmp_path / "secrets", "p620", OUT) is None
