"""Verification, with a "host" that is a shell on this machine."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from orchestrator.core import process
from orchestrator.core.errors import UnreachableError
from orchestrator.core.host import Connect, Deadlines, Host, Verify
from orchestrator.core.process import CommandResult
from orchestrator.verify.result import Verification
from orchestrator.verify.run import verify


@dataclass
class Bench:
    """A folder with suites, and what verification said."""

    folder: Path
    lines: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    private: Path | None = None
    report: Path | None = None

    @property
    def junit(self) -> Path:
        """The file that verification writes."""
        return self.folder / "junit.xml"

    async def shell(self, command: str) -> CommandResult:
        """Stand in for the host: this machine's shell."""
        self.commands.append(command)
        return await process.run(["sh", "-c", command], deadline=60)

    def verify(self, text: str, *, seconds: float = 30.0, retries: int = 0) -> Verification:
        """Verify with one suite of this text."""
        suite = self.folder / "test_suite.py"
        suite.write_text(text)
        return asyncio.run(self.run([suite], seconds=seconds, retries=retries))

    async def run(
        self, suites: list[Path], *, seconds: float = 30.0, retries: int = 0
    ) -> Verification:
        """Verify with these suites."""
        host = Host(
            name="p620",
            attr="p620",
            connect=Connect("192.0.2.1"),
            template="workstation",
            tags=("desk",),
            verify=Verify(retries=retries, interval=0.01),
            deadlines=Deadlines(verify=seconds),
        )
        return await verify(
            host,
            suites,
            self.shell,
            folder=self.private or self.folder,
            junit=self.report or self.junit,
            log=self.lines.append,
            root=self.folder,
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Make an empty bench."""
    return Bench(tmp_path)


def test_passing_checks_are_counted(bench: Bench) -> None:
    """A suite whose checks pass verifies the host, through commands that the deployment runs."""
    result = bench.verify(
        "def test_echo(host, fleet_host):\n"
        "    assert host.check_output('echo %s', 'a b') == 'a b'\n"
        "    assert fleet_host['template'] == 'workstation'\n"
        "def test_file(host):\n"
        "    assert host.file('/etc/passwd').contains('root')\n"
        "    assert host.file('/etc/passwd').user == 'root'\n"
    )
    assert result.ok
    assert (result.passed, result.skipped, result.summary) == (2, 0, "2 checks passed")
    assert "echo 'a b'" in bench.commands
    assert any("$ echo 'a b'  (exit 0)" in line for line in bench.lines)


def test_failure_tells_check_output_and_command(bench: Bench) -> None:
    """A failing check is told with its name, its cause, its command and what that said."""
    result = bench.verify(
        "def test_name(host):\n"
        "    command = host.run('echo samsung; echo oh >&2; exit 3')\n"
        "    assert command.stdout.strip() == 'p620', 'another host'\n"
        "def test_good(host):\n"
        "    assert host.run('true').rc == 0\n"
    )
    (failure,) = result.failures
    assert not result.ok
    assert result.passed == 1
    assert failure.check == "test_suite.py::test_name"
    assert failure.message == "another host"
    assert failure.command == "echo samsung; echo oh >&2; exit 3"
    assert "(exit 3)\nsamsung\noh\n" in failure.output
    error = result.error()
    assert error.message == "test_suite.py::test_name: another host"
    assert (
        error.command == "orchestrator host exec p620 -- sh -c 'echo samsung; echo oh >&2; exit 3'"
    )
    assert "another host" in error.stderr


def test_what_a_host_prints_without_end_is_not_kept_whole(bench: Bench) -> None:
    """What a host prints without end is kept in part, in failures and in JUnit XML."""
    result = bench.verify(
        "def test_prints(host):\n"
        "    text = host.check_output('yes | head -c 300000; echo last')\n"
        "    print(text)\n"
        "    raise AssertionError(text)\n"
    )
    (failure,) = result.failures
    assert failure.message.startswith("y")
    assert len(failure.message) < 5000
    assert len(failure.output) < 60_000
    assert "last" in failure.output
    assert len(result.error().message) < 5000
    assert bench.junit.stat().st_size < 150_000


def test_flapping_check_is_tried_again_alone(bench: Bench) -> None:
    """A retry runs only what failed, and a check that passes then is said to have flapped."""
    count, once = bench.folder / "count", bench.folder / "once"
    result = bench.verify(
        f"def test_flaps(host):\n"
        f"    assert int(host.check_output('echo >>{count}; wc -l <{count}')) == 3\n"
        f"def test_once(host):\n"
        f"    assert host.check_output('echo >>{once}; wc -l <{once}').strip() == '1'\n",
        retries=2,
    )
    assert result.ok
    assert result.passed == 2
    assert result.flapped == ("test_suite.py::test_flaps",)
    assert once.read_text() == "\n"


def test_failing_check_counts_its_tries(bench: Bench) -> None:
    """A check that never passes says how often it was tried."""
    result = bench.verify("def test_no(host):\n    assert host.run('false').rc == 0\n", retries=2)
    (failure,) = result.failures
    assert failure.tries == 3
    assert str(failure).endswith("(3 tries)")


def test_hanging_check_meets_the_deadline(bench: Bench) -> None:
    """A command that never ends is a failure that names the check, and leaves no process."""
    marker = f"{600 + os.getpid() / 1e7:.7f}"
    result = bench.verify(
        f"def test_good(host):\n    pass\ndef test_hangs(host):\n    host.run('sleep {marker}')\n",
        seconds=8,
        retries=2,
    )
    (failure,) = result.failures
    assert failure.message == "did not end within 8 s; test_suite.py::test_hangs was running"
    assert result.passed == 1
    assert not _running(marker)


def test_hanging_suite_is_killed(bench: Bench) -> None:
    """A suite that ignores TERM and hangs by itself is killed at the deadline."""
    result = bench.verify(
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "def test_hangs():\n    time.sleep(600)\n",
        seconds=1.5,
    )
    assert not result.ok


def test_cancellation_is_raised_and_leaves_nothing(bench: Bench) -> None:
    """Cancelled, verification ends its process, takes its folder away and raises again."""
    marker = f"{700 + os.getpid() / 1e7:.7f}"
    suite = bench.folder / "test_suite.py"
    suite.write_text(f"def test_hangs(host):\n    host.run('sleep {marker}')\n")

    async def cancel() -> None:
        task = asyncio.create_task(bench.run([suite]))
        while not bench.commands:  # noqa: ASYNC110 -- a list has no event
            await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert not _running(marker)
    assert list(bench.folder.glob("verify-*")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "the suites hold no check", id="empty"),
        pytest.param("def test_(:\n", "the suite could not be read: SyntaxError", id="syntax"),
        pytest.param("import nowhere\n", "ModuleNotFoundError: No module named", id="import"),
        pytest.param("import os\ndef test_a(): os._exit(0)\n", "pytest broke off", id="exit"),
        pytest.param(
            "import os\ndef test_a(): os.abort()\n", "it was killed by SIGABRT", id="crash"
        ),
        pytest.param(
            "import pytest\ndef test_a(): pytest.exit('x', 0)\n", "0 of 1 checks ran", id="quit"
        ),
        pytest.param(
            "import pytest\ndef test_a(): pytest.skip('x')\n", "all 1 checks were", id="skips"
        ),
        pytest.param("def test_a(nobody): pass\n", "fixture 'nobody' not found", id="fixture"),
    ],
)
def test_nothing_that_did_not_check_counts_as_verified(
    bench: Bench, text: str, message: str
) -> None:
    """What collects nothing, cannot be read, crashes or quits is a failure that says so."""
    result = bench.verify(text)
    assert not result.ok
    assert message in result.failures[0].message + result.failures[0].output


def test_good_suite_beside_a_broken_one_still_runs(bench: Bench) -> None:
    """One suite that cannot be read does not hide what the others see."""
    good, bad = bench.folder / "test_good.py", bench.folder / "test_bad.py"
    good.write_text("def test_a(): pass\n")
    bad.write_text("1/0\n")
    result = asyncio.run(bench.run([bad, good]))
    assert result.passed == 1
    assert [failure.check for failure in result.failures] == ["test_bad.py"]
    assert "ZeroDivisionError" in result.failures[0].message


def test_missing_suite_is_a_failure(bench: Bench) -> None:
    """A suite that the inventory names and that is not there is no pass."""
    result = asyncio.run(bench.run([bench.folder / "test_none.py"]))
    assert result.failures[0].message == "the suite does not exist"


def test_suites_outside_of_the_root_keep_their_names(tmp_path: Path) -> None:
    """Checks of one name in two places do not hide each other, wherever the root is."""
    bench = Bench(tmp_path / "fleet")
    bench.folder.mkdir()
    suites = [tmp_path / name / "test_same.py" for name in ("a", "b")]
    for suite, text in zip(suites, ("assert False", "pass"), strict=True):
        suite.parent.mkdir()
        suite.write_text(f"def test_it(): {text}\n")
    result = asyncio.run(bench.run(suites))
    assert result.passed == 1
    assert [failure.check for failure in result.failures] == ["a/test_same.py::test_it"]


def test_folder_is_a_suite_and_may_have_a_long_path(tmp_path: Path) -> None:
    """A folder holds suites; a path too long for a socket does not matter."""
    bench = Bench(tmp_path / ("x" * 100))
    (bench.folder / "suites").mkdir(parents=True)
    (bench.folder / "suites/test_a.py").write_text("def test_a(host): host.run_test('true')\n")
    assert asyncio.run(bench.run([bench.folder / "suites"])).ok


def test_many_failures_are_all_named(bench: Bench) -> None:
    """The error tells the first failure in full and names the others, in twenty lines."""
    result = bench.verify(
        "import pytest\n"
        "@pytest.mark.parametrize('i', range(9))\n"
        "def test_it(host, i):\n    assert host.file('/').is_symlink\n"
    )
    error = result.error()
    assert error.message == (
        "test_suite.py::test_it[0]: assert False, where False = <file />.is_symlink (and 8 more)"
    )
    lines = error.stderr.splitlines()
    assert len(lines) <= 20
    assert "  $ test -L /  (exit 1)" in lines
    assert lines[-2].startswith("FAILED test_suite.py::test_it[6]: ")
    assert lines[-1] == "… and 2 more, all of them in the log"


def test_no_suites_is_the_callers_affair(bench: Bench) -> None:
    """Without suites nothing can be verified, and nothing may be said to be."""
    with pytest.raises(ValueError, match="no suites"):
        asyncio.run(bench.run([]))


def test_fleets_own_pytest_setup_does_not_interfere(bench: Bench) -> None:
    """A pytest.ini, pyproject.toml or conftest.py of the fleet is not read."""
    (bench.folder / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (bench.folder / "conftest.py").write_text("raise SystemExit(9)\n")
    assert bench.verify("def test_a(): pass\n").ok


def test_environment_is_not_passed_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A suite sees neither tokens nor agents of the deployer."""
    monkeypatch.setenv("SECRET_TOKEN", "x")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nowhere")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    result = bench.verify(
        "import os\n"
        "def test_a():\n"
        "    assert not {'SECRET_TOKEN', 'SSH_AUTH_SOCK'} & set(os.environ)\n"
    )
    assert result.ok


def test_lost_connection_is_told_by_the_checks(bench: Bench) -> None:
    """A host that is gone fails each check with the connection's own words."""

    async def gone(command: str) -> CommandResult:
        raise UnreachableError("the connection was lost")

    bench.shell = gone  # type: ignore[method-assign]
    result = bench.verify("def test_a(host):\n    host.run('true')\n")
    assert "the connection was lost" in result.failures[0].message


def test_checks_whose_report_cannot_be_written_decide_all_the_same(bench: Bench) -> None:
    """A disk that takes no JUnit file makes no good system bad; the log says what is missing."""
    (bench.folder / "full").touch()
    bench.report = bench.folder / "full/junit.xml"
    result = bench.verify("def test_a(host):\n    assert host.run('true').rc == 0\n")
    assert result.ok
    assert any("could not be written" in line for line in bench.lines)


def test_no_room_for_its_own_files_is_a_failure(bench: Bench) -> None:
    """What could not be verified is not verified, and says why; it is no bug."""
    bench.private = bench.folder / "full"
    bench.private.touch()
    result = bench.verify("def test_a(host):\n    assert True\n")
    assert not result.ok
    assert "cannot be used" in result.failures[0].message


def test_bug_in_the_connection_is_raised(bench: Bench) -> None:
    """What is no foreseen failure ends the run with its own traceback."""

    async def bug(command: str) -> CommandResult:
        raise KeyError(command)

    bench.shell = bug  # type: ignore[method-assign]
    with pytest.raises(KeyError):
        bench.verify("def test_a(host):\n    host.run('true')\n")


def test_sudo_becomes_another_user_without_sudo(bench: Bench) -> None:
    """Commands are root's already: sudo() needs no sudo on the host."""
    bench.verify(
        "def test_a(host):\n"
        "    with host.sudo():\n"
        "        host.run('id')\n"
        "    with host.sudo('a b'):\n"
        "        host.run('id')\n"
    )
    assert bench.commands == ["/bin/sh -c id", "runuser -u 'a b' -- /bin/sh -c id"]


def test_output_need_not_be_text(bench: Bench) -> None:
    """Bytes that are no UTF-8 reach the check, and do not end it."""
    result = bench.verify(
        "def test_a(host):\n"
        "    command = host.run(r\"printf '\\377\\000x'\")\n"
        "    assert command.stdout_bytes == b'\\xff\\x00x'\n"
        "    assert command.stdout.endswith('x')\n"
    )
    assert result.ok, result.failures


def test_junit_tells_every_check(bench: Bench) -> None:
    """The JUnit file has each check, failures with their cause, and no illegal character."""
    bench.verify(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(host):\n"
        "    assert host.run(r\"printf '\\033[31mred'\").rc == 1, 'bell \\x07'\n"
        "def test_skips(): pytest.skip('not here')\n"
    )
    suite = Xml.parse(bench.junit).getroot().find("testsuite")  # noqa: S314 -- our own
    assert suite is not None
    assert suite.attrib["name"] == "p620"
    assert [suite.attrib[key] for key in ("tests", "failures", "skipped")] == ["3", "1", "1"]
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.attrib["message"] == "bell �"


def _running(marker: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes():
                return True
        except OSError:
            continue
    return False
