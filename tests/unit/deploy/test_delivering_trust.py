"""Whose word a host's system is taken for is said, or what the inventory says forbids it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from orchestrator.core.errors import RefusedError
from orchestrator.core.host import BuildOn, BuildSite, Connect, Host, UnsignedBuilds
from orchestrator.core.plan import Goal, HostPlan, Step
from orchestrator.core.run import CopyMethod, DeployRequest
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.deploy.delivering.delivery import say_or_refuse
from orchestrator.deploy.plan.decide import steps
from orchestrator.deploy.work import HostWork

OUT = OutPath(f"/nix/store/{'n' * 32}-nixos-system-web-1")
BUILDER = BuildSite(BuildOn.BUILDER, "p620")
MACHINE = "ssh-ng://root@arm.lan aarch64-linux"


def said(
    host: dict[str, Any],
    request: dict[str, Any] | None = None,
    builders: tuple[str, ...] = (),
    goal: Goal = Goal.SWITCH,
    without: frozenset[Step] = frozenset(),
) -> str:
    """What is said of a host before it is built."""
    notices: list[str] = []
    web = Host("web", "web", Connect("web"), **host)
    setup = SimpleNamespace(fleet=SimpleNamespace(builders=builders))
    session = SimpleNamespace(request=DeployRequest(**(request or {})), setup=setup)
    work = SimpleNamespace(
        session=session,
        host=web,
        notice=lambda text, warning: notices.append(text),  # noqa: ARG005
    )
    left = tuple(step for step in steps(goal) if step not in without)
    plan = HostPlan(web, goal, Evaluated(DrvPath(f"{OUT}.drv"), OUT), left, None, "")
    say_or_refuse(cast("HostWork", work), plan)
    return " / ".join(notices)


@pytest.mark.parametrize(
    ("host", "request_"),
    [
        ({"build": BUILDER}, {}),
        ({}, {"build": BUILDER}),
        ({"build": BUILDER, "substitute": "lan"}, {"copy": CopyMethod.STREAM}),
    ],
)
def test_it_is_said_or_refused(host: dict[str, Any], request_: dict[str, Any]) -> None:
    """A builder that nobody trusts is refused; a trusted one is named with who is root there."""
    assert "built on p620 and not signed: whoever is root there" in said(host, request_)
    with pytest.raises(RefusedError, match="unsigned_builds: refuse") as raised:
        said({**host, "unsigned_builds": UnsignedBuilds.REFUSE}, request_)
    assert "cache" in str(raised.value.hint)


def test_what_nix_s_own_builders_give_back_is_not_signed_either() -> None:
    """What Nix's own builders give back is not signed, so a host that wants that is refused."""
    assert said({}, builders=(MACHINE,)) == ""
    with pytest.raises(RefusedError, match=r"built on ssh-ng://root@arm\.lan and not signed"):
        said({"unsigned_builds": UnsignedBuilds.REFUSE}, builders=(MACHINE,))


@pytest.mark.parametrize(
    "case",
    [
        {"host": {}},
        {"host": {"build": BuildSite(BuildOn.TARGET)}, "builders": (MACHINE,)},
        {"host": {"build": BuildSite(BuildOn.BUILDER, "web")}},
        {"host": {"build": BUILDER, "substitute": "lan"}},
        {"host": {"build": BUILDER}, "goal": Goal.BUILD},
        {"host": {"build": BUILDER}, "without": frozenset({Step.BUILD, Step.COPY})},
    ],
)
def test_nothing_is_said_where_nobody_else_decides(case: dict[str, Any]) -> None:
    """Built here or there, fetched with a signature, or not brought to the host at all."""
    assert said(**case) == ""
    host = {**case["host"], "unsigned_builds": UnsignedBuilds.REFUSE}
    assert said(**{**case, "host": host}) == ""
