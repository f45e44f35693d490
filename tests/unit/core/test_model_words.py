"""How long ago something was, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.units import ago, parse_duration

NOW = datetime(2024, 5, 6, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s ago"),
        (0.9, "0 s ago"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (3600, "1 h ago"),
        (86399, "23 h ago"),
        (86400, "1 d ago"),
        (400 * 86400, "400 d ago"),
        (-60, "0 s ago"),
        (-61, "at 2024-05-06 12:01 by a clock ahead of this one"),
    ],
)
def test_a_time_is_told_in_its_largest_whole_unit(seconds: float, words: str) -> None:
    """Rounded down; a clock a little ahead is now, one further ahead is called so."""
    assert ago(NOW - timedelta(seconds=seconds), NOW) == words


@given(st.integers(0, 10**9))
def test_no_past_is_negative(seconds: int) -> None:
    """Any time in the past is some count of a unit ago."""
    count, unit, end = ago(NOW - timedelta(seconds=seconds), NOW).split()
    assert int(count) >= 0
    assert unit in ("s", "min", "h", "d")
    assert end == "ago"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("0s", 0.0), ("30s", 30.0), ("1.5m", 90.0), ("2h", 7200.0), ("7d", 604800.0)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    """The same wherever one is written: in the inventory, on the command line."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1w", "1 s", "1,5m", "٣s", "1e3s", "1.2345s"])
def test_what_is_no_duration(text: str) -> None:
    """A text that is no duration is named, with what is expected."""
    with pytest.raises(ValueError, match="expected a duration such as 30s"):
        parse_duration(text)
