"""Files that configurations use, named as the rules name them."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core.values import replace
from orchestrator.secrets.model.repository import SecretUse
from orchestrator.secrets.place import seen_from

USE = SecretUse(
    *("p620", "wifi", "secrets/wifi.age", True, True, "0400", "0", "0", "/run/agenix/wifi"),
    *(("/etc/ssh/key",), True, True),
)
ELSEWHERE = replace(USE, file="hosts/p620/wifi.age")
FOREIGN = replace(USE, file="/nix/store/x/wifi.age", in_repo=False)


def test_rules_in_a_submodule_mean_the_same_files(tmp_path: Path) -> None:
    """Relative to it; what lies beside it is none of the rules'."""
    (tmp_path / ".git").mkdir()
    flake, root = tmp_path / "nix", tmp_path / "secrets"
    flake.mkdir()
    outside = replace(ELSEWHERE, file=str(tmp_path / ELSEWHERE.file), in_repo=False)
    assert seen_from(root, str(flake), (USE, ELSEWHERE, FOREIGN)) == (
        replace(USE, file="wifi.age"),
        outside,
        FOREIGN,
    )


def test_rules_in_the_flakes_repository_say_it_as_it_does(tmp_path: Path) -> None:
    """Rules in the flake's repository say paths as it does; without one nothing is compared."""
    uses = (USE, ELSEWHERE, FOREIGN)
    assert seen_from(tmp_path, str(tmp_path), uses) == uses
    (tmp_path / ".git").mkdir()
    assert seen_from(tmp_path, str(tmp_path), uses) == uses
