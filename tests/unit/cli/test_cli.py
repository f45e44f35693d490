"""The command line: help, usage errors, exit codes. No host and no Nix is asked."""

from __future__ import annotations

import errno
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from orchestrator.cli.commands import SECTIONS
from orchestrator.cli.group import Entry, Group
from orchestrator.cli.main import main, orchestrator
from orchestrator.cli.opening import one_host
from orchestrator.core.errors import RefusedError, StepError, UsageError
from orchestrator.core.host import Connect, Fleet, Host

HEAVY = ("asyncssh", "rich", "pytest", "yaml", "sqlite3", "cryptography")


def _words(command: click.Command, words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """A command and all the commands below it."""
    found = [words]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            found += _words(below, (*words, name))
    return found


EVERY = _words(orchestrator, ())


def exit_code(*argv: str) -> int:
    """Run the command line as a shell does."""
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fleet of two hosts; its state is kept in a temporary folder too."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    root = tmp_path / "fleet"
    (root / "inventory").mkdir(parents=True)
    hosts = "".join(f"  {name}: {{address: {name}.invalid}}\n" for name in ("p620", "razer"))
    (root / "inventory" / "hosts.yaml").write_text(f"hosts:\n{hosts}")
    monkeypatch.chdir(root)
    return root


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_command_has_help(words: tuple[str, ...], option: str) -> None:
    """On standard output, with exit code 0 and a line that says what it does."""
    done = CliRunner().invoke(orchestrator, [*words, option])
    assert done.exit_code == 0
    assert done.output.startswith("Usage: ")
    assert len(done.output.splitlines()) > 3


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    """Help loads neither SSH, drawing, YAML nor pytest to show how a command is used."""
    program = (
        "import sys\n"
        "from orchestrator.cli.main import main\n"
        f"try: main({[*words, '--help']!r})\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"found = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not found, found\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _entries(commands: Mapping[str, Entry]) -> Iterator[tuple[str, Entry]]:
    for name, entry in commands.items():
        yield name, entry
        if isinstance(entry, Group):
            yield from _entries(entry.commands)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_list_of_commands_says_what_they_are(section: str) -> None:
    """Each command of the list can be imported under its name, and is described in one line."""
    for name, entry in _entries(SECTIONS[section]):
        if isinstance(entry, Group):
            assert entry.line.endswith(".")
            continue
        place, line = entry
        module, of_module = place.split(":")
        command = getattr(importlib.import_module(f"orchestrator.{module}"), of_module)
        assert isinstance(command, click.Command)
        assert command.name == name
        assert line.endswith(".")


@pytest.mark.parametrize(
    "line",
    ["--json run list", "run --json list", "run list --json", "--fleet {} --json run list"],
)
def test_an_option_may_stand_anywhere(
    fleet: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the command, after its group, after it: it means the same."""
    assert exit_code(*line.format(fleet).split()) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_what_stands_after_a_command_counts(
    fleet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An option that is typed twice has the value that stands with the command."""
    assert exit_code("--fleet", str(tmp_path / "none"), "inventory", "list") == 2
    capsys.readouterr()
    line = ("--fleet", str(tmp_path / "none"), "inventory", "list", "--json", "--fleet", str(fleet))
    assert exit_code(*line) == 0
    assert json.loads(capsys.readouterr().out) == ["p620", "razer"]


@pytest.mark.parametrize(
    "line", ["--json host ssh p620", "-v pending list", "--fleet x completion bash"]
)
def test_an_option_that_a_command_has_not_is_refused(
    fleet: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever it stands: it is never ignored without a word."""
    assert exit_code(*line.split()) == 2
    assert "has no option" in capsys.readouterr().err


def test_quiet_and_no_color_are_on_every_command(
    fleet: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A notice, such as that of a stale fleet.json, is not printed then; a result is."""
    monkeypatch.setenv("NO_COLOR", "")
    assert exit_code("inventory", "generate", "-q", "--no-color") == 0
    assert capsys.readouterr().err == ""
    assert os.environ["NO_COLOR"] == "1"
    assert exit_code("inventory", "generate") == 0
    assert "is up to date" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        ("no-such-command",),
        ("deploy", "--no-such-option"),
        ("deploy", "--goal", "reboot"),
        ("deploy", "--emergency"),
        ("deploy", "--emergency", "fire"),
        ("deploy", "p620", "razer", "--emergency", "fire"),
        ("deploy", "p620", "--emergency", " "),
        ("deploy", "p620", "--emergency", "--json"),
        ("diff",),
        ("diff", "p620", "razer"),
        ("run", "list", "-n", "0"),
        ("completion", "tcsh"),
        ("deploy", "no-such-host"),
        ("deploy", "--build-on", "no-such-host"),
        ("deploy", "p620", "--this-machine"),
        ("deploy", "tag:"),
        ("plan", "("),
        ("inventory", "show", "no-such-host"),
        ("deploy", "--skip-preflight", "no-such-check"),
        ("deploy", "--reboot", "p620"),
        ("deploy", "--goal", "test", "--reboot"),
        ("rollback",),
        ("rollback", "no-such-host"),
        ("rollback", "p620", "--to", "the-last-one"),
        ("rollback", "p620", "razer", "--to", "41"),
        ("rollback", "tag:portable", "--to", "41"),
        ("rollback", "p620", "--to", "41", "--run", "1"),
        ("rollback", "--run", "99"),
        ("host", "generations", "p620", "razer"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_carried_out_exits_with_2(
    fleet: Path, argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """A usage error is told on standard error and nothing is written to standard output."""
    assert exit_code(*argv) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "rror" in said.err
    assert "Traceback" not in said.err
    assert "mistake" not in said.err, "the fleet itself is in order"


def test_without_nix_it_exits_with_2(
    fleet: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without Nix a command exits with 2 at once, and the hint names the installer."""
    git = shutil.which("git")
    assert git is not None
    tools = fleet.parent / "tools"
    tools.mkdir()
    (tools / "git").symlink_to(git)
    monkeypatch.setenv("PATH", str(tools))
    for command in ("deploy", "plan", "build"):
        assert exit_code(command, "p620") == 2
        said = capsys.readouterr().err
        assert "there is no `nix` on the PATH" in said
        assert "nixos.org/download" in said


def test_without_a_fleet_it_exits_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Outside of a fleet's folder a command exits with 2 and an error."""
    monkeypatch.chdir(tmp_path)
    assert exit_code("status") == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("selector", ["*", "p620 or razer", "not p620 or p620", "[pr]*"])
def test_an_emergency_is_one_hosts(
    fleet: Path, selector: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without checks and verification, never several hosts by one selector."""
    assert exit_code("deploy", selector, "--emergency", "fire") == 2
    assert "several hosts: p620, razer" in capsys.readouterr().err


def test_one_host_is_one_host() -> None:
    """A selector that means exactly one host names it; one that means none is an error."""
    hosts = {name: Host(name, name, Connect(name)) for name in ("p620", "razer")}
    known = Fleet("f", "/f", "/f", hosts)
    assert one_host(known, "raz*").name == "razer"
    with pytest.raises(UsageError, match="no host matches"):
        one_host(known, "samsung")


def test_an_empty_history_exits_with_0(fleet: Path) -> None:
    """Nothing was run yet, and that is no error."""
    assert exit_code("run", "list", "--json") == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [(UsageError("no"), 2), (StepError("no"), 1), (RefusedError("no"), 4)],
)
def test_a_foreseen_error_has_its_code(
    error: StepError | UsageError,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An error that was foreseen is drawn without a traceback, and ends with its own code."""

    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(orchestrator, "main", fails)
    assert exit_code("status") == code
    assert capsys.readouterr().err.startswith("error: no")


@pytest.mark.parametrize("line", ["--debug inventory list", "inventory list --debug"])
def test_debug_adds_a_traceback_and_changes_no_code(
    tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error is drawn all the same; what stands behind ``--`` is a host's command's own."""
    assert exit_code(*line.split(), "--fleet", str(tmp_path)) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "\nerror: " in err
    assert exit_code("host", "exec", "x", "--fleet", str(tmp_path), "--", "tool", "--debug") == 2
    assert "Traceback" not in capsys.readouterr().err


def test_an_output_that_is_full_is_one_line(fleet: Path) -> None:
    """A disk that is full, or a folder that is gone, is no bug of ours: no traceback."""
    argv = (sys.executable, "-m", "orchestrator", "inventory", "list")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        "error: cannot write standard output: No space left on device",
    )


def test_a_working_directory_that_is_gone_is_said(
    fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody may have removed the folder that one is in: one line, and what to do."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert exit_code("inventory", "list") == 1
    assert capsys.readouterr().err == (
        "error: the working directory does not exist any more; cd to another one\n"
    )


def test_too_few_file_descriptors_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever they run out: the limit, and how it is raised; no traceback."""

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files", "/some/file")

    monkeypatch.setattr(orchestrator, "main", fails)
    assert exit_code("status") == 1
    said = capsys.readouterr().err
    assert said.startswith("error: too many open files: this process may have ")
    assert "ulimit -n" in said


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, click.exceptions.Abort])
def test_an_interruption_exits_with_130(
    interruption: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever Ctrl-C comes, and at a prompt."""

    def fails(*_: object, **__: object) -> None:
        raise interruption

    monkeypatch.setattr(orchestrator, "main", fails)
    assert exit_code("status") == 130


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw is not dressed up as an error of the user's."""

    def bug(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(orchestrator, "main", bug)
    with pytest.raises(ZeroDivisionError):
        main(["status"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script(shell: str) -> None:
    """`completion` prints a script for each shell that it offers."""
    done = CliRunner().invoke(orchestrator, ["completion", shell])
    assert done.exit_code == 0
    assert "_ORCHESTRATOR_COMPLETE" in done.output


@pytest.mark.parametrize(
    ("line", "near"),
    [("deplyo p620", "deploy"), ("host trsut p620", "trust"), ("secrets rekye", "rekey")],
)
def test_a_slip_is_told_what_it_is_nearest_to(
    line: str, near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In each group; a word that is near to nothing is told as that."""
    assert exit_code(*line.split()) == 2
    assert f"Did you mean '{near}'?" in capsys.readouterr().err
    assert exit_code("zzzzzz") == 2
    assert "No such command 'zzzzzz'." in capsys.readouterr().err
