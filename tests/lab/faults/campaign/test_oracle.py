"""The oracle is a check that can fail: each demand finds the lie or the fault that it is for."""

from __future__ import annotations

import ast
import fcntl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.values import replace
from tests.lab.faults.campaign import oracle, outside, recorder
from tests.lab.faults.campaign.oracle import Facts, Said
from tests.lab.faults.campaign.outside import Eyes, Look

OLD, NEW, THIRD = (f"/nix/store/{word}00-nixos-system-box" for word in ("old", "new", "3rd"))
WAS, WANTED, STRANGE = ("a-1", "b-1"), ("a-2", "b-2"), ("a-2", "b-1")
GENERATION = frozenset({f"system-1-link {OLD}"})


def at(system: str, marks: tuple[str, ...], **more: Any) -> Look:
    """A host that is wholly at a system."""
    return replace(Look(system, system, system, GENERATION, marks, guarded=False), **more)


BEFORE, GUARDED, AFTER = at(OLD, WAS), at(OLD, WAS, guarded=True), at(NEW, WANTED)
CONTENT: dict[str, oracle.Marks] = {OLD: WAS, NEW: WANTED, THIRD: STRANGE}
DEPLOYED = Facts(BEFORE, AFTER, (BEFORE, GUARDED, AFTER), CONTENT, frozenset({WANTED}))
RETURNED = replace(DEPLOYED, after=BEFORE, history=(BEFORE, GUARDED, AFTER, BEFORE))
UNTOUCHED = replace(DEPLOYED, after=BEFORE, history=(BEFORE,))


def says(outcome: str, code: int, path: str | None = NEW, **more: Any) -> Said:
    """What a deployer says of a host that is, by then, what ``looks`` are."""
    looks = more.pop("looks", (AFTER,))
    host = {"outcome": outcome, "out_path": path, **more}
    return Said(code, {"exit_code": code, "hosts": {"box": host}}, host, looks)


@pytest.mark.parametrize(
    ("said", "facts"),
    [
        (says("deployed", 0), DEPLOYED),
        (says("unchanged", 0), DEPLOYED),
        (says("rolled_back", 1, looks=(BEFORE,)), RETURNED),
        (says("deferred", 3, looks=(BEFORE,)), UNTOUCHED),
        (says("failed", 4, looks=(BEFORE,)), UNTOUCHED),
        (says("failed", 1, host_state="it runs old00…-nixos-system", looks=(BEFORE,)), RETURNED),
        (says("failed", 1, host_state="not known (…)"), replace(RETURNED, blind=True)),
        (says("unreached", 1, looks=(BEFORE,)), replace(RETURNED, blind=True)),
        (Said(-9, None, None, (AFTER,)), replace(DEPLOYED, kills=True)),
    ],
)
def test_what_is_so_is_right(said: Said, facts: Facts) -> None:
    """A report that tells what was seen from outside is not complained of."""
    assert oracle.of_host(facts) == []
    assert oracle.of_report(said, facts) == []
    assert oracle.of_deployers([said], facts) == []


LIES: dict[str, tuple[Said, Facts]] = {
    "deployed, and it runs the old": (says("deployed", 0, looks=(BEFORE,)), RETURNED),
    "deployed, and it boots the old": (
        says("deployed", 0, looks=(at(NEW, WANTED, boot_default=OLD),)),
        replace(DEPLOYED, after=at(NEW, WANTED, boot_default=OLD)),
    ),
    "deployed, and rolled back afterwards": (says("deployed", 0), RETURNED),
    "deployed what nobody wanted": (
        says("deployed", 0, THIRD, looks=(at(THIRD, STRANGE),)),
        replace(DEPLOYED, after=at(THIRD, STRANGE)),
    ),
    "deployed, and names another": (says("deployed", 0, OLD), DEPLOYED),
    "deployed, with exit 1": (says("deployed", 1), DEPLOYED),
    "rolled back, and it runs the new": (says("rolled_back", 1), DEPLOYED),
    "rolled back, not yet reached, though nothing blinds": (
        says("rolled_back", 1, host_state="not yet reached", looks=(BEFORE,)),
        RETURNED,
    ),
    "nobody gets in, though nothing keeps one out": (
        says("unreached", 1, looks=(BEFORE,)),
        RETURNED,
    ),
    "deferred, and it was changed": (says("deferred", 3), RETURNED),
    "failed, and not a word of the change": (says("failed", 1), RETURNED),
    "failed, and names another system": (
        says("failed", 1, host_state="it runs xyz00…-nixos-system"),
        RETURNED,
    ),
    "failed, and does not know though it could": (
        says("failed", 1, host_state="not known (…)"),
        RETURNED,
    ),
    "failed, and names no system": (says("failed", 1, host_state="it is well"), RETURNED),
    "an outcome that nobody knows": (says("splendid", 0), DEPLOYED),
    "no report": (Said(1, None, None, (AFTER,)), replace(DEPLOYED, kills=True)),
    "killed by nobody": (Said(-9, None, None, (AFTER,)), DEPLOYED),
}


@pytest.mark.parametrize("name", LIES)
def test_a_report_that_is_not_so_is_found(name: str) -> None:
    """Whatever wrong thing a deployer may report is found by the oracle."""
    said, facts = LIES[name]
    assert oracle.of_report(said, facts) != []


def test_a_report_with_another_exit_code_is_found() -> None:
    """The code in the report is the one that the deployer ended with."""
    said = says("deployed", 0)
    assert oracle.of_report(replace(said, report={"exit_code": 3}), DEPLOYED) != []


@pytest.mark.parametrize(
    "facts",
    [
        replace(DEPLOYED, after=at(NEW, WANTED, profile=OLD)),
        replace(DEPLOYED, after=at(NEW, WANTED, boot_default=None)),
        replace(DEPLOYED, after=at(THIRD, STRANGE)),
        replace(DEPLOYED, history=(BEFORE, at(THIRD, STRANGE), AFTER)),
        replace(DEPLOYED, history=(BEFORE, at(OLD, WAS, boot_default=THIRD), AFTER)),
        replace(DEPLOYED, after=at(NEW, WANTED, generations=frozenset())),
        replace(DEPLOYED, after=at(NEW, WAS)),
    ],
)
def test_a_host_that_is_not_whole_is_found(facts: Facts) -> None:
    """Two systems at once, a third one even for a moment, a generation gone, half an activation."""
    assert len(oracle.of_host(facts)) == 1


def test_a_system_of_half_an_edit_is_a_third_one() -> None:
    """What was read half before and half after an edit is no content that ever was."""
    torn = replace(DEPLOYED, content={**CONTENT, NEW: (WANTED[0], WAS[1])})
    assert "a third system" in oracle.of_host(torn)[0]


def test_of_two_deployers_the_host_is_at_that_of_one_who_says_so() -> None:
    """One of two who deploy at once reports a system that the host is not at in the end."""
    second = says("failed", 4, None, refused=True)
    assert oracle.of_deployers([says("deployed", 0), second], DEPLOYED) == []
    assert oracle.of_deployers([says("deployed", 0, OLD), second], DEPLOYED) != []


@pytest.mark.parametrize(
    ("change", "debris"),
    [
        (lambda: (says("deployed", 1), AFTER), []),
        (lambda: (says("deployed", 0, OLD), AFTER), []),
        (lambda: (says("deployed", 0), at(NEW, WAS)), []),
        (lambda: (says("deployed", 0), at(NEW, WANTED, generations=frozenset())), []),
        (lambda: (says("deployed", 0), AFTER), ["the file /run/orchestrator/asked-1"]),
    ],
)
def test_a_next_run_that_does_not_put_all_right_is_found(
    change: Callable[[], tuple[Said, Look]], debris: list[str]
) -> None:
    """A next run that leaves anything behind, or its host short of its target, is found."""
    assert oracle.of_next(says("deployed", 0), BEFORE, AFTER, WANTED, []) == []
    said, after = change()
    assert len(oracle.of_next(said, BEFORE, after, WANTED, debris)) == 1


def test_a_deployer_that_takes_too_much_memory_is_found() -> None:
    """The bound is one: at it is well, beyond it is not."""
    assert oracle.of_memory(600, 600) == []
    assert len(oracle.of_memory(601, 600)) == 1


@pytest.mark.parametrize("module", [oracle, outside, recorder])
def test_the_oracle_uses_nothing_of_the_product(module: Any) -> None:
    """The oracle's looks and demands import neither the product nor the suite's way to look."""
    tree = ast.parse(Path(module.__file__).read_text())
    names = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    names |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    ours = {name for name in names if name.startswith(("orchestrator", "tests"))}
    assert ours <= {outside.__name__}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host's files: a system, its generation and boot entry, and links as the host has them."""
    for system in (OLD, NEW):
        (tmp_path / system[1:] / "etc").mkdir(parents=True)
        (tmp_path / system[1:] / "init").touch()
        (tmp_path / system[1:] / "etc/marker").write_text(f"{system[11:14]}-1\n")
    for link, target in {
        "run/current-system": OLD,
        "nix/var/nix/profiles/system-1-link": OLD,
        "nix/var/nix/profiles/system-2-link": NEW,
        "nix/var/nix/profiles/system-3-link": "/nix/store/gone",
        "nix/var/nix/profiles/system": "system-2-link",
        "etc/marker": "/run/current-system/etc/marker",
    }.items():
        (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / link).symlink_to(target)
    entries = tmp_path / "boot/loader/entries"
    entries.mkdir(parents=True)
    (entries.parent / "loader.conf").write_text("timeout 5\ndefault old.conf\ndefault new.conf\n")
    (entries / "new.conf").write_text(f"title NixOS\noptions init={NEW}/init quiet\n")
    return tmp_path


def test_a_host_is_read_by_its_own_links(root: Path) -> None:
    """An absolute link on the host leads to the host's file, never to this machine's."""
    look = outside._look(root, guarded=False)
    assert (look.running, look.profile, look.boot_default) == (OLD, NEW, NEW)
    assert look.generations == {f"system-1-link {OLD}", f"system-2-link {NEW}"}
    assert look.marks == ("old-1", None)
    (root / "leads-out").symlink_to("../../../../../../etc/passwd")
    assert outside.resolve(root, "/leads-out") is None


def test_a_link_that_leads_to_itself_leads_nowhere(root: Path) -> None:
    """The oracle does not follow it for ever."""
    (root / "circle").symlink_to("circle")
    assert outside.resolve(root, "/circle") is None


@pytest.mark.parametrize(
    "left",
    [
        "/run/orchestrator/asked-1-a",
        "/run/orchestrator/attempt.new",
        "/var/lib/orchestrator/room",
        "/nix/var/nix/gcroots/orchestrator/1-a-target",
        "/run/systemd/transient/orchestrator-guard-1.service",
        "/etc/systemd/system.control/orchestrator-guard-resume.service",
        "/tmp/anything",
        "/run/orchestrator-anything",
    ],
)
def test_what_is_left_is_found_where_it_is(root: Path, left: str) -> None:
    """Files, roots and units of a deployment that is over are told by their paths."""
    (root / left[1:]).parent.mkdir(parents=True, exist_ok=True)
    (root / "run/orchestrator").mkdir(exist_ok=True)
    (root / "run/orchestrator/attempt").touch()
    before = _names(root)
    assert [name for name in before if outside._is_debris(name, before)] == []
    (root / left[1:]).touch()
    assert [name for name in _names(root) if outside._is_debris(name, before)] == [left]


def test_a_lock_that_is_held_is_found(root: Path) -> None:
    """The kernel tells who holds one, whoever it is."""
    (root / "run/orchestrator").mkdir()
    with (root / "run/orchestrator/mutex").open("w") as file:
        assert outside._locked(root) == []
        fcntl.flock(file, fcntl.LOCK_EX)
        assert outside._locked(root) == ["/run/orchestrator/mutex"]


def test_a_lock_that_counts_is_found(root: Path) -> None:
    """One that has ended by itself is nobody's, and no file that is left."""
    (root / "run/orchestrator").mkdir()
    lock = root / "run/orchestrator/lock"
    lock.write_text("token=1\nexpires=1\n")
    assert outside._counting_locks(root) == []
    lock.write_text("token=1\nexpires=99999999999\n")
    assert outside._counting_locks(root) == ["99999999999"]


def test_a_host_that_is_off_is_nothing(tmp_path: Path) -> None:
    """There is nothing to see, and no error either."""
    eyes = Eyes(lambda: None, tmp_path)
    assert eyes.look() is None
    assert not eyes.rests()


def _names(root: Path) -> set[str]:
    places = (*outside._OURS, *outside._UNITS, *outside._COMMON, outside._ROOTS)
    return {f"{place}/{name}" for place in places for name in outside._names(root, place)}
