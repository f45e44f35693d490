"""What a host tells of its lock, whatever its file says."""

from __future__ import annotations

from orchestrator.host.lock_scripts import parse_lock

LOCK = {"uptime": "100", "lock.token": "7-abcd", "lock.expires": "160", "lock.run": "7"}


def test_numbers_that_nobody_wrote_are_none() -> None:
    """Python refuses to read one of thousands of digits; that must not end a run."""
    nines = "9" * 5000
    assert parse_lock({**LOCK, "lock.expires": nines}) is None
    read = parse_lock({**LOCK, "lock.run": nines, "lock.since": nines})
    assert read is not None
    assert (read.run, read.since, read.expires_in) == (None, None, 60)
