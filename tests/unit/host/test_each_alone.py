"""A command that asks many hosts: one's failure is its own, be it a bug or this machine's lack."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core import machine
from orchestrator.core.errors import BugError, StepError, UnreachableError, UsageError
from orchestrator.core.host import Connect, Fleet, Host, Limits
from orchestrator.host import check, execute, setup, status
from orchestrator.host.execute import ExecOutput, ExecRequest, ExecResult, ExecStatus
from orchestrator.host.setup import Setup
from orchestrator.nix.verbs import Flake
from orchestrator.ssh.runner import ByteSink
from orchestrator.ssh.said import said_of
from orchestrator.ssh.settings import SshSettings

NAMES = ("first", "buggy", "last")


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    """Three hosts, none of which answers; on the way to one of them is a bug."""

    @contextlib.asynccontextmanager
    async def reach(_: Setup, host: Host) -> AsyncIterator[object]:
        if host.name == "buggy":
            raise RecursionError("maximum recursion depth exceeded")
        raise UnreachableError("it is off")
        yield

    for module in (setup, execute):
        monkeypatch.setattr(module, "reach", reach)
    hosts = {name: Host(name, name, Connect(name)) for name in NAMES}
    fleet = Fleet("f", str(tmp_path), str(tmp_path), hosts)
    return Setup(fleet, Flake(str(tmp_path), str(tmp_path)), SshSettings(), tmp_path)


Asks = Callable[[Setup, Sequence[Host]], Coroutine[Any, Any, Sequence[Any]]]


async def held(setup: Setup, hosts: Sequence[Host]) -> Sequence[Any]:
    """Hold hosts."""
    return await status.hold(setup, hosts, "disk swap")


@pytest.mark.parametrize("ask", [status.ask_all, status.lift, held, check.check_all])
def test_a_bug_on_the_way_to_one_host_is_that_hosts_error(three: Setup, ask: Asks) -> None:
    """Who asks what hosts run, what they are, who holds them: the others are told all the same."""
    answers = asyncio.run(ask(three, tuple(three.fleet.hosts.values())))
    assert [one.host.name for one in answers] == list(NAMES)
    errors = [one.error for one in answers]
    assert [type(one) for one in errors] == [UnreachableError, BugError, UnreachableError]
    assert "a bug in the orchestrator: RecursionError: maximum" in errors[1].message
    assert "in reach" in errors[1].stderr, "where it was met is shown"


class Ended(ExecOutput):
    """Notes what came of each host."""

    def __init__(self) -> None:
        self.results: list[ExecResult] = []

    def sink(self, host: str, *, stderr: bool) -> ByteSink:  # noqa: ARG002
        """Nothing is said."""
        return execute.Descriptor(1)

    def ended(self, result: ExecResult) -> None:
        """Note it."""
        self.results.append(result)

    def stopping(self) -> None:
        """Nobody stops."""


def test_a_bug_on_one_host_leaves_a_command_to_the_others(three: Setup) -> None:
    """``host exec``: what came of the others is told, and the bug is that host's failure."""
    output = Ended()
    hosts = tuple(three.fleet.hosts.values())
    results, interrupted = execute.execute(three, hosts, ExecRequest(("true",)), output)
    assert not interrupted
    statuses = [one.status for one in results]
    unreachable = ExecStatus.UNREACHABLE
    assert statuses == [unreachable, ExecStatus.FAILED, unreachable]
    assert isinstance(results[1].error, BugError)
    assert len(output.results) == 3


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a line in ``/etc/passwd``, a home and a name, as in a container."""
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("orchestrator.ssh.said._me", lambda: None)


@pytest.mark.usefixtures("nobody")
def test_a_user_without_a_home_is_told_so() -> None:
    """Nothing is guessed: history and caches would be lost, or another's."""
    with pytest.raises(UsageError, match=r"uid 54321.*HOME is not set") as raised:
        machine.home()
    assert "export HOME" in str(raised.value.hint)
    assert machine.user_name() == "uid54321"
    assert setup.whoami().startswith("uid54321@")


@pytest.mark.usefixtures("nobody")
def test_a_user_without_a_name_logs_in_as_whom_the_inventory_says(tmp_path: Path) -> None:
    """The inventory's user counts; where there is none, that is the host's error, and its cure."""
    config = tmp_path / "config"
    config.touch()
    settings = SshSettings(config=str(config))
    assert asyncio.run(said_of(Connect("web1", "root"), settings)).user == "root"
    with pytest.raises(StepError, match="whom to log in as at web1") as raised:
        asyncio.run(said_of(Connect("web1"), settings))
    assert "connect: {user: …}" in str(raised.value.hint)


@pytest.mark.parametrize("odd", ["a b", "per%20cent", "long" * 40, "ques?tion", "hash#"])
def test_temporary_files_are_where_a_socket_and_a_url_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    """Where ``TMPDIR`` is long, or has what a URL of Nix's reads its own way, it is another one."""
    folder = tmp_path / odd
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(machine, "_USUAL", ())
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/var/tmp")
    assert machine.temporary() == "/var/tmp"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    with pytest.raises(StepError, match="no folder for temporary files") as raised:
        machine.temporary()
    assert "TMPDIR" in str(raised.value.hint)


def fleet(folder: Path, count: int) -> Path:
    """A fleet of hosts at which nobody listens."""
    (folder / "inventory").mkdir(parents=True)
    lines = (
        f"  h{n}: {{address: 127.0.1.{n}, connect: {{port: 1}}}}\n" for n in range(1, 1 + count)
    )
    (folder / "inventory/hosts.yaml").write_text("hosts:\n" + "".join(lines))
    (folder / "flake.nix").write_text("{ outputs = _: { }; }\n")
    return folder


def asked(folder: Path, *before: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Ask which hosts of a fleet let us in."""
    argv = (*before, sys.executable, "-P", "-m", "orchestrator", "host", "ping", "--json")
    package = Path(machine.__file__).parents[2]
    return subprocess.run(
        argv,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(package), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_few_file_descriptors_are_enough_for_many_hosts(tmp_path: Path) -> None:
    """With 64 of them each of 80 hosts has its own answer, and the limit is told by its name."""
    limited = ("sh", "-c", 'ulimit -n 64; exec "$@"', "sh")
    done = asked(fleet(tmp_path / "fleet", 80), *limited, HOME=str(tmp_path))
    answers = json.loads(done.stdout)
    assert {one["message"].rpartition(": ")[2] for one in answers.values()} == {
        "connection refused"
    }
    assert len(answers) == 80
    assert "may have 64 files open (ulimit -n): no more than 8 hosts" in done.stderr


def test_a_container_whose_user_has_no_line_in_passwd_gets_answers(tmp_path: Path) -> None:
    """Without HOME that is the error; with it, each host says what it lacks, with no traceback."""
    other = ("unshare", "--user", "--map-user=54321", "--map-group=54321")
    if subprocess.run((*other, "true"), capture_output=True, check=False).returncode:
        pytest.skip("no user namespace can be made here")
    folder = fleet(tmp_path / "fleet", 2)
    homeless = asked(folder, *other)
    assert homeless.returncode == 2, homeless
    assert "has no home: HOME is not set" in homeless.stderr
    done = asked(folder, *other, HOME=str(tmp_path))
    messages = {one["message"] for one in json.loads(done.stdout).values()}
    assert {text.partition(" at ")[0] for text in messages} == {"nothing says whom to log in as"}
    assert "Traceback" not in done.stderr


def test_limits_are_lowered_to_what_file_descriptors_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No limit of the inventory is raised by that, and one host at a time is left at least."""
    from orchestrator.cli import opening

    hosts = {f"h{n}": Host(f"h{n}", f"h{n}", Connect("a")) for n in range(100)}
    many = Fleet("f", str(tmp_path), str(tmp_path), hosts, limits=Limits(copies=3))
    for allowed, most in ((10, 1), (72, 10), (4096, 1000)):
        monkeypatch.setattr(opening, "allow_files", lambda allowed=allowed: allowed)
        limits = opening.affordable(many).limits
        assert limits.hosts == most
        assert limits.copies == min(3, most)
