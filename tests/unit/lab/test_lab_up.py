"""Which hosts a lab starts where nobody names any."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner

from orchestrator.cli.main import orchestrator
from orchestrator.core.errors import UsageError
from orchestrator.lab.cgroup import Cgroup
from orchestrator.lab.host import LabHost, LabStatus
from orchestrator.lab.lab import Lab
from orchestrator.lab.record import HostRecord


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that were asked to be started."""
    found: list[str] = []

    def up(_: Lab, hosts: Sequence[str], **__: object) -> LabStatus:
        found.extend(hosts)
        return LabStatus("", Path(), True, [])

    monkeypatch.setattr(Lab, "up", up)
    return found


def up(root: Path, *hosts: str) -> None:
    """Type ``lab up``; what it raises comes out."""
    (root / "inventory").mkdir(exist_ok=True)
    (root / "inventory/h.yaml").write_text("hosts: {web1: , kiosk: {count: 1000}, one: {count: 1}}")
    words = ["lab", "up", "--fleet", str(root), *hosts]
    assert CliRunner().invoke(orchestrator, words, catch_exceptions=False).exit_code == 0


def test_of_many_equal_machines_the_first_two_are_started(
    started: list[str], tmp_path: Path
) -> None:
    """A thousand of them would say no more than two, and would not fit."""
    up(tmp_path)
    assert started == ["web1", "kiosk-1", "kiosk-2", "one-1"]


def test_members_that_are_named_are_started(started: list[str], tmp_path: Path) -> None:
    """Any of them may be; a class's name means its first two."""
    up(tmp_path, "kiosk-7", "web1")
    assert started == ["kiosk-7", "web1"]
    started.clear()
    up(tmp_path, "kiosk", "kiosk-2", "one")
    assert started == ["kiosk-1", "kiosk-2", "one-1"]
    with pytest.raises(UsageError, match="no host kiosk-1001"):
        up(tmp_path, "kiosk-1001")


def test_a_host_that_ends_while_it_is_asked_to_is_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The process that is to be told may be gone by then: nothing is wrong with that."""
    ended = subprocess.Popen(("true",))
    ended.wait()
    monkeypatch.setattr(LabHost, "leader", ended.pid)
    monkeypatch.setattr(Cgroup, "frozen", False)
    record = cast(HostRecord, None)
    LabHost("p620", record, tmp_path, Cgroup(tmp_path)).ask_to_power_off()
