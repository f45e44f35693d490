"""What differs between two closures."""

from __future__ import annotations

import io
import json

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.changed import PackageChange
from orchestrator.core.host import Connect, Host
from orchestrator.core.state import HostState
from orchestrator.core.store import OutPath, Specialised
from orchestrator.core.values import replace
from orchestrator.deploy.diff import HostDiff, draw_diff
from orchestrator.deploy.plan.difference import diff
from orchestrator.render.output import Output

A, B = "a" * 32, "b" * 32


def _path(digest: str, name: str) -> OutPath:
    return OutPath(f"/nix/store/{digest}-{name}")


closures = st.frozensets(
    st.builds(
        _path,
        st.sampled_from([A, B]),
        st.sampled_from(["bash-5.2", "bash-5.3", "glibc-2.40-66", "glibc-2.40-66-bin", "etc"]),
    )
)


def test_packages_come_go_and_change() -> None:
    """Each package that differs is told once, with its versions, by name."""
    before = [_path(A, "bash-5.2"), _path(A, "vim-9.1"), _path(A, "same-1")]
    after = [_path(A, "same-1"), _path(B, "bash-5.3"), _path(A, "nano-8.0")]
    assert diff(before, after) == (
        PackageChange("bash", ("5.2",), ("5.3",)),
        PackageChange("nano", (), ("8.0",)),
        PackageChange("vim", ("9.1",), ()),
    )


def test_a_rebuild_of_one_version_is_a_change() -> None:
    """The same version at another path is another package: a patch, a flag, a dependency."""
    assert diff([_path(A, "bash-5.2")], [_path(B, "bash-5.2")]) == (
        PackageChange("bash", ("5.2",), ("5.2",)),
    )


def test_a_name_without_a_version() -> None:
    """What has no version is named by its whole name."""
    assert diff([_path(A, "etc")], [_path(B, "etc"), _path(A, "unit-sshd.service")]) == (
        PackageChange("etc", ("",), ("",)),
        PackageChange("unit-sshd.service", (), ("",)),
    )


def test_a_dash_before_a_letter_is_part_of_the_name() -> None:
    """The version begins at the first dash that a digit follows, as Nix reads it."""
    assert diff([], [_path(A, "nixos-system-p620-25.05")]) == (
        PackageChange("nixos-system-p620", (), ("25.05",)),
    )


@given(closures)
def test_a_closure_does_not_differ_from_itself(closure: frozenset[OutPath]) -> None:
    """Nothing differs between the same closures, in whichever order."""
    assert diff(sorted(closure), sorted(closure, reverse=True)) == ()


@given(closures, closures)
def test_a_diff_is_its_own_mirror(before: frozenset[OutPath], after: frozenset[OutPath]) -> None:
    """Backwards it says the same with the sides exchanged, and no package is named twice."""
    forth = diff(before, after)
    mirrored = tuple(PackageChange(change.package, change.after, change.before) for change in forth)
    assert diff(after, before) == mirrored
    assert len({change.package for change in forth}) == len(forth)


@given(closures, closures)
def test_no_path_that_differs_is_lost(
    before: frozenset[OutPath], after: frozenset[OutPath]
) -> None:
    """A diff of two closures has as many versions as paths differ."""
    changes = diff(before, after)
    assert sum(len(change.before) for change in changes) == len(before - after)
    assert sum(len(change.after) for change in changes) == len(after - before)


def _drawn(
    running: OutPath | None,
    *,
    as_json: bool = False,
    variant: HostState | None = None,
    live: OutPath | None = None,
    warnings: tuple[str, ...] = (),
) -> tuple[str, str]:
    state = HostState("m", running, running, running, running)
    changes = (
        PackageChange("bash", ("5.2",), ("5.3",)),
        PackageChange("etc", ("",), ("",)),
        PackageChange("nano", (), ("8.0",)),
    )
    system = _path(B, "system")
    found = HostDiff(
        *(Host("p620", "p620", Connect("p620")), variant or state, system, live or system),
        *(changes, None, warnings),
    )
    results, words = io.StringIO(), io.StringIO()
    draw_diff(found, Output(results), Output(words), as_json=as_json)
    return results.getvalue(), words.getvalue()


def test_a_diff_is_a_table_of_versions() -> None:
    """A package that comes has no version before; one with the same versions is rebuilt."""
    out, err = _drawn(_path(A, "system"))
    assert [line.split() for line in out.splitlines()] == [
        ["package", "runs", "now", "would", "run"],
        ["bash", "5.2", "5.3"],
        ["etc", "yes", "rebuilt"],
        ["nano", "-", "8.0"],
    ]
    assert err == "p620: runs aaaaa…-system\np620: would run bbbbb…-system\n"


def test_a_host_that_runs_what_is_wanted_has_no_diff() -> None:
    """One line says that the host runs the system that is wanted, and no table is drawn."""
    assert _drawn(_path(B, "system")) == (
        "",
        "p620: runs bbbbb…-system, which is what is wanted\n",
    )


def test_a_diff_for_a_script_has_every_change() -> None:
    """As JSON a diff has the whole store paths, and a host without NixOS runs null."""
    found = json.loads(_drawn(None, as_json=True)[0])
    assert (found["host"], found["running"], found["wanted"]) == (
        *("p620", None),
        str(_path(B, "system")),
    )
    assert found["changes"][0] == {"package": "bash", "before": ["5.2"], "after": ["5.3"]}


def test_a_diff_warns_of_what_preflight_would_refuse() -> None:
    """What stands against a deployment is no result: a warning, made harmless; JSON has it too."""
    warnings = ("preflight would refuse: a step backwards\x1b[2J",)
    out, err = _drawn(_path(A, "system"), warnings=warnings)
    assert "backwards" not in out
    last = err.splitlines()[-1]
    assert last.startswith("warning: p620: preflight would refuse: a step backwards")
    assert "\x1b" not in last
    found = json.loads(_drawn(_path(A, "system"), as_json=True, warnings=warnings)[0])
    assert found["warnings"] == list(warnings)


def test_a_diff_names_the_specialisation_that_runs_and_would_run() -> None:
    """What is kept is compared with itself: its system and its name, not a path alone."""
    system, live = _path(A, "system"), _path(B, "variant")
    state = HostState(
        "m",
        _path(A, "variant"),
        system,
        system,
        system,
        running_as=(Specialised(system, "gaming"),),
    )
    _, err = _drawn(None, variant=state, live=live)
    assert err.splitlines() == [
        "p620: runs aaaaa…-system, specialisation gaming",
        "p620: would run specialisation 'gaming' of bbbbb…-system",
    ]
    there = replace(state, running=live)
    out, err = _drawn(None, variant=there, live=live)
    assert (out, err.endswith("which is what is wanted\n")) == ("", True)
    found = json.loads(_drawn(None, as_json=True, variant=state, live=live)[0])
    assert (found["wanted"], found["live"]) == (_path(B, "system").path, live.path)
