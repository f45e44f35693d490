"""What a plan finds out of a change: who is asked, who is believed, and what is not known."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_host import ANSWER, ELSE, NEW, OLD, Bench, refuses_login
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.changed import (
    Foreseen,
    ForeseenUnits,
    NamesChange,
    UnitChanges,
    UnitSource,
)
from orchestrator.core.contents import Contents, Units
from orchestrator.core.event import LogLine
from orchestrator.core.host import Preflight
from orchestrator.core.outcome import Completed, Deployed, Failed
from orchestrator.core.plan import Goal, HostPlan
from orchestrator.core.process import CommandResult
from orchestrator.core.store import OutPath
from orchestrator.core.values import replace
from orchestrator.deploy import said
from orchestrator.deploy.changing import changed, foretelling
from orchestrator.deploy.changing.encrypted import encrypted
from orchestrator.deploy.plan.difference import units_foretold
from orchestrator.deploy.plan.foresee import accounts, boots, completed, names, secrets
from orchestrator.inventory.tree import Origin, Position, Resolved
from orchestrator.nix import verbs as nix

THERE = ANSWER.replace(b"nix=works", b"nix=works\nhas_target=yes")
RUNS = b"""\
file=11  ./same
file=11  ./motd
unit=\ta.service
text=a.service\t[Service]
text=a.service\tExecStart=/one
spec={"users": [{"name": "olaf", "shell": "sh"}], "groups": []}
system={}
state=Id=a.service
state=ActiveState=active
state=FragmentPath=/etc/systemd/system/a.service
state=
booted.kernel=/kernel-1
target.kernel=/kernel-1
end=
"""
OTHER = b"""\
other=
file=11  ./same
file=22  ./motd
file=11  ./new
unit=\ta.service
text=a.service\t[Service]
text=a.service\tExecStart=/two
spec={"users": [{"name": "olaf", "shell": "zsh"}], "groups": [{"name": "g"}]}
system={}
booted.kernel=/kernel-1
target.kernel=/kernel-2
end=
"""
FOUND = Foreseen(
    users=NamesChange(changed=("olaf (shell)",)),
    groups=NamesChange(added=("g",)),
    etc=NamesChange(added=("new",), changed=("motd",)),
    reboot=("kernel",),
    units=ForeseenUnits(UnitChanges(restarted=("a.service",))),
)
AFTER = Contents(
    {"same": "11", "motd": "22", "new": "11"},
    Units({"a.service": ("[Service]", "ExecStart=/two")}, {"a.service": ""}),
    users={"olaf": {"shell": "other"}},
    groups={"g": {}},
    parts={"kernel": "/kernel-2"},
)


def planned(bench: Bench, **request: Any) -> Foreseen:
    """What a plan of the host foresees."""
    outcome = bench.deploy(plan_only=True, **request)
    assert isinstance(outcome, Deployed), outcome
    assert outcome.foreseen is not None
    return outcome.foreseen


@pytest.fixture
def here(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A system that is in the store here, and not on the host."""
    bench.host.answers["contents"] = RUNS

    async def size(_: OutPath) -> int:
        return 3000

    async def read(system: OutPath, _: object) -> Contents:
        bench.delivered.append(f"read {system.name}")
        return AFTER

    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(nix, "is_here", lambda _: True)
    monkeypatch.setattr(foretelling.nix_closure, "closure_size", size)
    monkeypatch.setattr(changed, "closure_size", size)
    monkeypatch.setattr(foretelling, "contents_here", read)
    monkeypatch.setattr(foretelling, "would_differ", nothing)
    return bench


def test_before_a_build_it_is_said_that_nothing_is_known(bench: Bench) -> None:
    """The system is neither here nor there: nobody is asked, and nothing is made up."""
    assert planned(bench) == Foreseen(unknown=(foretelling.NOT_BUILT,))


def test_what_is_here_is_computed_and_the_host_is_asked_what_it_runs(here: Bench) -> None:
    """Units, accounts, files and parts of both systems are compared; the host is as it was."""
    found = planned(here)
    assert found.units == FOUND.units
    assert (found.users, found.groups, found.etc) == (FOUND.users, FOUND.groups, FOUND.etc)
    assert (found.reboot, found.size, found.unknown) == (("kernel",), 3000, ())
    assert here.host.state == (OLD, OLD, OLD)


def test_the_size_is_the_systems_whichever_specialisation_is_to_run(
    here: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is copied, and what a budget is of, is the system with all its specialisations."""
    sizes = {NEW: 3000, ELSE: 1000}

    async def size(out: OutPath) -> int:
        return sizes[out]

    def take(plan: HostPlan) -> HostPlan:
        return replace(plan, specialisation="gaming", live=ELSE)

    monkeypatch.setattr(foretelling.nix_closure, "closure_size", size)
    monkeypatch.setattr(foretelling.specialisation, "found_here", take)
    assert planned(here).size == 3000


def test_many_hosts_of_one_system_have_it_read_once(here: Bench) -> None:
    """What is in the store does not change: the second host of a run is told what the first was."""
    import asyncio

    from orchestrator.core.run import DeployRequest
    from orchestrator.deploy.host import deploy_host

    async def both() -> None:
        shares = here.shares(DeployRequest(plan_only=True), "p620", "razer")
        await asyncio.gather(*map(deploy_host, shares))

    asyncio.run(both())
    assert here.delivered.count(f"read {NEW.name}") == 1


def test_what_the_host_has_is_read_there_and_tried_there(bench: Bench) -> None:
    """Where only the host has the system, both are read there, and a dry activation is believed."""
    bench.host.answers["preflight"] = THERE
    bench.host.answers["contents"] = RUNS + OTHER
    bench.host.programs["dry-activate"] = CommandResult(
        0, b"", b"would restart the following units: b.service\nwould restart systemd\n"
    )
    found = planned(bench)
    assert found.units == ForeseenUnits(
        UnitChanges(restarted=("b.service",)), source=UnitSource.DRY_ACTIVATE, systemd=True
    )
    assert (found.users, found.etc, found.reboot) == (FOUND.users, FOUND.etc, FOUND.reboot)
    assert (found.copy_size, found.copy_paths, found.size) == (0, 0, None)


def test_a_dry_activation_that_fails_leaves_what_was_computed(bench: Bench) -> None:
    """Such as where another activation is at work: the files are believed, and it is said."""
    bench.host.answers["preflight"] = THERE
    bench.host.answers["contents"] = RUNS + OTHER
    bench.host.programs["dry-activate"] = CommandResult(11, b"", b"Could not acquire lock")
    found = planned(bench)
    assert found.units == FOUND.units
    assert found.unknown == ("units: dry-activate failed (exit 11)",)


def test_a_host_that_does_not_say_what_it_is_made_of_is_planned_for(here: Bench) -> None:
    """The plan stands; what of it is not known is said, with the reason."""
    here.host.answers["contents"] = b"link=x\ty\n"
    found = planned(here)
    assert (found.units, found.etc, found.size) == (None, None, 3000)
    assert found.unknown == (
        "units, users and files in /etc: the host did not say what its system consists of",
    )
    here.host.answers["contents"] = b"end=\n"
    assert planned(here).unknown == (
        "units: the host did not say which run",
        "users: the systems have no list of them",
    )


def test_a_goal_that_activates_nothing_speaks_of_no_units(here: Bench) -> None:
    """What boots next touches no unit now; what is copied only is no change at all."""
    found = planned(here, goal=Goal.BOOT)
    assert (found.units, found.etc, found.unknown) == (None, FOUND.etc, ())
    assert isinstance(here.deploy(Goal.PUSH, plan_only=True), Completed)


def test_a_plan_builds_only_where_it_is_told_to(bench: Bench) -> None:
    """``--build`` builds before anything is said, and changes no host."""
    planned(bench)
    assert bench.delivered == []
    elsewhere = planned(bench, plan_builds=True)
    assert elsewhere == Foreseen(unknown=(foretelling.ELSEWHERE,))
    assert bench.delivered == ["build"]
    bench.host.goes_wrong("build", refuses_login)
    outcome = bench.deploy(plan_only=True, plan_builds=True)
    assert isinstance(outcome, Failed)
    assert bench.host.state == (OLD, OLD, OLD)


def test_features_that_come_and_go_are_named_with_their_reasons(
    here: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the host says that it has is compared with what the inventory gives it."""
    place = Position("inventory/hosts.yaml", 12)
    reasons = {"web": Origin(place, "host p620"), "db": Origin(place, "required by web")}
    origins = [Resolved("features", name, origin) for name, origin in reasons.items()]
    inventory = SimpleNamespace(origins=lambda _: origins)
    monkeypatch.setattr(said, "load", lambda _: inventory)
    runs = b'{"features": ["web", "tail"]}'
    here.host.programs["/etc/fleet/host.json"] = CommandResult(0, runs, b"")
    assert [(note.topic, note.text) for note in planned(here).notes] == [
        ("features", "+ db: inventory/hosts.yaml:12 (required by web)"),
        ("features", "- tail"),
    ]


def test_a_system_over_its_budget_is_refused_and_can_be_let_past(here: Bench) -> None:
    """The check has a name: a plan foretells it, a person skips it, an emergency passes it."""
    here.preflight = Preflight(clock_skew=1e12, closure_budget=2000)
    plan = here.deploy(plan_only=True)
    assert isinstance(plan, Deployed)
    assert plan.warnings == ("preflight would refuse: its system takes 3 KiB, 2 KiB are allowed",)
    assert plan.foreseen is not None
    assert plan.foreseen.budget == 2000
    refused = here.deploy()
    assert isinstance(refused, Failed)
    assert (refused.problem.refused, refused.problem.checks) == (True, ("closure-size",))
    for past in ({"skip_preflight": ("closure-size",)}, {"emergency": "fire"}):
        here.host.running = here.host.profile = here.host.boot_default = OLD
        assert isinstance(here.deploy(**past), Deployed)


def test_a_size_that_nobody_knows_refuses_nothing(bench: Bench) -> None:
    """What is built elsewhere, and not on the host yet, has no size; the host says its own."""
    bench.preflight = Preflight(clock_skew=1e12, closure_budget=2000)
    outcome = bench.deploy()
    assert isinstance(outcome, Deployed)
    assert any("is not known beforehand" in text for text in outcome.warnings)
    bench.host.answers |= {"preflight": THERE, "size": b"size=5000"}
    bench.target = ELSE
    refused = bench.deploy()
    assert isinstance(refused, Failed)
    assert refused.problem.checks == ("closure-size",)


def test_what_a_dry_activation_says_is_read() -> None:
    """NixOS's lines are understood; a service that is stopped and started counts as restarted."""
    said = """\
would stop the following units: a.service, b.service
would NOT stop the following changed units: keep.service
would activate the configuration...
would reload the following units: dbus.service
would restart the following units: c.timer
would start the following units: a.service, dev-disk-by\\x2dlabel-a.swap
would restart the following units: $(evil)
would stop swap device: /dev/a"""
    assert units_foretold(said) == ForeseenUnits(
        UnitChanges(
            restarted=("a.service", "c.timer"),
            reloaded=("dbus.service",),
            started=("dev-disk-by\\x2dlabel-a.swap",),
            stopped=("b.service",),
        ),
        kept=("keep.service",),
        source=UnitSource.DRY_ACTIVATE,
    )
    assert units_foretold("would restart systemd\n").systemd


def test_new_units_are_added_to_what_a_dry_activation_says() -> None:
    """A dry activation does not name what targets start; of what it names it has the last word."""
    dry = ForeseenUnits(UnitChanges(stopped=("a.service",)), source=UnitSource.DRY_ACTIVATE)
    computed = ForeseenUnits(UnitChanges(started=("a.service", "new.service")))
    assert completed(dry, computed).changes == UnitChanges(
        started=("new.service",), stopped=("a.service",)
    )
    assert completed(dry, None) == dry


def test_encrypted_files_are_compared_by_their_names() -> None:
    """One that is encrypted anew has another path, and the same name; nothing else is a secret."""

    def paths(letter: str, *files: str) -> list[OutPath]:
        return [OutPath(f"/nix/store/{letter * 32}-{name}") for name in files]

    gone, new = paths("a", "wifi.age", "old.age", "bash-5"), paths("b", "wifi.age", "new.age")
    assert secrets(gone, new) == NamesChange(("new.age",), ("old.age",), ("wifi.age",))


def test_a_file_of_sops_is_told_as_a_file(tmp_path: Path) -> None:
    """By its metadata, whatever it is called; that its values are not compared is said with it."""

    def stored(letter: str, name: str, text: str) -> OutPath:
        (tmp_path / f"{letter * 32}-{name}").write_text(text)
        return OutPath(f"/nix/store/{letter * 32}-{name}")

    value = "ENC[AES256_GCM,data:BQ==,iv:44w=,tag:zyZ=,type:str]"
    sops = f"token: {value}\nsops:\n    mac: {value}\n    age: [{{recipient: age1x}}]\n"
    gone = [stored("a", "hosts.yaml", sops), stored("a", "plain.yaml", "token: a\n")]
    new = [stored("b", "hosts.yaml", sops), stored("b", "plain.yaml", "token: b\n")]
    new += [
        stored("b", "odd.yaml", f"sops: {value}\n"),
        OutPath(f"/nix/store/{'c' * 32}-lacking.yaml"),
    ]
    found = asyncio.run(encrypted(gone, new, tmp_path))
    assert found.changed == ("hosts.yaml (of sops: the file; its values are not compared)",)
    assert (found.added, found.removed) == ((), ())


def test_accounts_without_a_list_are_not_known() -> None:
    """Where either system declares no accounts in a form that is known, none is said to change."""
    assert accounts(None, {}) is None
    assert accounts({}, None) is None
    assert accounts({"a": {"uid": "1"}}, {"a": {"uid": "1", "shell": "x"}}) == NamesChange(
        changed=("a (shell)",)
    )


def test_what_needs_a_boot_is_found_for_specialisations_too() -> None:
    """A boot brings the system itself; what keeps NixOS from a live switch is named first."""
    running = Contents({}, Units(), components={"dbus": "a"})
    target = Contents({}, Units(), parts={"kernel": "2"}, components={"dbus": "b"})
    booted = {"kernel": "1"}
    assert boots(running, target, booted, None) == (("dbus: a -> b", "kernel"), False)
    plain = Contents({}, Units(), parts={"kernel": "2"})
    assert boots(running, plain, booted, {"kernel": "2"}) == (("kernel",), True)
    assert boots(running, plain, booted, {"kernel": "1"}) == ((), True)
    init = Contents({}, Units(), parts=booted, components={"init-interface-version": "2"})
    assert boots(running, init, booted, None)[1] is False


PLACES = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2))


@given(PLACES, PLACES)
def test_names_that_differ_make_the_one_side_of_the_other(
    before: Mapping[str, int], after: Mapping[str, int]
) -> None:
    """Each name is in one list at most, and the lists are all that differs."""
    found = names(before, after)
    kept = (before.keys() | set(found.added)) - set(found.removed)
    assert kept == after.keys()
    same = kept - set(found.added) - set(found.changed)
    assert all(before[name] == after[name] for name in same)
    assert all(before[name] != after[name] for name in found.changed)


def test_nothing_of_a_password_is_logged(here: Bench) -> None:
    """A host's list of accounts has hashes: none of it is in an event."""
    here.host.answers["contents"] = RUNS.replace(b'"sh"', b'"sh", "hashedPassword": "$6$secret"')
    planned(here)
    logged = [event.text for event in here.events if isinstance(event, LogLine)]
    assert not any("$6$" in text for text in logged)
    assert "$6$" not in repr(here.events)
