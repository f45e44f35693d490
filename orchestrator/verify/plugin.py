"""The pytest plugin inside the suite's process: the fixtures, and a record of every check."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TextIO

import pytest
from testinfra.host import Host  # type: ignore[import-untyped]

from orchestrator.core.lines import split_lines
from orchestrator.verify.backend import Asked, DeploymentBackend
from orchestrator.verify.spec import VARIABLE, Spec

_LONGEST = 4000
"""Characters of why a check failed, in one line."""

_ACCOUNT = 40_000
"""Characters of pytest's account of a failure: it may hold all that a host printed."""


@pytest.fixture(scope="session")
def fleet_host(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the inventory says of the host: its name, template, profiles, features and so on."""
    return _recorder(request.config).spec.facts


@pytest.fixture(scope="session")
def host(request: pytest.FixtureRequest) -> Host:
    """The host, through the deployment's own connection; commands run as root."""
    return _recorder(request.config).host


@pytest.fixture
def not_in_lab(host: Host) -> None:
    """Skip a check of what a lab host carries in its configuration and does not run."""
    # What makes a lab host boot a generation; no other machine has it.
    if host.file("/usr/local/lib/lab/generation-boot").exists:
        pytest.skip("a lab host does not run this")


def pytest_configure(config: pytest.Config) -> None:
    """Connect to the deployment."""
    recorder = Recorder(Spec.read(Path(os.environ[VARIABLE])))
    config.pluginmanager.register(recorder, "orchestrator-recorder")


def _recorder(config: pytest.Config) -> Recorder:
    recorder = config.pluginmanager.get_plugin("orchestrator-recorder")
    assert isinstance(recorder, Recorder)
    return recorder


class Recorder:
    """Writes a JSON line for each thing that happens, at once, so that a crash loses nothing."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._backend = DeploymentBackend(spec.facts["name"], spec.socket)
        self.host = Host(self._backend)
        self._backend.set_host(self.host)
        self._reports: list[pytest.TestReport] = []
        self._file: TextIO = Path(spec.results).open("a", buffering=1)  # noqa: SIM115

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave only the checks that are to be tried again."""
        if self.spec.only is not None:
            wanted = set(self.spec.only)
            items[:] = [item for item in items if item.nodeid in wanted]
        self._write("collected", count=len(items))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a suite that cannot be read."""
        if report.failed:
            message, output = _cause(report), report.longreprtext[-_ACCOUNT:]
            self._write("unreadable", check=report.nodeid, message=message, output=output)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Record that a check begins, so that one which never ends is known."""
        self._reports.clear()
        self._backend.asked.clear()
        self._write("start", check=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the reports of set-up, check and tear-down until all are there."""
        self._reports.append(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Record how the check ended."""
        told = next((r for r in self._reports if r.failed), None)
        told = told or next((r for r in self._reports if r.skipped), None)
        failed = told is not None and told.failed
        self._write(
            "check",
            check=nodeid,
            outcome="passed" if told is None else told.outcome,
            seconds=round(sum(r.duration for r in self._reports), 3),
            message="" if told is None else _cause(told),
            output=_output(told) if told is not None and failed else "",
            commands=[_spoken(asked) for asked in self._backend.asked] if failed else [],
        )

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Record that pytest came to its end by itself."""
        self._write("end", status=int(exitstatus))

    def _write(self, kind: str, **values: object) -> None:
        self._file.write(json.dumps({"kind": kind, **values}) + "\n")


def _cause(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Say in one line why a check failed or was skipped."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")[:_LONGEST]
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else _last_error(report.longreprtext)
    first, *rest = str(text).strip().removeprefix("AssertionError: ").split("\n")
    # "assert False" alone tells nothing; pytest's next line tells what was false.
    where = next(
        (line.strip(" +") for line in rest[:1] if line.strip(" +").startswith("where")), ""
    )
    told = f"{first}, {where}" if where and first.startswith("assert ") else first
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…"


def _last_error(text: str) -> str:
    """Find the exception in a report that pytest has formatted already: its last line of error."""
    errors = [line[1:].strip() for line in split_lines(text) if line.startswith("E ")]
    return errors[-1] if errors else next(iter(reversed(split_lines(text.strip()))), "")


def _output(report: pytest.TestReport) -> str:
    captured = [f"{title}:\n{text.rstrip()}" for title, text in report.sections]
    return "\n".join([report.longreprtext, *captured])[-_ACCOUNT:]


def _spoken(asked: Asked) -> dict[str, object]:
    return {
        "command": asked.command,
        "rc": asked.rc,
        "stdout": asked.stdout.decode(errors="replace"),
        "stderr": asked.stderr.decode(errors="replace"),
    }
