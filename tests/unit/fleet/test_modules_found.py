"""Which files are modules of a fleet, and which of its hosts is the smallest that has one."""

from __future__ import annotations

import pytest

from orchestrator.core.errors import UsageError
from orchestrator.core.host import Connect, Fleet, Host
from orchestrator.fleet.modules import Module, modules_of, nix_string

SMALL = Host("small", "small", Connect("s"), template="server", profiles=("admin",))
LARGE = Host(
    *("large", "large", Connect("l")),
    template="server",
    profiles=("admin", "developer"),
    features=("printing",),
)
FLEET = Fleet("f", "/f", "/f", {"large": LARGE, "small": SMALL})


def test_a_module_is_found_by_its_folder_and_evaluated_in_its_smallest_host() -> None:
    """Of two hosts that have it, the one with fewer modules; none where nobody has it."""
    files = (
        *("templates/server.nix", "templates/base.nix", "templates/profiles/admin.nix"),
        *("templates/profiles/developer.nix", "templates/features/unused.nix"),
        *("flake.nix", "hosts/small/default.nix", "templates/features/deep/er.nix"),
    )
    assert modules_of(FLEET, files) == (
        Module("templates/base.nix", None),
        Module("templates/features/unused.nix", None),
        Module("templates/profiles/admin.nix", SMALL),
        Module("templates/profiles/developer.nix", LARGE),
        Module("templates/server.nix", SMALL),
    )


def test_a_fleet_of_another_layout_is_refused_with_what_to_do() -> None:
    """Nothing was evaluated: it is not said that all is right."""
    with pytest.raises(UsageError) as refused:
        modules_of(FLEET, ("flake.nix", "modules/server.nix"))
    assert "templates/profiles" in refused.value.message
    assert "check --eval" in (refused.value.hint or "")


@pytest.mark.parametrize("name", ['a"b', "${builtins.abort 1}", "a\\b", "a\nb", "$${x}"])
def test_a_files_name_is_data_in_the_expression(name: str) -> None:
    """A file's name is a string in the expression: nothing in it ends that or begins another."""
    text = nix_string(name)
    assert text.startswith('"')
    assert text.endswith('"')
    inside = text[1:-1].replace("\\\\", "").replace('\\"', "").replace("\\${", "")
    assert '"' not in inside
    assert "${" not in inside
