"""Whatever a host answers, it is understood, or that host fails: no answer ends a run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.checks import Login
from orchestrator.core.errors import StepError
from orchestrator.core.store import DrvPath
from orchestrator.core.units import split_lines
from orchestrator.deploy.copy.closure import understood
from orchestrator.deploy.copy.stream import _store_paths
from orchestrator.deploy.diff import _closure
from orchestrator.host.boot import components, parse_parts
from orchestrator.host.check import parse_check
from orchestrator.host.guard.orders import _LOG, _told
from orchestrator.host.lock_scripts import parse_hold, parse_lock, values_of
from orchestrator.host.preflight import parse_facts
from orchestrator.host.status import parse_state
from orchestrator.nix import log as nix_log
from orchestrator.nix.log import BuildLog

SYSTEM = f"/nix/store/{'a' * 32}-nixos-system"
NAMES = """
    machine_id boot_id running booted profile boot_default boot_source failed uptime lock hold
    lock.token lock.expires lock.since lock.run hold.id hold.since record.run record.target
    record.ended record.began attempt.token attempt.goal attempt.target attempt.run attempt.began
    attempt.activate_seconds attempt.confirm_seconds attempt.health_seconds attempt.state
    attempt.turned attempt.activation attempt.deadline attempt.ended attempt.failed user clock
    store boot boot.room boot.generations boot.file running.file target.file inhibitors nix
    read_only activation volatile_id has_target booted.kernel target.kernel answer end
"""
VALUES = st.sampled_from(
    [
        *("", "0", "1", "9" * 5000, "-1", "٣", "x" * 5000, SYSTEM, "done", "switch", "activating"),
        *("[" * 100_000, '{"data":[[[1,2,3,"block",5]]]}', '{"data":{}}', "null", "1 2 3 4"),
        *("\v", "\x1b[2J", "\u202e", "\x85store=1", "9" * 18),
    ]
) | st.text(max_size=40)
ANSWERS = st.lists(st.tuples(st.sampled_from(NAMES.split()), VALUES), max_size=60).map(
    lambda said: "".join(f"{key}={value}\n" for key, value in said)
)

PARSERS: dict[str, Callable[[str], object]] = {
    "state": parse_state,
    "check": lambda text: parse_check(text, Login("deploy")),
    "facts": lambda text: parse_facts(split_lines(text)),
    "parts": lambda text: parse_parts(split_lines(text), ("kernel",)),
    "components": lambda text: components({"target": text, "target.init": text}, "target"),
    "lock": lambda text: (parse_lock(values_of(text)), parse_hold(values_of(text))),
    "lacking": lambda text: understood(split_lines(text), [SYSTEM]),
    "builder": _store_paths,
    "closure": _closure,
    "told": lambda text: _told(text.encode(errors="replace"), 0, b""),
}


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=50)
@given(text=ANSWERS)
def test_an_answer_is_understood_or_refused(name: str, text: str) -> None:
    """Nothing but an error of that host's is raised."""
    with contextlib.suppress(StepError):
        PARSERS[name](text)


EVENTS = st.fixed_dictionaries(
    {"action": st.sampled_from(["start", "stop", "result", "msg", 1])},
    optional={
        "type": st.sampled_from([100, 101, 104, 105, "x", None]),
        "id": st.sampled_from([1, 2, "x", [], 9**99]),
        "level": st.integers(0, 3),
        "msg": st.sampled_from([f"error: {SYSTEM}.drv", "error:", "", "\n" * 9, 7, []]),
        "fields": st.sampled_from(
            [[], [f"{SYSTEM}.drv"], [f"{SYSTEM}.drv", {}], [1, 2], "x", {}, ["\x1b]0;x", 0]]
        ),
    },
).map(lambda event: b"@nix " + json.dumps(event).encode())


@settings(max_examples=100)
@given(lines=st.lists(EVENTS | st.binary(max_size=30) | st.just(b"@nix " + b"[" * 100_000)))
def test_what_nix_says_is_read_or_passed_over(lines: list[bytes]) -> None:
    """Any log of Nix's, from whatever host or builder, is read or passed over."""
    log = BuildLog([DrvPath(f"{SYSTEM}.drv")], lambda _: ())
    for line in lines:
        log.read(line)
        nix_log.text(line)
        nix_log.progress(line)
    nix_log.cause(b"\n".join(lines).decode(errors="replace"))


def test_numbers_and_units_have_an_end() -> None:
    """A position of a thousand digits is none; so many failed units are one sentence."""
    assert _LOG.search(b"orchestrator-guard-log " + b"9" * 5000 + b"\n") is None
    known = "machine_id=a\nboot_id=b\n"
    assert len(parse_state(known + "failed=a.service\n" * 1000).failed_units) == 1000
    for failed in ("failed=a.service\n" * 1001, f"failed={'a' * 200}\n" * 600):
        with pytest.raises(StepError, match="failed units") as caught:
            parse_state(known + failed)
        assert "reset-failed" in str(caught.value.hint)


def test_a_builders_word_is_no_option() -> None:
    """What it names is given to root's Nix at another host."""
    assert _store_paths(f"{SYSTEM}\n") == [SYSTEM]
    for word in ("--option", f"{SYSTEM} --realise", f"{SYSTEM}/../x", f"'{SYSTEM}'"):
        with pytest.raises(StepError, match="in no store"):
            _store_paths(f"{SYSTEM}\n{word}\n")
