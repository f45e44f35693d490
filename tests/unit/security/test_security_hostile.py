"""Answers of hosts that lie, or that are not understood: nothing of them does harm."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from security_answers import DECLARED, OTHER, found, seen, severities, text_of

from orchestrator.core.risk import AcceptedFinding
from orchestrator.security.model import Base, Finding, Kind, Severity
from orchestrator.security.plan import judge
from orchestrator.security.plan.answer import Socket, parse

KINDS = (
    *("socket", "owner", "still", "exe", "cgroup", "inside", "unit", "unit-file", "etc", "added"),
    *("passwd", "group", "shadow", "key", "setuid", "capability", "wrapper", "cron", "boot"),
    *("module", "helper", "login", "loose", "sum", "invalid", "modified", "cut", "unseen", "link"),
)
ROWS = st.lists(st.tuples(st.sampled_from(KINDS), st.lists(st.text(max_size=30), max_size=8)))


@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_no_answer_breaks_a_check(rows: list[tuple[str, list[str]]]) -> None:
    """Whatever a host says, it is judged to an end, and each finding has an id on one line."""
    said = parse(text_of(*((kind, *fields) for kind, fields in rows)))
    for one in judge.judge(DECLARED, said, Base()):
        assert "\n" not in one.id
    judge.unseen(said)


def test_lines_that_are_not_understood_were_not_said() -> None:
    """Half a line, no numbers, endless numbers and greetings leave what is understood."""
    odd = (
        ("exe",),
        ("exe", "x", "y", "/tmp/x"),
        ("exe", "9" * 5000, 0, "/tmp/x"),
        ("socket", "tcp", "zz:1", 1, 0),
        ("passwd", "half:x"),
        ("setuid", "rws", 0, 0, "/x"),
        ("welcome to this host",),
        ("still",),
        ("owner", "x"),
    )
    assert found(*odd) == {}


def test_what_a_host_says_is_no_longer_than_what_is_kept() -> None:
    """Names are cut, and of many findings a bounded number is kept."""
    rows = [("module", f"{'m' * 9000}{number}") for number in range(3000)]
    said = judge.judge(DECLARED, seen(*rows), Base())
    assert len(said) <= judge.MOST
    assert max(len(one.id) for one in said) < 600


@pytest.mark.parametrize(
    ("at", "address", "port", "local"),
    [
        ("0100007F:0016", "127.0.0.1", 22, True),
        ("07C80A0A:01BB", "10.10.200.7", 443, False),
        ("0A4D0002:0050", "2.0.77.10", 80, False),
        ("00000000000000000000000001000000:0035", "::1", 53, True),
        ("0000000000000000FFFF00000100007F:0035", "127.0.0.1", 53, True),
        ("000080FE000000000000000001000000:0035", "fe80::1", 53, False),
    ],
)
def test_addresses_are_read_as_the_kernel_writes_them(
    at: str, address: str, port: int, local: bool
) -> None:
    """Words of this machine's order; an IPv4 address in an IPv6 socket is that address."""
    socket = Socket.of(("tcp", at, "1", "0"))
    assert (socket.address, socket.port, socket.is_local) == (address, port, local)


def test_what_is_accepted_is_no_alarm_until_its_day_is_over() -> None:
    """An acceptance goes by the id, with its reason; on the day after it, it is said to be over."""
    one = Finding(Kind.KEY, "/root/x SHA256:ab", "", "", Severity.HIGH, "")
    other = Finding(Kind.UNIT, "a.service", "", "", Severity.HIGH, "")
    word = AcceptedFinding("key:/root/*", "the robot", date(2027, 3, 1))
    marked, over = judge.accept((one, other), (word,), date(2027, 3, 1))
    assert [each.is_alarm for each in marked] == [False, True]
    assert marked[0].accepted == "the robot (until 2027-03-01)"
    assert over == ()
    marked, over = judge.accept((one, other), (word,), date(2027, 3, 2))
    assert all(each.is_alarm for each in marked)
    assert over == (
        "what was accepted of key:/root/* until 2027-03-01 is accepted no more: the robot",
    )


def test_a_finding_is_as_old_as_the_checks_that_had_it() -> None:
    """The first time that one was seen stays; what is new is of now."""
    first, now = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    one = Finding(Kind.UNIT, "a", "", "", Severity.HIGH, "")
    two = Finding(Kind.UNIT, "b", "", "", Severity.HIGH, "")
    dated = judge.dated((one, two), {"unit:a": first}, now)
    assert [each.since for each in dated] == [first, now]


def test_files_of_sshds_and_the_guards_may_change_with_a_deployment_only() -> None:
    """Between two checks a host key stays, and the guard's record too, unless it was deployed."""
    said = seen(("sum", "/etc/ssh/a.pub", "1"), ("sum", "/var/lib/orchestrator/record", "1"))
    before = {"/etc/ssh/a.pub": "0", "/var/lib/orchestrator/record": "0", "/gone": "0"}
    alone = [one.id for one in judge.changed_sums(before, said, deployed=False)]
    assert alone == ["own:/etc/ssh/a.pub", "own:/var/lib/orchestrator/record"]
    deployed = [one.id for one in judge.changed_sums(before, said, deployed=True)]
    assert deployed == ["own:/etc/ssh/a.pub"]
    assert [*judge.changed_sums({}, said, deployed=False)] == []


def test_what_could_not_be_looked_at_is_said() -> None:
    """Without root, in a container, and past a bound: each is named."""
    said = judge.unseen(
        seen(("unseen", "kernel"), ("unseen", "x"), ("cut", "exe"), ("setuid", "cut"))
    )
    assert said == (
        "the kernel (a container has its machine's)",
        "exe: more than is looked at",
        "setuid: more than is looked at",
    )
    nobody = parse("root\tno")
    assert judge.unseen(nobody) == judge.WITHOUT_ROOT


def test_a_key_of_no_form_is_told_all_the_same() -> None:
    """What begins like a key and is none may be one for another program."""
    said = found(("key", "/root/.ssh/authorized_keys", 0, "ssh-ed25519 AAAAnot*base64"))
    assert severities(said.values()) == {"key:/root/.ssh/authorized_keys of no form": "high"}
    assert found(("key", "/root/x", 0, "no key at all")) == {}
    assert found(("key", "/root/x", 0, f"{OTHER} # twice"), ("key", "/root/x", 0, OTHER)).keys()
