"""What can be promised of a host, and the report that is drawn of it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.checks import Facts, Login, Room
from orchestrator.core.claims import Hold
from orchestrator.core.errors import StepError, UnreachableError
from orchestrator.core.host import BuildOn, BuildSite, Connect, Host
from orchestrator.core.plan import Goal
from orchestrator.core.specialisation import SpecialisePolicy
from orchestrator.core.state import Attempt, AttemptState, BootSource, HostState
from orchestrator.core.store import OutPath, Specialised
from orchestrator.core.values import replace
from orchestrator.host.check import Bootctl, CheckAnswer, HostCheck, Said, parse_check
from orchestrator.host.draw_check import draw_check
from orchestrator.host.promises import activation_in_words, promises
from orchestrator.render.output import Output

ID = "0123456789abcdef0123456789abcdef"
BOOT_ID = "9d2f7f7e-6a57-4f6b-8b2a-0e4c5d1c7a10"
SYSTEM = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system-p620")
OTHER = OutPath("/nix/store/dddddddddddddddddddddddddddddddd-nixos-system-p620")
HOST = Host("p620", "p620", Connect("192.0.2.1"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def check(**changed: Any) -> HostCheck:
    """A host on which all is well, but for what is given: of its state, its facts, or said."""
    state = HostState(ID, SYSTEM, SYSTEM, SYSTEM, SYSTEM, BootSource.SYSTEMD_BOOT, boot_id=BOOT_ID)
    facts = Facts(user=0, store=Room(2**40), activations=(), read_only=())
    values = {"os.ID": "nixos", "nix": "nix (Nix) 2.34.8", "systemd.state": "running"}
    said = Said(values | changed.pop("values", {}), boot_file="/boot/loader/loader.conf")
    found = HostCheck(state, facts, said, changed.pop("login", Login("root")))
    for name in ("state", "facts", "said"):
        part: Any = getattr(found, name)
        ours = {key: value for key, value in changed.items() if hasattr(part, key)}
        found = replace(found, **{name: replace(part, **ours)})
    return found


def attempt(state: AttemptState, activation: str = "0") -> Attempt:
    """An attempt at this host."""
    before = HostState(ID, None, None, None, None)
    at = Attempt("7.p620.00", Goal.SWITCH, SYSTEM, before, 7, "ada@desk", None, NOW)
    return replace(at, state=state, activation=activation)


def test_where_all_is_well_everything_can_be_promised() -> None:
    """A sound host has no sentence of what cannot be."""
    assert [one.text for one in promises(HOST, check()) if not one.kept] == []
    assert len(promises(HOST, check())) >= 4


CANNOT: list[tuple[Mapping[str, Any], str]] = [
    ({"boot_source": BootSource.PROFILE}, "the default in /boot/loader/loader.conf cannot be read"),
    ({"boot_source": BootSource.PROFILE, "boot_file": ""}, "no boot loader file found"),
    ({"bootctl": Bootctl("x", OTHER, 3)}, "bootctl names another default, ddddd…"),
    ({"grubenv": {"next_entry": "2"}}, "GRUB boots 2 once"),
    ({"profile": OTHER}, "the running system is not the profile's"),
    ({"boot_default": OTHER}, "a reboot changes what runs: the boot default is ddddd…"),
    ({"values": {"interface.running": "1", "interface.profile": "2"}}, "(exit 100)"),
    ({"activations": ("process 1 (x) has locked /run/y",)}, "a system is being activated now"),
    ({"login": Login("deploy", sudo=True, password=True)}, "sudo asks deploy for a password"),
    ({"user": 1000}, "commands do not run as root"),
    ({"store": Room(2**20)}, "1 MiB are free in the store's file system"),
    ({"store": None}, "is not known"),
    ({"read_only": ("/ (nfs on nas.example:/srv)",)}, "mounted read-only: /"),
    ({"failed_units": ("a.service",)}, "failed already: a.service"),
    ({"values": {"systemd.state": "stopping"}}, "systemd is stopping"),
    ({"values": {"os.ID": "debian"}}, "os-release names debian"),
    ({"hold": Hold("ab12", "ada@desk", "disk", NOW)}, "held (ab12)"),
    ({"attempt": attempt(AttemptState.STUCK)}, "could not be rolled back whole"),
    ({"attempt": attempt(AttemptState.CHECKING)}, "a deployment changes it now (checking)"),
    ({"odd": ("nix",)}, "said and not understood: nix"),
]


@pytest.mark.parametrize(("fact", "sentence"), CANNOT, ids=[sentence for _, sentence in CANNOT])
def test_each_fact_makes_its_own_sentence(fact: Mapping[str, Any], sentence: str) -> None:
    """One fact that is not well makes one sentence of what cannot be promised, and names it."""
    said = [one.text for one in promises(HOST, check(**fact)) if not one.kept]
    assert len(said) == 1, said
    assert sentence in said[0]


@pytest.mark.parametrize(
    ("policy", "kept"), [("keep", True), ("gaming", True), ("none", False), ("work", False)]
)
def test_what_becomes_of_a_specialisation_is_promised_by_the_inventory(
    policy: str, kept: bool
) -> None:
    """One that runs is kept by a deployment, or switched away where the inventory has another."""
    host = replace(HOST, specialisation=SpecialisePolicy.parse(policy))
    found = check(profile=OTHER, boot_default=OTHER, running_as=(Specialised(OTHER, "gaming"),))
    (said,) = [one for one in promises(host, found) if "specialisation 'gaming'" in one.text]
    assert (said.kept, "keeps it" in said.text) == (kept, kept)
    assert not [one for one in promises(host, found) if "not the profile's" in one.text]


def test_a_sandbox_counts_where_the_host_builds() -> None:
    """A host without a sandbox is told of where it builds its own system, and nowhere else."""
    found = check(values={"nix.sandbox": "false"})
    assert not [one for one in promises(HOST, found) if not one.kept]
    builds = replace(HOST, build=BuildSite(BuildOn.TARGET))
    assert "its sandbox is false" in next(o.text for o in promises(builds, found) if not o.kept)


@pytest.mark.parametrize(
    ("activation", "words"),
    [
        ("0", "exit 0: the system was activated, and no unit is failed"),
        ("2", "a part of its activation script failed"),
        ("4", "units that failed before count too"),
        ("11", "another switch had the lock"),
        ("100", "it takes a reboot"),
        ("37", "exit 37, which NixOS gives no meaning"),
        ("timeout", "did not end in time"),
        ("locked", "could not begin"),
        ("\x1b[2J", "how it ended is not understood"),
    ],
)
def test_how_an_activation_ended_is_explained(activation: str, words: str) -> None:
    """Each exit code and word of the guard's has a meaning, and what is neither is not repeated."""
    assert words in activation_in_words(activation)


def drawn(found: HostCheck, *, as_json: bool = False) -> str:
    """What is printed of a host."""
    out = io.StringIO()
    draw_check((CheckAnswer(HOST, found),), Output(out), Output(out), as_json=as_json)
    return out.getvalue()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_report_has_nothing_that_tells_the_machine(as_json: bool) -> None:
    """No machine-id, boot-id, id of a file system, person, machine or argument of a process."""
    unit = "dev-disk-by\\x2duuid-0a1b2c3d\\x2d0000\\x2d1111\\x2d2222\\x2d333344445555.swap"
    found = check(
        boot_entry=f"{ID}-6.12.conf",
        grubenv={"saved_entry": "gnulinux-0a1b2c3d-0000-1111-2222-333344445555"},
        failed_units=(unit, "dev-disk-by\\x2did-ata\\x2dWDC_SERIAL7.swap"),
        read_only=("/ (nfs on nas.example:/srv)",),
        activations=("process 12 (/bin/nixos-rebuild --password hush) has locked /run/nixos/x",),
        attempt=attempt(AttemptState.DONE, "4"),
        hold=Hold("ab12", "ada@desk", "the spare key is under hush", NOW),
    )
    text = drawn(found, as_json=as_json)
    for secret in (ID, BOOT_ID, "0a1b2c3d", "hush", "ada", "desk", "SERIAL7", "nas."):
        assert secret not in text
    assert "process 12 (nixos-rebuild) has locked /run/nixos/x" in text
    assert "exit 4" in text


def test_a_host_that_does_not_answer_is_an_error_beside_the_others() -> None:
    """In JSON it is not reachable, with why; else it is an error on its own."""
    out, words = io.StringIO(), io.StringIO()
    answers = (CheckAnswer(HOST, error=UnreachableError("gone", hint="on?")),)
    draw_check(answers, Output(out), Output(words), as_json=False)
    assert (out.getvalue(), words.getvalue()) == ("", "error: host 'p620': gone\nhint: on?\n")
    draw_check(answers, Output(out), Output(words), as_json=True)
    assert json.loads(out.getvalue())["p620"] == {
        "reachable": False,
        "message": "gone",
        "hint": "on?",
    }


KEYS = """
    os.ID os.VERSION_ID kernel machine virt systemd systemd.state nix nix.sandbox nix.daemon
    nix.trusted-users groups nixos bootctl secure_boot loader_product grubenv grubenv.saved_entry
    interface.running boot_file boot_entry boot_source boot_default activation user store
    attempt.state attempt.activation
"""
VALUES = st.sampled_from(
    [
        *("", "nixos", "\x1b[2J\x1b]0;x\x07", "\u202egnp", "x" * 5000, "\x85", "9" * 400),
        *("[" * 100_000, "[]", "{}", "null", '[{"isDefault":true,"id":[],"options":7}]'),
        *('{"nixosVersion":"\\u001b[2J"}', '{"nixosVersion":7}', "`id`", "$(id)"),
        '[{"isDefault":true,"id":"a","options":"init=/nix/store/x/init init=/../init"}]',
    ]
) | st.text(max_size=40)


@given(said=st.lists(st.tuples(st.sampled_from(KEYS.split()), VALUES), max_size=30))
def test_whatever_a_host_says_is_drawn_harmless(said: list[tuple[str, str]]) -> None:
    """Any answer is an error or a report; no control character of a host's reaches the terminal."""
    lines = "".join(f"{key}={value}\n" for key, value in said)
    try:
        found = parse_check(f"machine_id={ID}\nboot_id=b\n{lines}end=\n", Login("deploy"))
    except StepError:
        return
    text = drawn(found)
    assert all(character.isprintable() for character in text.replace("\n", ""))
    assert all(len(line) < 600 for line in text.split("\n"))
    assert len(text.split("\n")) < 60
    json.loads(drawn(found, as_json=True))
