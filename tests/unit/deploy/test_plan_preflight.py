"""What is wanting of a host: each check by itself, and what refuses."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.checks import (
    BootFiles,
    BootRoom,
    Check,
    Facts,
    Inhibitor,
    Room,
    Seen,
    Shortfall,
    Wanted,
    boot_name,
)
from orchestrator.core.run import Load
from orchestrator.core.values import replace
from orchestrator.deploy.plan.decide import inhibitors
from orchestrator.deploy.plan.preflight import BOOT_MARGIN, FILES_MARGIN, LEAST_FREE, examine, skew

MIB = 2**20
KERNEL, INITRD = "aaaa-linux-6.12-bzImage", "bbbb-initrd-linux-initrd"
TARGET = BootFiles({KERNEL: 12 * MIB, INITRD: 30 * MIB})
SOUND = Facts(
    user=0,
    nix_error="",
    read_only=(),
    store=Room(10_000 * MIB, 1_000_000),
    boot=BootRoom("/boot", Room(200 * MIB), frozenset({KERNEL}), 7),
    running=TARGET,
    clock=1000,
    activations=(),
    inhibitors=(),
)
WANTED = Wanted(
    machine_id="m",
    seen=Seen("m", datetime(2024, 5, 6, tzinfo=UTC)),
    load=Load(20, 100 * MIB),
    boot_files=TARGET,
    asked=(1000.0, 1000.5),
    store_margin=512 * MIB,
    clock_skew=300,
    boots=True,
)


def only(facts: Facts, wanted: Wanted = WANTED) -> Shortfall:
    """The one thing that is wanting."""
    (found,) = examine(facts, wanted)
    return found


def refuses(facts: Facts, wanted: Wanted = WANTED) -> set[Check]:
    """The checks that refuse."""
    return {one.check for one in examine(facts, wanted) if one.refuses}


def test_a_sound_host_lacks_nothing() -> None:
    """Nothing is said of a host that has all."""
    assert examine(SOUND, WANTED) == ()


def test_what_was_not_said_warns_and_does_not_refuse() -> None:
    """A host that answers nothing is told of, check by check; it may be sound."""
    found = examine(Facts(), WANTED)
    assert not any(one.refuses for one in found)
    # Where nothing boots from, nothing is missing; who the machine is, what it has and
    # whether there is a way back were asked before. Its secrets, its hardware, and who may log in
    # to its next system, are other questions.
    told_elsewhere = {Check.BOOT_SPACE, Check.IDENTITY, Check.SECRETS, Check.WAY_BACK}
    # Where the inventory sets no limit to a system's size, nobody asks for it.
    told_elsewhere |= {
        *(Check.ACCOUNTS, Check.CLOSURE_SIZE, Check.HARDWARE, Check.NEEDS, Check.OLDER)
    }
    assert {one.check for one in found} == set(Check) - told_elsewhere


@pytest.mark.parametrize(
    ("facts", "check", "words"),
    [
        (replace(SOUND, user=1000), Check.SUDO, "user 1000"),
        (replace(SOUND, nix_error="error: no"), Check.NIX, "error: no"),
        (replace(SOUND, read_only=("/ (ext4 on /dev/a)",)), Check.READ_ONLY, "/ (ext4 on /dev/a)"),
        (replace(SOUND, clock=1400), Check.CLOCK, "400 s ahead of"),
        (replace(SOUND, clock=0), Check.CLOCK, "999 s behind"),
        (replace(SOUND, activations=("x is at work",)), Check.ACTIVATION, "x is at work"),
        (
            replace(SOUND, inhibitors=(Inhibitor("shutdown", "raid", "rebuilds"),)),
            Check.INHIBITORS,
            "raid holds up a reboot: rebuilds",
        ),
        (replace(SOUND, inhibitors=(Inhibitor("shutdown", "raid", ""),)), Check.INHIBITORS, "shut"),
    ],
)
def test_each_check_names_what_it_found(facts: Facts, check: Check, words: str) -> None:
    """Each preflight check names what it found, and has a remedy and a command."""
    found = only(facts)
    assert (found.check, found.refuses) == (check, True)
    assert words in found.text
    assert found.remedy
    assert found.command


def test_another_machine_than_before_refuses() -> None:
    """Reinstalled or another one: a person says which. A first one is believed."""
    other = replace(WANTED, machine_id="n")
    found = only(SOUND, other)
    assert (found.check, found.refuses) == (Check.IDENTITY, True)
    assert "n; until 2024-05-06 it was m" in found.text
    assert examine(SOUND, replace(other, seen=None)) == ()
    assert examine(replace(SOUND, volatile_id=True), other) == ()
    assert not only(SOUND, replace(WANTED, machine_id="")).refuses


@pytest.mark.parametrize(
    ("free", "load", "fits"),
    [
        (612 * MIB, Load(20, 100 * MIB), True),
        (612 * MIB - 1, Load(20, 100 * MIB), False),
        (512 * MIB, None, True),
        (512 * MIB - 1, None, False),
        (LEAST_FREE, Load(0, 0), True),
        (LEAST_FREE - 1, Load(0, 0), False),
    ],
)
def test_the_store_has_room_for_the_copy_and_the_margin(
    free: int, load: Load | None, fits: bool
) -> None:
    """The margin counts where something is copied: rolling back works on a full disk."""
    facts = replace(SOUND, store=Room(free, None))
    wanted = replace(WANTED, load=load)
    assert (Check.STORE_SPACE not in refuses(facts, wanted)) is fits


def test_the_store_s_figures_are_told() -> None:
    """What is free, what the copy takes, what must be left."""
    found = only(replace(SOUND, store=Room(300 * MIB, None)))
    assert "300 MiB are free" in found.text
    assert "takes 100 MiB and 512 MiB must be left over" in found.text
    unknown = only(replace(SOUND, store=Room(300 * MIB, None)), replace(WANTED, load=None))
    assert "what is to be copied is not known" in unknown.text
    full = only(replace(SOUND, store=Room(0, None)), replace(WANTED, load=Load(0, 0)))
    assert "it is full" in full.text


@pytest.mark.parametrize(
    ("free", "load", "fits"),
    [
        (FILES_MARGIN + 6400, Load(20, 100 * MIB), True),
        (FILES_MARGIN + 6399, Load(20, 100 * MIB), False),
        (FILES_MARGIN - 1, None, False),
        (0, Load(0, 0), True),
        (None, Load(20, 100 * MIB), True),
    ],
)
def test_the_store_has_inodes(free: int | None, load: Load | None, fits: bool) -> None:
    """A file system without inodes of its own never lacks any."""
    facts = replace(SOUND, store=Room(10_000 * MIB, free))
    assert (Check.INODES not in refuses(facts, replace(WANTED, load=load))) is fits


@pytest.mark.parametrize("more", [0, -1])
def test_boot_has_room_for_what_is_new(more: int) -> None:
    """What is kept there already takes nothing: generations share kernels and initrds."""
    room = Room(30 * MIB + BOOT_MARGIN + more)
    facts = replace(SOUND, boot=BootRoom("/efi", room, frozenset({KERNEL}), 7))
    assert (Check.BOOT_SPACE in refuses(facts)) is (more < 0)
    assert Check.BOOT_SPACE not in refuses(facts, replace(WANTED, commits=False))


def test_boot_s_figures_are_told() -> None:
    """The folder, what is free, what is needed, how many generations are there."""
    found = only(replace(SOUND, boot=BootRoom("/efi", Room(5 * MIB), frozenset({KERNEL}), 7)))
    assert found.text == (
        "5 MiB are free in /efi: a new kernel and initrd take 31 MiB; 7 generations are there"
    )
    full = BootRoom("/boot", Room(0), frozenset({KERNEL, INITRD}))
    assert only(replace(SOUND, boot=full)).text == (
        "0 KiB are free in /boot: a new entry takes 1 MiB"
    )


def test_what_a_builder_built_is_taken_to_be_as_large_as_what_runs() -> None:
    """The files are not here and not there yet: others of the same size will be new."""
    wanted = replace(WANTED, boot_files=None)
    tight = BootRoom("/boot", Room(42 * MIB + BOOT_MARGIN - 1), frozenset({KERNEL, INITRD}))
    assert refuses(replace(SOUND, boot=tight), wanted) == {Check.BOOT_SPACE}
    assert refuses(replace(SOUND, boot=tight, running=None), wanted) == set()
    assert refuses(replace(SOUND, boot=tight, target=TARGET), wanted) == set()


def test_what_boots_may_be_read_only_where_it_is_not_written() -> None:
    """A push, or a test, leaves it as it is; and one mount is named once."""
    place = "/ (ext4 on /dev/a)"
    boot = BootRoom("/boot", Room(200 * MIB), read_only=place)
    assert only(replace(SOUND, boot=boot)).text == f"mounted read-only: {place}"
    assert refuses(replace(SOUND, boot=boot), replace(WANTED, commits=False)) == set()
    both = replace(SOUND, boot=boot, read_only=(place,))
    assert only(both).text == f"mounted read-only: {place}"


def test_a_host_that_is_not_changed_may_be_in_change() -> None:
    """A copy disturbs no activation, and what holds up a boot disturbs no deployment without."""
    busy = replace(SOUND, activations=("x",), inhibitors=(Inhibitor("shutdown", "raid", ""),))
    assert refuses(busy, replace(WANTED, changes=False, boots=False)) == set()


def test_a_skipped_check_is_told_and_does_not_refuse() -> None:
    """A check that is skipped keeps its finding, and the others refuse as before."""
    facts = replace(SOUND, clock=5000, user=1000)
    wanted = replace(WANTED, skipped=frozenset({Check.CLOCK}))
    assert {one.check for one in examine(facts, wanted)} == {Check.CLOCK, Check.SUDO}
    assert refuses(facts, wanted) == {Check.SUDO}


def test_an_emergency_is_only_refused_by_what_would_make_it_fail() -> None:
    """No margin, no clock, no inhibitor; another machine and a full disk refuse even then."""
    wanted = replace(WANTED, emergency=True)
    tight = replace(
        SOUND,
        store=Room(100 * MIB, None),
        clock=9000,
        inhibitors=(Inhibitor("shutdown", "raid", ""),),
    )
    assert refuses(tight, wanted) == set()
    assert refuses(replace(tight, store=Room(99 * MIB, None)), wanted) == {Check.STORE_SPACE}
    assert refuses(SOUND, replace(wanted, machine_id="n")) == {Check.IDENTITY}


@given(
    clock=st.integers(-1000, 1000),
    sent=st.floats(0, 100),
    took=st.floats(0, 50),
    told=st.floats(0, 1),
)
def test_a_clock_is_never_blamed_for_the_way_there(
    clock: int, sent: float, took: float, told: float
) -> None:
    """However slow the way, the skew is no more than the true one, and less by what it took."""
    true_time = sent + told * took  # when the host looked at its clock, by ours
    said = int((true_time + clock) // 1)
    found = skew(said, (sent, sent + took))
    assert abs(found) <= abs(clock) + 1e-6
    assert abs(found) >= abs(clock) - took - 1 - 1e-6


def test_boot_loaders_name_files_by_their_path_in_the_store() -> None:
    """Boot files are named after store paths, as by the boot loaders of nixpkgs."""
    assert boot_name("/nix/store/aaaa-linux-6.12/bzImage") == KERNEL


@pytest.mark.parametrize(
    ("running", "target", "found"),
    [
        ({}, {"dbus": "broker"}, ()),
        ({"dbus": "dbus"}, {}, ()),
        ({"dbus": "dbus"}, {"dbus": "dbus"}, ()),
        ({"dbus": "dbus", "x": "1"}, {"dbus": "broker", "x": "1"}, ("dbus: dbus -> broker",)),
    ],
)
def test_a_live_switch_is_refused_where_both_systems_name_a_component_that_differs(
    running: dict[str, str], target: dict[str, str], found: tuple[str, ...]
) -> None:
    """A live switch is refused where both systems name a component that differs, as in NixOS."""
    assert inhibitors(running, target) == found
