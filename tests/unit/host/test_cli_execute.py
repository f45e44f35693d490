"""``host exec`` and ``host ssh``: what is typed, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.main import main
from orchestrator.core.errors import StepError, UnreachableError
from orchestrator.host import execute as host_execute
from orchestrator.host.execute import ExecRequest, ExecResult, ExecStatus
from orchestrator.ssh.runner import StoppedError

HOSTS = "hosts:\n  web1: {address: 10.0.0.5}\n  web2: {address: 10.0.0.6}\n"


@pytest.fixture(autouse=True)
def _fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/hosts.yaml").write_text(HOSTS)
    (tmp_path / "flake.nix").write_text("{ outputs = _: { }; }\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def typed(*words: str) -> int:
    """Type a command line, and give its exit code."""
    with pytest.raises(SystemExit) as end:
        main(words)
    assert isinstance(end.value.code, int)
    return end.value.code


class Executing:
    """Stands for the hosts: notes what is wanted, and has statuses come of it."""

    def __init__(self, *statuses: ExecStatus, interrupted: bool = False) -> None:
        self.statuses = statuses
        self.interrupted = interrupted
        self.asked: list[tuple[list[str], ExecRequest]] = []

    def __call__(
        self, _: Any, hosts: Sequence[Any], request: ExecRequest, output: Any
    ) -> tuple[tuple[ExecResult, ...], bool]:
        """Do as ``execute``."""
        self.asked.append(([host.name for host in hosts], request))
        results = []
        for host, status in zip(hosts, self.statuses, strict=True):
            for stderr in (False, True):
                output.sink(host.name, stderr=stderr).write(b"said\n")
            results.append(ExecResult(host.name, status, 0 if status.value == "succeeded" else 1))
            output.ended(results[-1])
        return tuple(results), self.interrupted


def test_what_stands_behind_the_mark_is_the_command_word_for_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Options of ours, another ``--`` and empty arguments among them."""
    executing = Executing(ExecStatus.SUCCEEDED, ExecStatus.SUCCEEDED)
    monkeypatch.setattr(host_execute, "execute", executing)
    words = ("--sudo", "--timeout", "90s", "--jobs", "3", "--", "ls", "--json", "", "--", "-v")
    assert typed("host", "exec", "web*", *words) == 0
    request = ExecRequest(("ls", "--json", "", "--", "-v"), True, 90.0, 3)
    assert executing.asked == [(["web1", "web2"], request)]


@pytest.mark.parametrize(
    ("status", "interrupted", "code"),
    [
        (ExecStatus.SUCCEEDED, False, 0),
        (ExecStatus.FAILED, False, 1),
        (ExecStatus.UNREACHABLE, False, 1),
        (ExecStatus.TIMED_OUT, False, 1),
        (ExecStatus.NOT_RUN, True, 130),
    ],
)
def test_the_exit_code_is_0_only_where_all_succeeded(
    monkeypatch: pytest.MonkeyPatch, status: ExecStatus, interrupted: bool, code: int
) -> None:
    """One host's failure is enough; a person who stopped it has 130."""
    executing = Executing(ExecStatus.SUCCEEDED, status, interrupted=interrupted)
    monkeypatch.setattr(host_execute, "execute", executing)
    assert typed("host", "exec", "web1", "web2", "--", "true") == code


def test_json_is_one_object_a_line_and_words_go_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With ``--json`` standard output has one object a line, and nothing else for a script."""
    monkeypatch.setattr(host_execute, "execute", Executing(ExecStatus.SUCCEEDED, ExecStatus.FAILED))
    assert typed("host", "exec", "--json", "web1", "web2", "--", "true") == 1
    said = capsys.readouterr()
    assert [json.loads(line)["host"] for line in said.out.splitlines()] == ["web1", "web2"]
    assert "2 hosts: 1 succeeded, 1 failed" in said.err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("exec", "web1"), "orchestrator host exec web1 -- "),
        (("exec", "web1", "--"), "orchestrator host exec web1 -- "),
        (("ssh", "web1", "ls", "a b"), "orchestrator host ssh web1 -- ls 'a b'"),
    ],
)
def test_a_command_that_is_not_behind_the_mark_is_a_mistake(
    words: tuple[str, ...], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is contacted, and the right line is said."""
    assert typed("host", *words) == 2
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("comes", "code"),
    [
        (0, 0),
        (7, 7),
        (-9, 137),
        (UnreachableError("no SSH connection"), 255),
        (StepError("the host key is not a known one"), 255),
        (StoppedError("left"), 130),
        (BrokenPipeError(), 141),
    ],
)
def test_the_exit_code_of_a_terminal_is_the_commands_own(
    monkeypatch: pytest.MonkeyPatch, comes: int | Exception, code: int
) -> None:
    """Signals as a shell has them, and 255 for what is the connection's, as ssh(1) has it."""
    asked: list[tuple[str, tuple[str, ...], bool]] = []

    def log_in(_: Any, host: Any, argv: tuple[str, ...], *, root: bool) -> int:
        asked.append((host.name, argv, root))
        if isinstance(comes, Exception):
            raise comes
        return comes

    monkeypatch.setattr(host_execute, "log_in", log_in)
    assert typed("host", "ssh", "--sudo", "web2", "--", "top", "-b") == code
    assert asked == [("web2", ("top", "-b"), True)]
