"""What a deployment says that it changed, and a plan that it would."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fake_host import ANSWER, NEW, OLD, Bench, then

from orchestrator.core.changed import ClosureChange, PackageChange, SystemChange, UnitChanges
from orchestrator.core.event import LogLine
from orchestrator.core.host import Connect, Host
from orchestrator.core.outcome import Deployed
from orchestrator.core.plan import Goal, HostPlan
from orchestrator.core.run import HostResult
from orchestrator.core.state import HostState
from orchestrator.core.store import Existing, OutPath
from orchestrator.core.values import replace
from orchestrator.deploy.changing import changed
from orchestrator.host import difference
from orchestrator.nix import verbs as nix
from orchestrator.render.event_json import result_to_json


def path(name: str) -> str:
    """A path in the store."""
    return f"/nix/store/{'a' * 32}-{name}"


COMPARED = "\n".join(
    (
        *(f"gone={path('nginx-1.26')}", f"gone={path('etc')}", f"new={path('nginx-1.28')}"),
        *(f"direct={path('nginx-1.28')}", "gone.size=1000", "new.size=12001000"),
        *("compared=yes", "end=\n"),
    )
).encode()
NGINX = PackageChange("nginx", ("1.26",), ("1.28",))
HOST = Host("p620", "p620", Connect("192.0.2.1"))
SAID = "restarting the following units: nginx.service a.service\n"


@pytest.fixture
def compared(bench: Bench) -> Bench:
    """A host that says how its closures differ, and what it did with units."""
    bench.host.answers["switching"] = COMPARED

    def says(host: Any) -> None:
        host.running = NEW
        host.guard.log += SAID

    bench.host.goes_wrong("in activate", then(says))
    return bench


def deployed(bench: Bench, **request: Any) -> Deployed:
    """Deploy the host, which succeeds."""
    outcome = bench.deploy(**request)
    assert isinstance(outcome, Deployed)
    return outcome


def logged(bench: Bench) -> list[str]:
    """The host's log."""
    return [event.text for event in bench.events if isinstance(event, LogLine)]


def test_a_result_names_packages_and_units_and_no_store_path(compared: Bench) -> None:
    """The log has the paths, and the JSON all of it."""
    outcome = deployed(compared)
    assert outcome.reason == "nginx 1.26 → 1.28, 2 units restarted, closure +12 MB"
    assert outcome.changed == SystemChange(
        ClosureChange((NGINX,), 0, 12_000_000),
        UnitChanges(restarted=("a.service", "nginx.service")),
    )
    assert f"system: {OLD} → {NEW}" in logged(compared)
    assert "package: nginx 1.26 → 1.28" in logged(compared)
    said = json.loads(json.dumps(result_to_json(HostResult(outcome, 1.0))))
    assert said["out_path"] == NEW.path
    assert said["changed"] == {
        "closure": {
            "packages": [{"package": "nginx", "before": ["1.26"], "after": ["1.28"]}],
            "more": 0,
            "rebuilt": 0,
            "size": 12_000_000,
        },
        "units": {
            "restarted": ["a.service", "nginx.service"],
            "reloaded": [],
            "started": [],
            "stopped": [],
        },
    }


def test_what_is_set_to_boot_only_is_told_as_that(compared: Bench) -> None:
    """Nothing was activated: no unit is told of, and when it takes effect is."""
    outcome = deployed(compared, goal=Goal.BOOT)
    assert outcome.reason == f"nginx 1.26 → 1.28, closure +12 MB: {Goal.BOOT.achievement}"
    assert outcome.changed is not None
    assert outcome.changed.units is None


def test_where_nothing_is_known_the_systems_are_named(bench: Bench) -> None:
    """A host that does not compare is deployed all the same, and nothing is made up."""
    outcome = deployed(bench)
    assert outcome.reason == f"{OLD.short} → {NEW.short}"
    assert outcome.changed == SystemChange(None, UnitChanges())


def test_an_activation_that_said_too_much_is_not_counted(compared: Bench) -> None:
    """Where an activation's first lines are not kept, restarted units are not counted."""

    def says(host: Any) -> None:
        host.running = NEW
        host.guard.log += SAID + "x" * 70_000 + "\n"

    compared.host.faults["in activate"] = [then(says)]
    assert deployed(compared).reason == "nginx 1.26 → 1.28, closure +12 MB"


def test_a_long_list_of_packages_is_cut_in_the_log_and_the_json(bench: Bench) -> None:
    """Ten thousand new packages are a sentence, some lines, and a number."""
    many = "".join(f"new={path(f'p{number}-1')}\n" for number in range(10_000))
    bench.host.answers["switching"] = f"{many}compared=yes\nend=\n".encode()
    outcome = deployed(bench)
    assert outcome.reason.endswith(" and 9997 more packages")
    assert len([line for line in logged(bench) if line.startswith("package: ")]) == 200
    assert "packages: 9800 more" in logged(bench)
    closure: Any = result_to_json(HostResult(outcome, 1.0))["changed"]
    assert len(closure["closure"]["packages"]) == 200
    assert closure["closure"]["more"] == 9800


def test_a_plan_says_that_it_is_not_known_before_the_build(bench: Bench) -> None:
    """The system is neither here nor there."""
    outcome = deployed(bench, plan_only=True)
    assert outcome.reason == (
        f"it runs {OLD.short}, wanted is {NEW.short}; what that changes is known once it is built"
    )
    assert outcome.changed is None


def test_a_plan_of_a_system_that_the_host_has_says_what_would_change(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one that was pushed, or that it ran before: the host compares them."""
    bench.host.answers["preflight"] = ANSWER.replace(b"nix=works", b"nix=works\nhas_target=yes")

    async def asked(_: object, target: OutPath | None, closure: object = ()) -> Any:
        assert target == NEW
        return difference.parse_difference(COMPARED.decode().split("\n"))

    monkeypatch.setattr(changed, "ask_difference", asked)
    outcome = deployed(bench, plan_only=True)
    assert outcome.reason == "nginx 1.26 → 1.28, closure +12 MB"
    assert outcome.changed == SystemChange(ClosureChange((NGINX,), 0, 12_000_000))
    assert bench.host.state == (OLD, OLD, OLD)


def test_a_plan_of_a_host_that_does_not_compare_is_a_plan(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the store here is not whole, or the host is silent, less is said."""
    monkeypatch.setattr(nix, "is_here", lambda _: True)

    async def broken(*_: object) -> Any:
        raise changed.StepError("the closure could not be read")

    monkeypatch.setattr(changed.closures, "closure_of", broken)
    assert changed.UNKNOWN in deployed(bench, plan_only=True).reason
    assert "what would change is not known: the closure could not be read" in logged(bench)


def test_a_plan_names_the_files_that_changed_and_no_store_path() -> None:
    """Whose change it is, and what it changes, or that this is not known yet."""
    out = OutPath(f"{NEW}")
    plan = HostPlan(HOST, Goal.SWITCH, Existing(out), (), None, "it runs …", "flake.nix changed")
    state = HostState("m", "b", OLD, OLD, OLD, OLD)
    closure = ClosureChange((NGINX,), 0, None)
    assert changed.planned(plan, state, closure) == "flake.nix changed: nginx 1.26 → 1.28"
    assert changed.planned(plan, state, None) == f"flake.nix changed; {changed.UNKNOWN}"
    left = replace(plan, cause=None)
    assert changed.planned(left, state, closure) == "it runs …; nginx 1.26 → 1.28"
    assert changed.planned(plan, replace(state, running=out), None) == "it runs …"
