"""A run over several hosts: every host is in the report, whatever happens to one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orchestrator.core import git
from orchestrator.core.errors import UsageError
from orchestrator.core.event import Event, HostFinished, RunFinished, RunStarted
from orchestrator.core.host import Connect, Fleet, Host
from orchestrator.core.outcome import Failed, Outcome, Problem, Skipped, Unchanged
from orchestrator.core.run import DeployRequest, Report
from orchestrator.core.store import OutPath
from orchestrator.deploy import run as deploy_run
from orchestrator.deploy.work import HostWork
from orchestrator.host.setup import Setup
from orchestrator.nix import verbs as nix
from orchestrator.nix.verbs import Flake
from orchestrator.runs.store import Runs
from orchestrator.ssh.settings import SshSettings
from orchestrator.verify import result as verify_result

OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system")
NAMES = ("p620", "razer", "p510")


class Fake:
    """A fleet whose hosts end as they are told to."""

    def __init__(self, folder: Path) -> None:
        hosts = {name: Host(name, name, Connect(name)) for name in NAMES}
        fleet = Fleet("f", str(folder), str(folder), hosts)
        self.setup = Setup(fleet, Flake.at("/f", "/f"), SshSettings(), folder / "state")
        self.ends: dict[str, Outcome | Exception] = {}
        self.events: list[Event] = []

    async def deploy_host(self, work: HostWork) -> Outcome:
        """End as told, the first host last."""
        for _ in range(len(NAMES) - NAMES.index(work.host.name)):
            await asyncio.sleep(0)
        end = self.ends.get(work.host.name, Unchanged("same", OUT))
        if isinstance(end, Exception):
            raise end
        return end

    def deploy(self, *selectors: str) -> Report:
        """Run."""
        return asyncio.run(
            deploy_run.deploy(self.setup, DeployRequest(selectors), self.events.append)
        )


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Make a fleet of three."""

    async def version() -> tuple[int, ...]:
        return (2, 26)

    async def revision(_: str) -> str:
        return "abc-dirty"

    made = Fake(tmp_path)
    monkeypatch.setattr(nix, "version", version)
    monkeypatch.setattr(git, "revision", revision)
    monkeypatch.setattr(deploy_run, "deploy_host", made.deploy_host)
    return made


def test_every_selected_host_is_in_the_report(fake: Fake) -> None:
    """In the inventory's order, in whichever order they end."""
    report = fake.deploy()
    assert tuple(report.hosts) == NAMES
    assert report.exit_code == 0
    assert tuple(fake.deploy("p510", "p620").hosts) == ("p620", "p510")


def test_one_host_that_fails_stops_no_other(fake: Fake) -> None:
    """A host that fails stops no other, each of which comes to its own end."""
    fake.ends["razer"] = Failed("broke", Problem("build", "broke"))
    report = fake.deploy()
    assert [type(result.outcome) for result in report.hosts.values()] == [
        Unchanged,
        Failed,
        Unchanged,
    ]
    assert report.exit_code == 1


def test_a_bug_on_one_host_stops_no_other(fake: Fake) -> None:
    """The others end and the report is told before the bug comes out."""
    fake.ends["razer"] = ZeroDivisionError("x")
    with pytest.raises(ZeroDivisionError):
        fake.deploy()
    last = fake.events[-1]
    assert isinstance(last, RunFinished)
    assert tuple(last.report.hosts) == NAMES
    assert last.report.hosts["razer"].outcome.reason == (
        "a bug in the orchestrator: ZeroDivisionError: x"
    )
    assert isinstance(last.report.hosts["p510"].outcome, Unchanged)


def test_a_run_begins_and_ends_with_its_events(fake: Fake) -> None:
    """First the run, last its report, and each host's end once in between."""
    report = fake.deploy()
    first, *middle, last = fake.events
    assert isinstance(first, RunStarted)
    assert first.hosts == NAMES
    assert sorted(event.host for event in middle if isinstance(event, HostFinished)) == sorted(
        NAMES
    )
    assert last == RunFinished(report)


def test_runs_are_numbered_and_remembered(fake: Fake) -> None:
    """Each has a folder of its own, for its user alone, and a line in the history."""
    fake.ends["p620"] = Skipped("interrupted")
    runs = [fake.deploy().run, fake.deploy().run]
    assert [run.number for run in runs] == [1, 2]
    assert runs[0].revision == "abc-dirty"
    assert Path(runs[1].folder).stat().st_mode & 0o777 == 0o700
    newest, oldest = Runs(fake.setup.state).recent(9)
    assert (newest.number, newest.exit_code) == (2, 1)
    assert dict(oldest.hosts) == {"p620": "skipped", "razer": "unchanged", "p510": "unchanged"}


def test_a_run_with_verified_hosts_leaves_one_junit_file_beside_its_two(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file has the suites of all verified hosts; no file of a single host is left."""

    async def verified(work: HostWork) -> Outcome:
        folder = Path(work.session.run.folder)
        if work.host.name != "p510":
            verify_result.write(
                folder / f"junit-{work.host.name}.xml",
                [verify_result.suite(work.host.name, [], [])],
            )
        return await fake.deploy_host(work)

    monkeypatch.setattr(deploy_run, "deploy_host", verified)
    folder = Path(fake.deploy().run.folder)
    assert {file.name for file in folder.iterdir()} == {"events.jsonl.gz", "log.gz", "junit.xml"}
    merged = (folder / "junit.xml").read_text()
    assert 'name="p620"' in merged
    assert 'name="razer"' in merged
    assert "p510" not in merged


def test_nothing_begins_for_a_selector_that_means_nothing(fake: Fake) -> None:
    """A selector that matches nothing is an error before any event, number or folder."""
    with pytest.raises(UsageError):
        fake.deploy("samsung")
    assert fake.events == []
    assert not fake.setup.state.exists()
