"""Host names and build sites."""

from __future__ import annotations

import pytest

from orchestrator.core.host import BuildOn, BuildSite, is_host_name


@pytest.mark.parametrize("name", ["a", "p620", "dex5550", "a-b", "3com", "a" * 63, "0", "a--b"])
def test_a_label_is_a_host_name(name: str) -> None:
    """Letters, digits and inner dashes, up to 63: RFC 1123 section 2.1, in lower case."""
    assert is_host_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-a",
        "a-",
        "-",
        "a" * 64,
        "A",
        "a.b",
        "a_b",
        "a b",
        "a\n",
        "é",
        "٣",
        "../x",
        "-oProxyCommand=x",
    ],
)
def test_anything_else_is_none(name: str) -> None:
    """Nothing that a shell, a path or ssh could read as anything but a name."""
    assert not is_host_name(name)


def test_a_build_site_is_called_by_what_a_person_types() -> None:
    """A build site is called ``here``, ``target`` or by its builder's name."""
    assert str(BuildSite()) == "here"
    assert str(BuildSite(BuildOn.TARGET)) == "target"
    assert str(BuildSite(BuildOn.BUILDER, "p620")) == "p620"
