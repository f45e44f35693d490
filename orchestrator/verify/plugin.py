"""Inside pytest: testinfra's host over the deployment's connection, and what is reported."""

from __future__ import annotations

import os
import shlex
import socket
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from testinfra.backend import base  # type: ignore[import-untyped]
from testinfra.host import Host  # type: ignore[import-untyped]

from orchestrator.core import files, stored
from orchestrator.core.errors import cause_of
from orchestrator.core.units import split_lines
from orchestrator.verify import server
from orchestrator.verify.server import (
    VARIABLE,
    Answer,
    Checked,
    Collected,
    Ended,
    Recorded,
    Request,
    Said,
    Spec,
    Started,
    Unreadable,
)

_KEPT = 4000
"""Bytes of a command's output that are kept for the record: the last ones tell the cause."""


class ConnectionLost(Exception):  # noqa: N818 -- a check prints it; it reads as a sentence
    """The host could not be asked."""


class DeploymentBackend(base.BaseBackend):  # type: ignore[misc]
    """Runs commands on the host over the deployment's open connection, as root.

    Args:
        name: The host's name in the inventory.
        path: The deployment's unix socket.
    """

    NAME = "deployment"

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        self.asked: list[Said] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(path)

    def __repr__(self) -> str:
        return f"deployment://{self.hostname}"

    def run(self, command: str, *args: str, **kwargs: Any) -> base.CommandResult:  # noqa: ARG002
        """Run a command on the host.

        Raises:
            ConnectionLost: The deployment could not run it.
        """
        text = self.get_command(command, *args)
        answer = self._ask(text)
        if answer.error is not None:
            raise ConnectionLost(answer.error)
        out, err = self._receive(answer.stdout), self._receive(answer.stderr)
        kept = (self.decode(said[-_KEPT:]) for said in (out, err))
        self.asked.append(Said(text, answer.rc, *kept))
        return self.result(answer.rc, text.encode(), out, err)

    def get_sudo_command(self, command: str, sudo_user: str | None) -> str:
        """Become another user. We are root already, so no sudo is needed on the host."""
        if sudo_user is None:
            return f"/bin/sh -c {shlex.quote(command)}"
        return f"runuser -u {shlex.quote(sudo_user)} -- /bin/sh -c {shlex.quote(command)}"

    def get_encoding(self) -> str:
        """Tell the host's encoding, without the base class's search for a Python there."""
        return "utf-8"

    def decode(self, data: bytes) -> str:
        """Decode output; what is not UTF-8 must not end a check."""
        return data.decode(errors="replace")

    def _ask(self, command: str) -> Answer:
        try:
            self._socket.sendall(server.pack(Request(command)))
        except OSError as error:
            raise _silent(error) from error
        (length,) = server.HEADER.unpack(self._receive(server.HEADER.size))
        return stored.decode(Answer, self._receive(length))

    def _receive(self, length: int) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            try:
                part = self._socket.recv(min(1 << 20, length - len(parts)))
            except OSError as error:
                raise _silent(error) from error
            if not part:
                raise ConnectionLost("the deployment closed the connection")
            parts += part
        return bytes(parts)


def _silent(error: OSError) -> ConnectionLost:
    return ConnectionLost(f"the deployment does not answer: {cause_of(error)}")


_LONGEST = 4000
"""Characters of why a check failed, in one line."""

_ACCOUNT = 40_000
"""Characters of pytest's account of a failure: it may hold all that a host printed."""


_STAND_IN = "/usr/local/lib/lab/generation-boot"
_PROFILE = "/etc/lab/profile"
"""What the lab's profile leaves on a host of the fleet's own nixpkgs: ``lab/profile/lab.nix``."""


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
    if host.file(_STAND_IN).exists:
        pytest.skip("a lab host does not run this")


@pytest.fixture
def not_in_any_lab(host: Host) -> None:
    """Skip a check of what a namespace cannot have: a network to set up, a screen, hardware.

    Hosts of the fleet's own nixpkgs run its other services, and are checked for those.
    """
    if host.file(_STAND_IN).exists or host.file(_PROFILE).exists:
        pytest.skip("no lab host has this: its network, screen and hardware are the lab's")


def pytest_configure(config: pytest.Config) -> None:
    """Connect to the deployment."""
    path = Path(os.environ[VARIABLE])
    recorder = Recorder(files.load(path.parent, path.name, Spec))
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
        self._file: BinaryIO = Path(spec.results).open("ab", buffering=0)  # noqa: SIM115

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave only the checks that are to be tried again."""
        if self.spec.only is not None:
            wanted = set(self.spec.only)
            items[:] = [item for item in items if item.nodeid in wanted]
        self._write(Collected(len(items)))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a suite that cannot be read."""
        if report.failed:
            message, output = _cause(report), report.longreprtext[-_ACCOUNT:]
            self._write(Unreadable(report.nodeid, message, output))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Record that a check begins, so that one which never ends is known."""
        self._reports.clear()
        self._backend.asked.clear()
        self._write(Started(nodeid))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the reports of set-up, check and tear-down until all are there."""
        self._reports.append(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Record how the check ended."""
        told = next((r for r in self._reports if r.failed), None)
        told = told or next((r for r in self._reports if r.skipped), None)
        failed = told is not None and told.failed
        self._write(
            Checked(
                check=nodeid,
                outcome="passed" if told is None else told.outcome,
                seconds=round(sum(r.duration for r in self._reports), 3),
                message="" if told is None else _cause(told),
                output=_output(told) if told is not None and failed else "",
                commands=tuple(self._backend.asked) if failed else (),
            )
        )

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Record that pytest came to its end by itself."""
        self._write(Ended(int(exitstatus)))

    def _write(self, record: Collected | Unreadable | Started | Checked | Ended) -> None:
        self._file.write(stored.encode(Recorded(record)) + b"\n")


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
