"""``host hold``, ``unhold`` and ``lock break`` as they are typed; no host is asked."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from orchestrator.cli.main import orchestrator


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("host", "hold", "p620"), "--reason"),
        (("host", "hold", "p620", "--reason", " "), "whoever is refused will ask"),
        (("host", "hold", "--reason", "x"), "SELECTOR"),
        (("host", "unhold"), "SELECTOR"),
        (("host", "lock", "break"), "HOST"),
    ],
)
def test_what_is_missing_is_said(typed: tuple[str, ...], said: str) -> None:
    """A hold says why and whom it is for; nothing is held or lifted by mistake."""
    done = CliRunner().invoke(orchestrator, typed)
    assert done.exit_code == 2
    assert said in done.output
