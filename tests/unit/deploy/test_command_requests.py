"""What is typed, and what is asked of a run: each option ends in one value of the request."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete

from orchestrator.cli.main import main, orchestrator
from orchestrator.core.generation import BeforeLast, ToGeneration, ToSystem
from orchestrator.core.host import BuildOn, BuildSite, WhenUnreachable
from orchestrator.core.plan import Goal
from orchestrator.core.rollout import Amount, RolloutPolicy, WhenSpent
from orchestrator.core.run import CopyMethod, DeployRequest, Reboot, Report, Run
from orchestrator.core.specialisation import KEEP, SpecialisePolicy
from orchestrator.core.store import OutPath
from orchestrator.core.values import replace
from orchestrator.deploy import run as deploy_run
from orchestrator.host.setup import Setup

SYSTEM = OutPath("/nix/store/" + "0" * 32 + "-nixos-system-p620")
WHOLE = Amount(100, percent=True)


@dataclass
class Asked:
    """What was asked of the run that a command line made."""

    requests: list[DeployRequest] = field(default_factory=list)
    setups: list[Setup] = field(default_factory=list)

    async def deploy(self, setup: Setup, request: DeployRequest, *_: Any, **__: Any) -> Report:
        """Take note, and do nothing."""
        self.setups.append(setup)
        self.requests.append(request)
        run = Run(1, "/x", "me@here", None, datetime.now(UTC))
        return Report(run, request.goal, request.plan_only, {}, 0.0)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """A fleet of two hosts, and a run that only takes note."""
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    (tmp_path / "fleet/inventory").mkdir(parents=True)
    hosts = "".join(f"  {name}: {{address: {name}.invalid}}\n" for name in ("p620", "razer"))
    (tmp_path / "fleet/inventory/hosts.yaml").write_text(f"hosts:\n{hosts}")
    monkeypatch.chdir(tmp_path / "fleet")
    made = Asked()
    monkeypatch.setattr(deploy_run, "deploy", made.deploy)
    return made


def rolled_out(**policy: Any) -> DeployRequest:
    """A deployment of all hosts with such a rollout."""
    return DeployRequest(rollout=RolloutPolicy(**policy))


LINES = [
    ("deploy", DeployRequest()),
    ("deploy p620 razer", DeployRequest(("p620", "razer"))),
    ("deploy --goal boot", DeployRequest(goal=Goal.BOOT)),
    ("deploy --no-verify", DeployRequest(verify=False)),
    ("deploy --force", DeployRequest(force=True)),
    ("deploy --no-cache", DeployRequest(cache=False)),
    ("deploy --specialisation keep", DeployRequest(specialisation=KEEP)),
    ("deploy --specialisation none", DeployRequest(specialisation=SpecialisePolicy.parse("none"))),
    ("deploy --specialisation=", DeployRequest(specialisation=SpecialisePolicy.parse("none"))),
    (
        "plan razer --goal dry-activate --specialisation gaming",
        DeployRequest(
            ("razer",),
            Goal.DRY_ACTIVATE,
            plan_only=True,
            specialisation=SpecialisePolicy.parse("gaming"),
        ),
    ),
    ("deploy --override-hold f00d", DeployRequest(despite_hold="f00d")),
    ("deploy --skip-preflight clock", DeployRequest(skip_preflight=("clock",))),
    ("deploy --unreachable defer", DeployRequest(unreachable=WhenUnreachable.DEFER)),
    ("deploy --unreachable fail", DeployRequest(unreachable=WhenUnreachable.FAIL)),
    ("deploy --reboot=always", DeployRequest(reboot=Reboot.ALWAYS)),
    ("deploy --all-must-build", DeployRequest(all_must_build=True)),
    ("deploy --fast", DeployRequest(fast=True)),
    ("deploy --copy stream", DeployRequest(copy=CopyMethod.STREAM)),
    ("deploy --build-on target", DeployRequest(build=BuildSite(BuildOn.TARGET))),
    ("deploy --build-on razer", DeployRequest(build=BuildSite(BuildOn.BUILDER, "razer"))),
    ("deploy --canary 1", rolled_out(canary=Amount(1))),
    ("deploy --canary p620", rolled_out(canary="p620")),
    ("deploy --batch 25%", rolled_out(batch=Amount(25, percent=True))),
    ("deploy --batch 1 --pause 2m", rolled_out(batch=Amount(1), pause=120.0)),
    ("deploy --batch 1 --pause 0", rolled_out(batch=Amount(1), pause=0.0)),
    ("deploy --max-failures 2", rolled_out(budget=Amount(2))),
    ("deploy --on-failure roll-back-run", rolled_out(when_spent=WhenSpent.ROLL_BACK_RUN)),
    ("deploy --no-waves", rolled_out(at_once=True)),
    (
        "deploy --one-by-one",
        rolled_out(canary=Amount(1), batch=Amount(1), stages=(), pause=0.0, budget=WHOLE),
    ),
    (
        "deploy --one-by-one --max-failures 2",
        rolled_out(canary=Amount(1), batch=Amount(1), stages=(), pause=0.0, budget=Amount(2)),
    ),
    ("plan", DeployRequest(plan_only=True)),
    ("plan --build", DeployRequest(plan_only=True, plan_builds=True)),
    ("plan --format markdown", DeployRequest(plan_only=True)),
    ("plan razer --goal boot", DeployRequest(("razer",), Goal.BOOT, plan_only=True)),
    ("build razer", DeployRequest(("razer",), Goal.BUILD)),
    (
        "deploy razer --emergency fire",
        DeployRequest(("razer",), verify=False, emergency="fire"),
    ),
    (
        "deploy razer --emergency fire --override-hold f00d --skip-preflight clock",
        DeployRequest(
            ("razer",),
            verify=False,
            emergency="fire",
            despite_hold="f00d",
            skip_preflight=("clock",),
        ),
    ),
]
"""What may be typed, and what it asks."""


@pytest.mark.parametrize(("line", "request_"), LINES)
def test_a_line_is_this_request(asked: Asked, line: str, request_: DeployRequest) -> None:
    """A command line makes exactly this request: nothing typed is lost or added."""
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    assert ended.value.code == 0
    assert asked.requests == [request_]


@pytest.mark.parametrize(
    ("line", "more"),
    [
        ("p620", {}),
        ("p620 --to 41", {"back": ToGeneration(41)}),
        (f"p620 --to {SYSTEM}", {"back": ToSystem(SYSTEM)}),
        ("p620 --dry-run", {"plan_only": True}),
        ("p620 --no-verify", {"verify": False}),
        ("p620 --override-hold f00d", {"despite_hold": "f00d"}),
        ("p620 --skip-preflight clock", {"skip_preflight": ("clock",)}),
        ("p620 --reboot=if-needed", {"reboot": Reboot.IF_NEEDED}),
    ],
)
def test_a_way_back_is_this_request(asked: Asked, line: str, more: dict[str, Any]) -> None:
    """Nothing is built for it, whatever the inventory says."""
    with pytest.raises(SystemExit) as ended:
        main(["rollback", *line.split()])
    assert ended.value.code == 0
    whole = {"back": BeforeLast(), "build": BuildSite(BuildOn.HERE), "title": "rollback", **more}
    assert asked.requests == [DeployRequest(("p620",), **whole)]


@pytest.mark.parametrize(("line", "hosts"), [("build", None), ("build --one-by-one", 1)])
def test_builds_one_by_one_are_limited_to_one(asked: Asked, line: str, hosts: int | None) -> None:
    """No host is changed, so that no wave holds it: places are few instead."""
    with pytest.raises(SystemExit):
        main(line.split())
    (setup,) = asked.setups
    assert (setup.fleet.limits.hosts == 1) == (hosts == 1)


@pytest.mark.parametrize("options", [line for line, _ in LINES if line.startswith("deploy")])
def test_a_plan_is_of_the_deployment_with_the_same_options(asked: Asked, options: str) -> None:
    """``plan`` and ``deploy --dry-run`` take every option, and differ in nothing but that."""
    for command in ("deploy", "plan", "deploy --dry-run"):
        with pytest.raises(SystemExit) as ended:
            main([*command.split(), *options.split()[1:]])
        assert ended.value.code == 0
    deployed, planned, dry = asked.requests
    assert planned == dry == replace(deployed, plan_only=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--goal boot --specialisation gaming", "--goal boot activates nothing"),
        ("--goal push --specialisation keep", "--goal push activates nothing"),
        ("--specialisation ../x", "not a specialisation's name: '../x'"),
    ],
)
def test_a_specialisation_that_could_not_run_is_refused(
    asked: Asked, capsys: pytest.CaptureFixture[str], options: str, said: str
) -> None:
    """A name that can be none, or a goal that activates nothing, is a usage error."""
    with pytest.raises(SystemExit) as ended:
        main(["deploy", *options.split()])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert asked.requests == []


@pytest.mark.parametrize(("typed", "found"), [("", ["keep", "none"]), ("k", ["keep"]), ("g", [])])
def test_a_specialisations_policy_is_completed(typed: str, found: list[str]) -> None:
    """The words that are no name are completed; names are the systems' own."""
    shell = ShellComplete(orchestrator, {}, "orchestrator", "_ORCHESTRATOR_COMPLETE")
    offered = shell.get_completions(["deploy", "--specialisation"], typed)
    assert [item.value for item in offered] == found


def test_a_plan_is_in_one_form_at_a_time(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    """Markdown and JSON at once is a usage error, and nothing is asked of any host."""
    with pytest.raises(SystemExit) as ended:
        main(["plan", "--format", "markdown", "--json"])
    assert ended.value.code == 2
    assert "--format markdown and --json: choose one" in capsys.readouterr().err
    assert asked.requests == []


def test_a_budget_for_a_systems_size_is_a_templates_or_a_hosts(asked: Asked) -> None:
    """The nearest word counts, in units of 1024; where nobody says one there is no limit."""
    text = (
        "templates: {kiosk: {preflight: {closure_budget: 2G}}}\n"
        "hosts:\n  p620: {template: kiosk}\n  razer: {preflight: {closure_budget: 512M}}\n"
        "  samsung: {}\n"
    )
    Path("inventory/hosts.yaml").write_text(text)
    with pytest.raises(SystemExit):
        main(["plan"])
    hosts = asked.setups[0].fleet.hosts
    budgets = [hosts[name].preflight.closure_budget for name in ("p620", "razer", "samsung")]
    assert budgets == [2 << 30, 512 << 20, None]
