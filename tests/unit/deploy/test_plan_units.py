"""Which units a switch touches, by two systems' files: NixOS's rules, and who else reads them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.changed import ForeseenUnits, UnitChanges
from orchestrator.core.contents import ActiveUnit, Contents, Units
from orchestrator.deploy.plan.unit_files import parse
from orchestrator.deploy.plan.units import FOLDER, Difference, compare, foresee

RULES = Path(__file__).parents[3] / "orchestrator/lab/nixpkgs/nixos/changed-units.sh"
MASK = "/dev/null"


def system(units: Mapping[str, str], fstab: str = "") -> Contents:
    """A system with units, by their texts; ``target/unit`` is what a target wants."""
    texts: dict[str, tuple[str, ...]] = {}
    links: dict[str, str] = {}
    for name, text in units.items():
        folder, slash, unit = name.partition("/")
        if slash and not folder.endswith(".d"):
            links[f"{folder}.wants/{unit}"] = f"../{unit}"
        else:
            links[name], texts[name] = "", tuple(text.split("\n"))
    return Contents({}, Units(texts, links), tuple(fstab.split("\n")))


def active(*names: str, **states: str) -> dict[str, ActiveUnit]:
    """Units that run, or are in another state."""
    said = {**dict.fromkeys(names, "active"), **states}
    return {name: ActiveUnit(state, f"{FOLDER}{name}") for name, state in said.items()}


def switched(
    before: Mapping[str, str], after: Mapping[str, str], *names: str, **more: str
) -> UnitChanges:
    """What becomes of units that run; all of the old system do, where none are named."""
    runs = active(*(names or [name for name in before if "/" not in name]), **more)
    return foresee(system(before), system(after), runs).changes


def sections(text: str) -> dict[str, dict[str, list[str]]]:
    """A unit file's."""
    found: dict[str, dict[str, list[str]]] = {}
    parse(text.split("\n"), found)
    return found


NONE, RELOAD, RESTART = Difference.NONE, Difference.RELOAD, Difference.RESTART


@pytest.mark.parametrize(
    ("before", "after", "asked"),
    [
        # What the tests of NixOS's own switch-to-configuration promise.
        ("", "", NONE),
        ("[Unit]", "", NONE),
        ("[Unit]\nX-Reload-Triggers=foobar", "", NONE),
        ("[foobar]", "", RESTART),
        ("[Mount]\nOptions=", "[Mount]\nOptions=ro", RELOAD),
        ("", "[Unit]\nX-Reload-Triggers=foobar", RELOAD),
        ("[Unit]\nX-Reload-Triggers=foobar", "[Unit]\nX-Reload-Triggers=barfoo", RELOAD),
        ("", "[Service]\nExecReload=foobar", RELOAD),
        ("[Service]\nExecReload=foobar", "[Service]\nExecReload=barfoo", RELOAD),
        ("[Unit]\nDescription=x", "[Unit]\nDescription=x\n[Service]\nExecStart=y", RESTART),
        ("[Unit]\nDescription=x", "[Unit]\nDescription=x\n[Service]\nExecReload=y", RELOAD),
        ("[Service]\nExecStart=a\nExecReload=b", "[Service]\nExecStart=a", NONE),
        ("[Service]\nExecReload=b", "", NONE),
        # And what follows from its text.
        ("[Unit]\nAfter=a", "[Unit]\nAfter=b", RESTART),
        ("[Unit]\nDescription=a", "[Unit]\nDescription=b\nOnFailure=c", NONE),
        ("[Unit]\nAfter=a", "", RESTART),
        ("[Unit]\nOnFailure=a", "", NONE),
        ("[Service]\nExecStart=a", "[Service]\nExecStart=b", RESTART),
        ("[Service]\nExecStart=a", "[Service]\nExecStart=a\nExecReload=b\nUser=c", RESTART),
        ("[Service]\nA=1\nA=2", "[Service]\nA=2\nA=1", RESTART),
        ("[Service]\nA=1\nB=2", "[Service]\nB=2\nA=1", NONE),
        ("[Service]\nA=1\nA=\nA=2", "[Service]\nA=2", NONE),
        ("[Mount]\nWhat=a", "[Mount]\nWhat=a\nOptions=ro", RESTART),
        ("[Mount]\nWhat=a\nOptions=ro", "[Mount]\nWhat=a", RESTART),
        ("", "[Service]", RESTART),
        ("", "[Unit]\nDescription=x\n[Service]\nExecReload=y", RESTART),
        ("[Install]\nWantedBy=a", "[Install]\nWantedBy=b", NONE),
        ("# one\n[Service]\n; A=1\nB=2", "[Service]\nB=2", NONE),
        ("[Service]\nExecStart=a \\\n# between\n b", "[Service]\nExecStart=a   b", NONE),
        ("[Service]\nA=a\\\\\nB=b", "[Service]\nB=b\nA=a\\\\", NONE),
        ("[Service]\nA=a ; one\nB='b'", "[Service]\nA=a # two\nB=b", NONE),
        ("[Service]\nA=a;b", "[Service]\nA=a;c", RESTART),
        ('[Service]\nA="x" y\nB="z', '[Service]\nA=x y\nB="z', NONE),
        ('[Service]\nA="a" "b"', '[Service]\nA="a" "c"', RESTART),
    ],
)
def test_a_difference_asks_for_a_restart_a_reload_or_nothing(
    before: str, after: str, asked: Difference
) -> None:
    """Which keys and sections of a unit count for what is NixOS's rule."""
    assert compare(sections(before), sections(after)) is asked


def test_a_changed_service_is_restarted_and_what_is_the_same_is_not() -> None:
    """Only what runs is touched, and only where its text asks for it."""
    before = {"a.service": "[Service]\nA=1", "b.service": "[Service]\nB=1"}
    after = {"a.service": "[Service]\nA=2", "b.service": "[Service]\nB=1"}
    assert switched(before, after) == UnitChanges(restarted=("a.service",))
    assert switched(before, after, "b.service") == UnitChanges()


def test_a_unit_that_is_gone_or_masked_is_stopped() -> None:
    """Unless it says that it is not to be; a unit of no file of NixOS's is let be."""
    before = {"a.service": "", "b.service": "[Unit]\nX-StopOnRemoval=false"}
    assert switched(before, {}) == UnitChanges(stopped=("a.service",))
    assert switched(before, {}, "a.service", "other.service").stopped == ("a.service",)
    masked = Contents({}, Units({}, {"a.service": MASK}))
    found = foresee(system(before), masked, active("a.service"))
    assert found.changes == UnitChanges(stopped=("a.service",))
    elsewhere = {"a.service": ActiveUnit("active", "/run/systemd/system/a.service")}
    assert foresee(system(before), masked, elsewhere).changes == UnitChanges()


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("X-ReloadIfChanged=true", ForeseenUnits(UnitChanges(reloaded=("a.service",)))),
        ("X-RestartIfChanged=false", ForeseenUnits(UnitChanges(), kept=("a.service",))),
        ("X-StopIfChanged=false", ForeseenUnits(UnitChanges(restarted=("a.service",)))),
    ],
)
def test_a_service_says_itself_what_a_change_does(setting: str, found: ForeseenUnits) -> None:
    """``reloadIfChanged``, ``restartIfChanged`` and the like are NixOS's options for it."""
    before = system({"a.service": "[Service]\nA=1"})
    after = system({"a.service": f"[Service]\nA=2\n{setting}"})
    assert foresee(before, after, active("a.service")) == found


@pytest.mark.parametrize("key", ["RefuseManualStop", "X-OnlyManualStart"])
def test_a_unit_that_is_not_to_be_touched_by_hand_is_kept(key: str) -> None:
    """Such a unit changed, and runs on as it is."""
    before, after = "[Unit]\nA=1", f"[Unit]\nA=2\n{key}=yes"
    found = foresee(
        system({"a.service": before}), system({"a.service": after}), active("a.service")
    )
    assert (found.kept, found.changes) == (("a.service",), UnitChanges())


@pytest.mark.parametrize(
    "unit", ["a.slice", "a.path", "a.socket", "multi-user.target", "other.target"]
)
def test_some_kinds_are_never_restarted(unit: str) -> None:
    """Slices, paths, sockets and targets take what changed of them without it."""
    assert switched({unit: "[Unit]\nA=1"}, {unit: "[Unit]\nA=2"}) == UnitChanges()


@pytest.mark.parametrize(
    ("target", "more", "stops"),
    [
        ("a.target", "", False),  # It is started again at once, and nobody is told.
        ("a.target", "RefuseManualStart=yes", True),
        ("a.target", "X-OnlyManualStart=yes", True),
        ("suspend.target", "", True),
    ],
)
def test_a_target_that_stops_for_each_change_is_told_where_it_stays_stopped(
    target: str, more: str, stops: bool
) -> None:
    """``X-StopOnReconfiguration`` stops a target; most are started again with all others."""
    text = f"[Unit]\nX-StopOnReconfiguration=true\n{more}"
    assert switched({target: text}, {target: text}).stopped == ((target,) if stops else ())


def test_timers_and_mounts_are_restarted_as_they_are() -> None:
    """What is no service has nothing to stop; the root and the store are only mounted anew."""
    names = ("a.timer", "a.mount", "-.mount", "nix.mount")
    before = dict.fromkeys(names, "[Unit]\nA=1")
    after = dict.fromkeys(names, "[Unit]\nA=2")
    assert switched(before, after) == UnitChanges(
        restarted=("a.mount", "a.timer"), reloaded=("-.mount", "nix.mount")
    )


def test_a_socket_starts_its_service_again() -> None:
    """The service is stopped and not started; its socket is, which is there in both systems."""
    before = {"a.service": "[Service]\nA=1", "a.socket": ""}
    after = {**before, "a.service": "[Service]\nA=2"}
    assert switched(before, after) == UnitChanges(restarted=("a.socket",), stopped=("a.service",))
    named = {**after, "a.service": "[Service]\nA=2\nSockets=b.socket", "b.socket": ""}
    assert switched(before, named) == UnitChanges(stopped=("a.service",))
    alone = {**after, "a.service": "[Service]\nA=2\nX-NotSocketActivated=1"}
    assert switched(before, alone) == UnitChanges(restarted=("a.service", "a.socket"))
    without = {"a.service": "[Service]\nA=2"}
    assert switched(before, without).restarted == ("a.service",)


def test_instances_are_of_their_template_and_of_their_drop_ins() -> None:
    """An instance changes with its template; one that a drop-in made goes with it."""
    before = {"a@.service": "[Service]\nA=1", "a@x.service.d/o.conf": "[Service]\nB=1"}
    instances = ("a@x.service", "a@y.service")
    after = {**before, "a@.service": "[Service]\nA=2"}
    assert switched(before, after, *instances).restarted == instances
    other = {**before, "a@x.service.d/o.conf": "[Service]\nB=2"}
    assert switched(before, other, *instances).restarted == ("a@x.service",)
    gone = {"a@.service": before["a@.service"]}
    assert switched(before, gone, *instances) == UnitChanges(stopped=("a@x.service",))
    assert switched(before, {}, *instances).stopped == instances
    own = {"a@.service": "", "a@own.service": ""}
    assert switched(own, {"a@.service": ""}, "a@own.service").stopped == ("a@own.service",)


def test_what_targets_newly_want_is_started() -> None:
    """New units start, by way of others too; not what ends at once, is unwanted, or is there."""
    before = {"multi-user.target": "", "multi-user.target/old.service": "", "old.service": ""}
    after = {
        **before,
        "multi-user.target/new.service": "",
        "new.service": "[Unit]\nWants=below.service absent.service\n[Service]\nSockets=new.socket",
        "new.socket": "",
        "below.service": "[Service]\nType=oneshot\nRemainAfterExit=yes",
        "multi-user.target/once.service": "",
        "once.service": "[Service]\nType=oneshot",
        "idle.service": "",
        "multi-user.target/runs.service": "",
        "runs.service": "",
    }
    found = switched(before, after, "multi-user.target", "runs.service")
    assert found == UnitChanges(started=("below.service", "new.service", "new.socket"))
    assert switched(before, after, "old.service", "runs.service") == UnitChanges()


def test_what_failed_is_started_again_and_what_ended_is_not() -> None:
    """A target that wants a failed unit has it started; one that ended well is not spoken of."""
    files = {"multi-user.target": "", "multi-user.target/a.service": "", "a.service": ""}
    assert switched(files, files, "multi-user.target", **{"a.service": "failed"}).started == (
        "a.service",
    )
    assert switched(files, files, "multi-user.target") == UnitChanges()


def test_file_systems_are_mounted_and_left_as_fstab_says() -> None:
    """Other options are a reload, another device a restart, and none any more a stop."""
    before = "/dev/a / ext4 x\n/dev/b /b ext4 x\n/dev/c /c-d/.e ext4 x\n/dev/d /d ext4 x\n# no\nz"
    before += "\n/dev/s none swap x\n/dev/f /f ext4 x-systemd.automount\n/dev/n /nix ext4 x"
    after = "/dev/z / ext4 x\n/dev/b /b ext4 y\n/dev/d /d xfs x\n/dev/m /nix ext4 y"
    found = foresee(system({}, before), system({}, after), {})
    assert found.changes == UnitChanges(
        restarted=("d.mount",),
        reloaded=("b.mount", "nix.mount"),
        stopped=("c\\x2dd-.e.mount", "f.automount"),
    )
    assert found.kept == ("-.mount",)


def test_a_mount_points_name_is_escaped_by_its_bytes() -> None:
    """What systemd calls the unit of a folder whose name is not ASCII."""
    gone = foresee(system({}, "/dev/a /srv/ü ext4 x"), system({}), {}).changes
    assert gone.stopped == ("srv-\\xc3\\xbc.mount",)


def test_a_unit_of_very_many_lines_holds_up_no_plan() -> None:
    """A host may say anything: twice as many lines take twice as long, and not four times."""
    found = sections("[Service]\n" + "A=1\n" * 400_000)
    assert len(found["Service"]["A"]) == 400_000


def test_systemd_is_executed_again_where_it_or_its_settings_are_others() -> None:
    """A new systemd takes over what runs, without a boot; so does one with other settings."""
    same = Contents({"systemd/system.conf": "1"}, Units(), parts={"systemd": "/a"})
    assert not foresee(same, same, {}).systemd
    assert foresee(same, Contents(same.etc, Units(), parts={"systemd": "/b"}), {}).systemd
    assert foresee(same, Contents({}, Units(), parts=same.parts), {}).systemd


KEYS = st.sampled_from(
    ["ExecStart=a", "ExecStart=b", "User=x", "Environment=A=1", "Environment=B=2"]
)
FLAGS = st.sampled_from(
    ["X-StopIfChanged=false", "X-RestartIfChanged=false", "X-ReloadIfChanged=true"]
)
HEADS = st.sampled_from(["Description=a", "Description=b", "After=a", "OnFailure=b", "Wants=c"])
LIGHT = st.sampled_from(["", "ExecReload=a", "ExecReload=b"])


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A service's file."""
    head = draw(st.lists(HEADS, unique=True, max_size=3))
    body = draw(st.lists(KEYS | FLAGS, unique=True, max_size=4))
    return "\n".join(("[Unit]", *head, "[Service]", "Type=simple", *body, draw(LIGHT), ""))


NAMES = [f"{letter}.service" for letter in "abcdefgh"] + ["a.socket", "t.timer", "i@.service"]
SYSTEMS = st.dictionaries(st.sampled_from(NAMES), texts(), min_size=4)


def by_the_lab(
    before: Mapping[str, str], after: Mapping[str, str], runs: list[str]
) -> ForeseenUnits:
    """What the lab's hosts go by: a shell program that was written from NixOS's before this."""
    with TemporaryDirectory() as folder:
        for name, units in (("old", before), ("new", after)):
            place = Path(folder, name, "etc/systemd/system")
            place.mkdir(parents=True)
            for unit, text in units.items():
                (place / unit).write_text(text)
        program = f"""old={folder}/old system={folder}/new stop= start= restart= reload= skip=
. {RULES}
changed_units system "$*"
for word in "$stop" "$start" "$restart" "$reload" "$skip"; do echo $word; done"""
        argv = ("bash", "-c", program, "rules", *runs)
        done = subprocess.run(argv, capture_output=True, check=True, text=True, timeout=60)
    stop, start, restart, reload, skip = (set(line.split()) for line in done.stdout.split("\n")[:5])
    return ForeseenUnits(
        UnitChanges(
            restarted=tuple(sorted(restart | (stop & start))),
            reloaded=tuple(sorted(reload)),
            started=tuple(sorted(start - stop)),
            stopped=tuple(sorted(stop - start)),
        ),
        kept=tuple(sorted(skip)),
    )


@settings(max_examples=20, deadline=None)
@given(SYSTEMS, SYSTEMS)
def test_another_reader_of_the_rules_says_the_same(
    before: dict[str, str], after: dict[str, str]
) -> None:
    """Of services, sockets, timers and instances, both say which are touched, and how."""
    if "a.socket" in after and "a.socket" not in before:
        del after[
            "a.socket"
        ]  # NixOS's newer switch takes it for what starts the service; the lab not
    runs = sorted({name.replace("@.", "@x.") for name in before})
    found = foresee(system(before), system(after), active(*runs))
    assert found == by_the_lab(before, after, runs)


@given(SYSTEMS)
def test_a_system_does_nothing_to_its_own_units(units: dict[str, str]) -> None:
    """A switch to the same files touches no unit."""
    runs = active(*(name.replace("@.", "@x.") for name in units))
    assert foresee(system(units), system(units), runs) == ForeseenUnits(UnitChanges())


@given(SYSTEMS, SYSTEMS)
def test_no_unit_is_told_of_twice(before: dict[str, str], after: dict[str, str]) -> None:
    """Each unit is restarted, reloaded, started, stopped or kept, and one of these only."""
    runs = active(*(name.replace("@.", "@x.") for name in before))
    found = foresee(system(before), system(after), runs)
    changes = found.changes
    told = (*changes.restarted, *changes.reloaded, *changes.started, *changes.stopped, *found.kept)
    assert len(told) == len(set(told))
