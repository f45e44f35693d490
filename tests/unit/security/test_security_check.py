"""``security check``: hosts are asked at rest, compared, remembered, and drawn in each form."""

from __future__ import annotations

import asyncio
import contextlib
import json
import stat
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from click.testing import CliRunner, Result
from known_fleet import HOSTS, KnownFleet, system
from security_answers import DECLARED, MACHINE, SYSTEM, process, text_of, transient

from orchestrator.cli import opening
from orchestrator.cli.main import orchestrator
from orchestrator.core.checks import Login
from orchestrator.core.errors import RefusedError, StepError, UnreachableError
from orchestrator.core.executor import Executor
from orchestrator.core.host import Host
from orchestrator.core.process import CommandResult
from orchestrator.core.store import OutPath
from orchestrator.host import scripts
from orchestrator.host import setup as host_setup
from orchestrator.nix import verbs as nix
from orchestrator.nix.configuration import Configuration
from orchestrator.risk.kept import System
from orchestrator.security import check, kept
from orchestrator.security.model import Declared
from orchestrator.security.question import QUESTION

MINER = process(20, 0, "/tmp/\x1b[2Jminer|<b>", "/system.slice/run-u1.service")
DEED = (*MINER, transient("run-u1.service"))
STATE = f"machine_id={MACHINE}\nboot_id=b\nrunning={SYSTEM}\nprofile={SYSTEM}\n"


class Answering:
    """A host with an answer; ``root`` is whether root is to be had there."""

    def __init__(self, *rows: tuple[object, ...], state: str = STATE, root: bool = True) -> None:
        self.answer = text_of(*rows)
        self.state = state
        self.root = root
        self.asked: list[tuple[str, bool]] = []

    async def run(
        self, argv: Sequence[str], *, deadline: float, root: bool = True, stdin: bytes = b""
    ) -> CommandResult:
        """Answer."""
        del deadline, stdin
        await asyncio.sleep(0)
        text = argv[2] if len(argv) > 2 else ""
        what = {QUESTION: "security", scripts.STATE: "state"}.get(text, argv[0])
        self.asked.append((what, root))
        if root and not self.root:
            raise RefusedError("root is needed there and sudo asks for a password")
        said = {"security": self.answer, "state": self.state}.get(what, "")
        return CommandResult(0, said.encode(), b"")

    @property
    def login(self) -> Login:
        """Root."""
        return Login("root")

    def repeat(self, argv: Sequence[str]) -> str:
        """Give a command line."""
        return " ".join(argv)


@pytest.fixture
def hosts(fleet: KnownFleet, monkeypatch: pytest.MonkeyPatch) -> dict[str, Answering]:
    """A fleet whose p620 answers, and razer does not; what p620 runs is known."""
    answering = {"p620": Answering()}

    @contextlib.asynccontextmanager
    async def reach(_: object, one: Host) -> AsyncIterator[Executor]:
        await asyncio.sleep(0)
        if one.name not in answering:
            raise UnreachableError("no answer", hint="is it on?")
        yield answering[one.name]  # type: ignore[misc]

    monkeypatch.setattr(host_setup, "reach", reach)
    monkeypatch.setattr(nix, "require", lambda: None)
    monkeypatch.setattr(opening, "open_setup", lambda _: fleet.setup)
    kept.keep(fleet.setup.state, System(OutPath(SYSTEM)), DECLARED)
    return answering


def run(*words: str) -> Result:
    """Type it."""
    argv = ("security", "check", *words)
    return CliRunner().invoke(orchestrator, argv, standalone_mode=False)


def as_json(*words: str) -> Any:
    """What is found on p620, for a script."""
    return json.loads(run("--json", "p620", *words).stdout)["p620"]


def test_a_quiet_host_is_exit_0_and_says_so(hosts: dict[str, Answering]) -> None:
    """Nothing found, with what it was compared with; the state is asked for before the question."""
    done = run("p620")
    assert done.return_value == 0, done.output
    assert "p620: nothing found, compared with its configuration" in done.stdout
    assert hosts["p620"].asked == [("true", True), ("state", True), ("security", True)]


def test_findings_are_exit_1_and_nothing_of_a_hosts_controls_the_terminal(
    hosts: dict[str, Answering],
) -> None:
    """An alarm is shown with what to do; notes are counted, and shown if asked for."""
    hosts["p620"] = Answering(*DEED)
    done = run("p620")
    assert done.return_value == 1
    assert "p620: 1 finding, 1 note (--notes)" in done.stdout
    assert "process:/tmp/miner|<b>" in done.stdout
    assert "systemctl status 20" in done.stdout
    assert "\x1b" not in done.stdout
    assert "run-u1" not in done.stdout.replace("(run-u1.service)", "")
    assert "unit:run-u1.service" in run("p620", "--notes").stdout


def test_a_host_that_does_not_answer_keeps_the_others_from_nothing(
    hosts: dict[str, Answering],
) -> None:
    """Each host's failure is its own, and the exit code is 1."""
    assert "p620" in hosts
    done = run()
    assert done.return_value == 1
    assert "p620: nothing found" in done.stdout
    assert "no answer" in done.stderr
    found = json.loads(run("--json").stdout)
    assert found["razer"] == {
        "checked": False,
        "error": {"message": "no answer", "hint": "is it on?"},
    }


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ((("switching", "yes"),), "somebody switches its configuration"),
        ((("now", "/nix/store/other"),), "its system changed while it was looked at"),
    ],
)
def test_a_host_that_changes_is_not_checked(
    hosts: dict[str, Answering], rows: tuple[tuple[object, ...], ...], why: str
) -> None:
    """What is seen in the middle of a switch is no finding, and the error says what goes on."""
    hosts["p620"] = Answering(*rows)
    done = run("p620")
    assert done.return_value == 1
    assert why in done.stderr


LOCKED = "uptime=100\nlock.token=t\nlock.who=ada@desk\nlock.run=7\nlock.expires=160\n"
ATTEMPT = {
    "token": "t",
    "goal": "switch",
    "target": SYSTEM,
    "run": "7",
    "who": "ada@desk",
    "began": "1700000000",
    "activate_seconds": "600",
    "confirm_seconds": "180",
    "health_seconds": "600",
    "state": "waiting",
    "machine_id": MACHINE,
    "boot_id": "b",
    "running": SYSTEM,
    "profile": SYSTEM,
    "boot_default": SYSTEM,
    "boot_source": "profile",
    "way": "ssh",
    "last_resort": "none",
}


def test_a_host_that_is_being_deployed_is_asked_nothing_more(
    hosts: dict[str, Answering],
) -> None:
    """A lock, or a guard at work, is told with whose it is; the question is not asked."""
    hosts["p620"] = Answering(*DEED, state=STATE + LOCKED)
    assert "a deployment is at it: by ada@desk" in run("p620").stderr
    assert ("security", True) not in hosts["p620"].asked
    expired = LOCKED.replace("160", "90")
    hosts["p620"] = Answering(state=STATE + expired)
    assert run("p620").return_value == 0
    attempt = "".join(f"attempt.{key}={value}\n" for key, value in ATTEMPT.items())
    hosts["p620"] = Answering(*DEED, state=STATE + attempt)
    assert "its guard is at work (waiting)" in run("p620").stderr


def test_a_host_that_boots_is_not_checked(hosts: dict[str, Answering]) -> None:
    """Units that are not there yet are no findings."""
    hosts["p620"].answer = hosts["p620"].answer.replace("state\trunning", "state\tstarting")
    assert "it is starting" in run("p620").stderr


def test_an_answer_without_its_end_is_none(hosts: dict[str, Answering]) -> None:
    """What was cut off is not taken for a quiet host."""
    hosts["p620"].answer = hosts["p620"].answer.replace("end\tyes", "")
    done = run("p620")
    assert done.return_value == 1
    assert "did not say what is on it" in done.stderr


def test_without_root_what_cannot_be_seen_is_said(hosts: dict[str, Answering]) -> None:
    """The question is asked without root, once it is known that there is none."""
    hosts["p620"] = Answering(root=False)
    hosts["p620"].answer = hosts["p620"].answer.replace("root\tyes", "root\tno")
    done = run("p620")
    assert hosts["p620"].asked == [("true", True), ("security", False)]
    assert "not seen: processes of others, owners of sockets, passwords, keys" in done.stderr
    assert "not compared with its configuration: it does not say what it runs" in done.stderr


def test_a_finding_is_dated_by_the_check_that_saw_it_first(
    hosts: dict[str, Answering], fleet: KnownFleet
) -> None:
    """What comes is new, what stays keeps its time, and what goes is told."""
    assert as_json()["before"] is None
    hosts["p620"] = Answering(*DEED)
    first = as_json()
    assert first["before"] is not None
    again = as_json()
    assert [one["since"] for one in again["findings"]] == [
        one["since"] for one in first["findings"]
    ]
    assert again["at"] > again["findings"][0]["since"]
    hosts["p620"] = Answering()
    last = as_json()
    assert last["gone"] == sorted(one["id"] for one in first["findings"])
    file = fleet.setup.state / "security/p620.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_another_machine_is_not_compared_with_the_one_before(
    hosts: dict[str, Answering], fleet: KnownFleet
) -> None:
    """A reinstalled host, or a damaged file, begins anew; a full disk is a warning."""
    as_json()
    file = fleet.setup.state / "security/p620.json"
    file.write_text(file.read_text().replace(MACHINE, "f" * 32))
    assert as_json()["before"] is None
    file.write_text("{")
    assert as_json()["before"] is None
    file.unlink()
    file.mkdir()
    assert hosts
    assert "this check was not kept" in run("p620").stderr


def test_another_commits_host_is_held_against_its_closure_alone(
    hosts: dict[str, Answering], fleet: KnownFleet
) -> None:
    """What is checked out makes another system: that is said, and accounts are not compared."""
    for file in (fleet.setup.state / "security/systems").iterdir():
        file.unlink()
    hosts["p620"] = Answering(("passwd", "eve:x:0:0::/:/bin/sh"))
    found = as_json()
    assert (found["compared"], found["findings"]) == ("closure", [])
    assert "what is checked out here makes" in found["why"]


def test_what_this_checkout_makes_is_evaluated_once(
    hosts: dict[str, Answering], fleet: KnownFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system that runs and is made here is evaluated, then recalled."""
    asked = []

    async def evaluate(configuration: Configuration, **_: object) -> Declared:
        await asyncio.sleep(0)
        asked.append(configuration.host)
        if len(asked) > 1:
            raise StepError("attribute 'x' missing")
        return DECLARED

    monkeypatch.setattr(check, "evaluate", evaluate)
    for file in (fleet.setup.state / "security/systems").iterdir():
        file.unlink()
    out = fleet.systems["p620"].out.path if "p620" in fleet.systems else system("c").out.path
    one = hosts["p620"]
    one.answer, one.state = one.answer.replace(SYSTEM, out), one.state.replace(SYSTEM, out)
    assert as_json()["compared"] == "configuration"
    assert as_json()["compared"] == "configuration"
    assert asked == ["p620"]
    for file in (fleet.setup.state / "security/systems").iterdir():
        file.write_text("{")
    assert as_json()["why"] == "attribute 'x' missing"


def test_reports_take_a_hosts_words_for_text(hosts: dict[str, Answering]) -> None:
    """Neither HTML nor Markdown is made of what a host calls a file."""
    hosts["p620"] = Answering(*DEED)
    page = run("--format", "html").stdout
    assert "miner|&lt;b&gt;" in page
    assert "<b>" not in page
    assert "Not checked: no answer" in page
    marked = run("--format", "markdown").stdout
    assert "miner\\|\\<b\\>" in marked
    assert "## razer" in marked
    assert "Not checked: no answer" in marked
    assert json.loads(run("--format", "json").stdout)["p620"]["findings"][0]["kind"] == "process"


def test_metrics_count_findings_by_host_and_severity(hosts: dict[str, Answering]) -> None:
    """A number for each severity of each host that was checked, and whether each was."""
    hosts["p620"] = Answering(*DEED)
    lines = run("--format", "prometheus").stdout.splitlines()
    assert 'orchestrator_security_findings{host="p620",severity="high"} 1' in lines
    assert 'orchestrator_security_findings{host="p620",severity="low"} 0' in lines
    assert 'orchestrator_security_checked{host="p620"} 1' in lines
    assert 'orchestrator_security_checked{host="razer"} 0' in lines
    assert not any("razer" in line and "findings" in line for line in lines)
    assert not any("miner" in line for line in lines)


def test_hosts_are_the_fleets(hosts: dict[str, Answering]) -> None:
    """A selector that means no host is a usage error."""
    assert HOSTS.keys() >= hosts.keys()
    assert run("nobody").exception is not None
