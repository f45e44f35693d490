"""Hosts that are asked what they are made of, and the command that asks them."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import stat
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest
from facts_examples import host

from orchestrator.cli import opening
from orchestrator.cli.main import main
from orchestrator.cli.options import Target
from orchestrator.core.checks import Login
from orchestrator.core.errors import RefusedError, StepError, UnreachableError
from orchestrator.core.executor import Executor
from orchestrator.core.facts import Facts
from orchestrator.core.host import Host
from orchestrator.core.process import CommandResult
from orchestrator.facts.ask import ask_facts
from orchestrator.facts.commands import propose_hardware
from orchestrator.facts.question import QUESTION
from orchestrator.facts.schema import json_schema
from orchestrator.host import setup as host_setup
from orchestrator.inventory import add_host

RECORDED = Path(__file__).parent / "recorded/q35-server"
MACHINE = "0123456789abcdef" * 2


class Answering:
    """A host that answers with a text; to nobody but root with another."""

    def __init__(self, answer: str, *, root: bool = True) -> None:
        self.answer = answer
        self.root = root
        self.asked: list[bool] = []

    async def run(
        self, argv: Sequence[str], *, deadline: float, root: bool = True, stdin: bytes = b""
    ) -> CommandResult:
        """Answer."""
        del deadline, stdin
        await asyncio.sleep(0)
        assert argv[2] == QUESTION
        self.asked.append(root)
        if root and not self.root:
            raise RefusedError("root is needed there and sudo asks for a password")
        return CommandResult(0, self.answer.encode(), b"")

    @property
    def login(self) -> Login:
        """Root."""
        return Login("root")

    def repeat(self, argv: Sequence[str]) -> str:
        """Give a command line."""
        return " ".join(argv)


def ask(answering: Answering, of: Host | None = None) -> Facts:
    """Ask it."""
    return asyncio.run(ask_facts(answering, of or host()))  # type: ignore[arg-type]


def test_where_root_is_not_to_be_had_the_question_is_asked_without() -> None:
    """A refused sudo is no failure: what everybody may read is asked for instead."""
    answering = Answering((RECORDED / "answer-nobody").read_text(), root=False)
    facts = ask(answering)
    assert answering.asked == [True, False]
    assert facts.value("memory.ecc") is None
    assert facts.fact("memory.ecc").source == "SMBIOS: only root can read it"


def test_an_answer_that_does_not_end_is_none() -> None:
    """What was cut off is not taken for an answer, and the error says what to look at."""
    with pytest.raises(StepError, match="did not say what it is made of") as caught:
        ask(Answering((RECORDED / "answer").read_text().replace("end=", "")))
    assert caught.value.hint


def test_another_machine_than_the_inventory_says_is_refused() -> None:
    """Facts of a machine with another machine-id are not taken for the host's."""
    with pytest.raises(RefusedError, match="another machine answered"):
        ask(Answering((RECORDED / "answer").read_text()), host(machine_id="f" * 32))


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Answering]:
    """A fleet of a host that answers and one that does not, and the state folder of a test."""
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/hosts.yaml").write_text(
        "hosts:\n  p620: {address: 192.0.2.1, hardware: {cpu: intel}}\n  gone: {address: x}\n"
    )
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    hosts = {"p620": Answering((RECORDED / "answer").read_text())}

    @contextlib.asynccontextmanager
    async def reach(_: object, one: Host) -> AsyncIterator[Executor]:
        await asyncio.sleep(0)
        if one.name not in hosts:
            raise UnreachableError("no answer", hint="is it on?")
        yield hosts[one.name]  # type: ignore[misc]

    monkeypatch.setattr(host_setup, "reach", reach)
    return hosts


@dataclass(frozen=True)
class Typed:
    """How a command ended, and what it printed."""

    exit_code: int
    stdout: str
    stderr: str


def run(*words: str) -> Typed:
    """Type ``orchestrator host facts``."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as end, redirect_stdout(out), redirect_stderr(err):
        main(["host", "facts", "--no-lab", *words])
    assert isinstance(end.value.code, int)
    return Typed(end.value.code, out.getvalue(), err.getvalue())


def test_a_host_is_asked_once_and_then_remembered(fleet: dict[str, Answering]) -> None:
    """The second time nobody is asked; with --refresh, and with --diff, everybody is."""
    for words in ([], ["--json"], ["--refresh"], ["--diff"]):
        assert run("p620", *words).exit_code == 0
    assert fleet["p620"].asked == [True, True, True]


def test_facts_are_drawn_with_their_sources(fleet: dict[str, Answering]) -> None:
    """A line for each fact: value and source; what the inventory says, and the machine below it."""
    said = run("p620").stdout
    lines = [" ".join(line.split()) for line in said.split("\n")]
    assert "p620: asked now" in lines
    assert "memory.installed 1.5 GiB SMBIOS" in lines
    at = lines.index("cpu.vendor intel inventory")
    assert lines[at + 1] == "the machine says amd /proc/cpuinfo"
    assert "boot.time unknown systemd-analyze did not answer" in lines
    assert "SN-0" not in said
    assert "SN-0005" in run("p620", "--identifying").stdout


def test_one_that_does_not_answer_keeps_nobody_waiting(fleet: dict[str, Answering]) -> None:
    """A host that does not answer is an error of its own, and the exit code is 1."""
    done = run("--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    jsonschema.Draft202012Validator(json_schema()).validate(found)
    assert found["gone"] == {"reachable": False, "message": "no answer", "hint": "is it on?"}
    assert found["p620"]["facts"]["cpu.vendor"]["machine"]["value"] == "amd"
    assert "host 'gone': no answer" in run().stderr


def test_what_changed_is_shown_once(fleet: dict[str, Answering]) -> None:
    """--diff compares with what was known, and then that is what is known."""
    assert "nothing to compare with" in run("p620", "--diff").stdout
    before = fleet["p620"].answer
    fleet["p620"].answer = before.replace("kernel=6.1.0-57-amd64", "kernel=6.12.1")
    assert "kernel: 6.1.0-57-amd64 → 6.12.1" in run("p620", "--diff").stdout
    assert "nothing changed" in run("p620", "--diff").stdout
    fleet["p620"].answer = before
    found = json.loads(run("p620", "--diff", "--json").stdout)
    jsonschema.Draft202012Validator(json_schema()).validate(found)
    assert [one["fact"] for one in found["p620"]["changes"]] == ["kernel"]


def test_a_report_is_taken_without_asking(fleet: dict[str, Answering], tmp_path: Path) -> None:
    """--import takes a report for one host; what is none is an error that says how to make one."""
    report = {"version": 1, "hardware": {"cpu": [{"vendor_name": "AuthenticAMD"}]}}
    (tmp_path / "facter.json").write_text(json.dumps(report))
    assert run("--import", "facter.json", "p620").exit_code == 0
    assert fleet["p620"].asked == []
    said = json.loads(run("p620", "--json").stdout)["p620"]["facts"]["cpu.vendor"]
    assert said["machine"] == {"value": "amd", "source": "facter.json"}
    (tmp_path / "other.json").write_text("{}")
    done = run("--import", "other.json", "p620")
    assert done.exit_code == 2
    assert run("--import", "facter.json").exit_code == 2


def test_facts_of_a_newer_orchestrator_are_not_lost(fleet: dict[str, Answering]) -> None:
    """Where what is remembered is newer, what was asked is shown, and that it was not kept."""
    run("p620")
    (file,) = Path(os.environ["XDG_STATE_HOME"]).rglob("p620.json")
    file.write_text('{"format": 9}')
    done = run("p620")
    assert done.exit_code == 0
    assert "warning: p620: its facts were not kept" in done.stderr
    assert file.read_text() == '{"format": 9}'


def test_what_is_no_selector_by_facts_is_pointed_at(fleet: dict[str, Answering]) -> None:
    """A condition that cannot be read is refused at its column, as any other selector is."""
    for text in ("fact:gpu", "fact:gpus=x", "fact:=x"):
        done = run(text)
        assert done.exit_code == 2
        assert "cannot be read at column 1: expected a fact" in done.stderr
    assert fleet["p620"].asked == []


def test_a_new_host_s_hardware_is_proposed_and_written_by_whoever_agrees(
    fleet: dict[str, Answering], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a host says of itself becomes a line of its entry, and all else stays as it is."""
    fleet["web1"] = Answering((RECORDED / "answer").read_text())
    new = add_host.NewHost("web1", "192.0.2.9")
    made = add_host.draft(tmp_path, new)
    add_host.write(tmp_path, made)
    setup = opening.open_setup(Target(tmp_path, lab=False))
    err = io.StringIO()
    with redirect_stderr(err):
        propose_hardware(setup, made, new)
    assert "hardware: {cpu: amd, gpu: amd}" in err.getvalue()
    assert "if that is right, add it to inventory/hosts.yaml" in err.getvalue()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", lambda *_, **__: True)
    propose_hardware(setup, made, new)
    after = (tmp_path / "inventory/hosts.yaml").read_text()
    assert after.startswith(made.before.decode())
    assert after.endswith("  web1:\n    address: 192.0.2.9\n    hardware: {cpu: amd, gpu: amd}\n")
    del fleet["web1"]
    with redirect_stderr(err):
        propose_hardware(setup, made, new)
    assert "nothing is proposed for hardware" in err.getvalue()


def test_the_schema_is_a_schema() -> None:
    """--schema prints JSON Schema, draft 2020-12, without a fleet."""
    schema = json.loads(run("--schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


BROKEN = {
    "lsblk": "echo '{\"blockdevices\": ['",
    "lscpu": "exit 127",
    "systemd-detect-virt": "printf 'no\\0such\\1thing'",
    "systemctl": "yes",
    "systemd-analyze": "head -c 300000 /dev/zero",
    "nix": "printf '\\033[31mred\\n'; exit 1",
    "chronyc": "printf 'x%.0s' $(seq 100000)",
    "smartctl": 'echo \'{"smart_status": {"passed": "maybe"}}\'',
}
SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]


@pytest.mark.parametrize("shell", SHELLS)
def test_broken_programs_on_this_machine_give_unknown_facts(shell: str, tmp_path: Path) -> None:
    """The real question, asked here with broken programs first on the path, gives valid JSON."""
    for name, text in BROKEN.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        [shell, "-c", QUESTION, "orchestrator"],
        env={"PATH": path},
        capture_output=True,
        check=True,
        timeout=100,
    )
    assert b"\0" not in done.stdout
    facts = ask(Answering(done.stdout.decode(errors="replace")))
    value = facts.value
    assert value("cpu.threads") == os.cpu_count()
    assert value("nix.version") is None
    assert value("boot.time") is None
    assert value("time.source") is None
    if (said := value("disks")) is not None:
        assert not any(disk["smart"] for disk in said)


def test_this_machine_is_what_lscpu_says() -> None:
    """Processors, cores and model of the machine that this runs on are those that lscpu tells."""
    done = subprocess.run(["/bin/sh", "-c", QUESTION], capture_output=True, check=True, timeout=100)
    facts = ask(Answering(done.stdout.decode(errors="replace")))
    value = facts.value
    listed = subprocess.run(
        ["lscpu", "-J"], env={**os.environ, "LC_ALL": "C"}, capture_output=True, check=True
    ).stdout
    said = {one["field"]: one["data"] for one in json.loads(listed)["lscpu"]}
    assert str(value("cpu.threads")) == said["CPU(s):"]
    assert value("architecture") == said["Architecture:"]
    if "Model name:" in said and value("cpu.model") is not None:
        assert value("cpu.model") == said["Model name:"]
    if "Socket(s):" in said and "Core(s) per socket:" in said:
        cores = int(said["Socket(s):"]) * int(said["Core(s) per socket:"])
        assert value("cpu.cores") == cores
    if "Flags:" in said:
        assert set(said["Flags:"].split()) == set(value("cpu.flags"))
