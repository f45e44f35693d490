"""``--json`` of commands that do one thing: what they did, or why not, as one object."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.changes.learn import Lesson
from orchestrator.changes.plan import Fingerprint, Tree
from orchestrator.cli.main import main
from orchestrator.cli.opening import open_fleet
from orchestrator.cli.options import Target
from orchestrator.core.claims import Lock
from orchestrator.core.errors import RefusedError, UnreachableError
from orchestrator.core.host import Host
from orchestrator.core.rollout import RolloutStatus, Standing
from orchestrator.core.run import DeployRequest
from orchestrator.core.state import HostState
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.core.values import replace
from orchestrator.host import status as host_status
from orchestrator.host.setup import state_folder
from orchestrator.host.status import HostAnswer
from orchestrator.runs.journal import Journal
from orchestrator.runs.store import Runs
from orchestrator.secrets.plan.explain import EXPLANATIONS
from orchestrator.ssh import trust as ssh_trust
from orchestrator.ssh.trust import OfferedKey

NOW = datetime.now(UTC)
OUT = OutPath(f"/nix/store/{'n' * 32}-nixos-system-p620")


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fleet of two hosts, in whose folder one stands."""
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    root = tmp_path / "fleet"
    (root / "inventory").mkdir(parents=True)
    hosts = "".join(f"  {name}:\n    address: {name}.invalid\n" for name in ("p620", "razer"))
    (root / "inventory" / "hosts.yaml").write_text(f"hosts:\n{hosts}")
    monkeypatch.chdir(root)
    return root


class Typist:
    """Types commands with ``--json``."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, Any, str]:
        """Give the exit code, the object on standard output, and standard error."""
        with pytest.raises(SystemExit) as caught:
            main([*words, "--json"])
        said = self._capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, json.loads(said.out), said.err


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Typist:
    """Types commands with ``--json``."""
    return Typist(capsys)


@contextmanager
def hearing(state: Path) -> Iterator[Journal]:
    """A run that is at work, and acknowledges what it is ordered."""
    over = threading.Event()
    with Runs(state).begin("me@here", None, DeployRequest()) as journal:
        going = RolloutStatus(journal.run.number, Standing.GOING, ())
        journal.write_status(going)

        def hear() -> None:
            while not over.is_set():
                if (order := journal.order()) is not None:
                    journal.write_status(replace(going, answered=order.id))
                time.sleep(0.01)

        listener = threading.Thread(target=hear)
        listener.start()
        try:
            yield journal
        finally:
            over.set()
            listener.join()


@pytest.mark.parametrize("order", ["pause", "resume", "abort"])
def test_what_a_run_heard_is_said(fleet: Path, typed: Typist, order: str) -> None:
    """The run's number and the order that it acknowledged, and nothing else."""
    with hearing(state_folder(open_fleet(Target()))) as journal:
        code, found, err = typed("run", order, str(journal.run.number))
        heard = journal.order()
    assert (code, found) == (0, {"ok": True, "run": journal.run.number, "order": order})
    assert f"run {journal.run.number} " in err
    assert heard is not None
    assert heard.word.value == order


@pytest.mark.parametrize("order", ["pause", "abort"])
def test_an_order_that_no_run_can_hear_is_an_error(fleet: Path, typed: Typist, order: str) -> None:
    """The error is on standard output for a script and on standard error for a person."""
    (state_folder(open_fleet(Target())) / "runs" / "3").mkdir(parents=True)
    code, found, err = typed("run", order, "3")
    assert code == 2
    assert found == {
        "ok": False,
        "error": {
            "message": "run 3 has ended",
            "hint": "to go on with what it left: orchestrator run resume 3",
        },
    }
    assert err.startswith("error: run 3 has ended\nhint: ")


def test_the_json_option_counts_before_the_command_too(
    fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error is JSON as well where ``--json`` stands first."""
    with pytest.raises(SystemExit) as caught:
        main(["--json", "run", "pause", "7"])
    assert caught.value.code == 2
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], "there is no run 7" in found["error"]["message"]) == (False, True)


def test_an_output_that_is_full_hides_no_error(fleet: Path) -> None:
    """The error is on standard error, with its own exit code, where its JSON cannot be written."""
    argv = (sys.executable, "-m", "orchestrator", "run", "pause", "7", "--json")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no run 7")
    assert "Traceback" not in done.stderr


def test_a_generated_file_is_named(fleet: Path, typed: Typist) -> None:
    """Whether the file was written tells a script what there is to commit."""
    code, found, _ = typed("inventory", "generate")
    assert (code, found) == (0, {"ok": True, "file": "inventory/fleet.json", "written": True})
    assert typed("inventory", "generate")[1]["written"] is False
    (fleet / "inventory/hosts.yaml").write_text("hosts: {p620: {adress: x}}\n")
    code, found, _ = typed("inventory", "generate")
    assert (code, found["ok"]) == (2, False)
    assert "adress" in found["error"]["message"]


@pytest.fixture
def formatter(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A formatter on the PATH that ends every file it is given with one newline."""
    tool = fleet.parent / "nixfmt"
    tool.write_text('#!/bin/sh\nfor file; do printf \'%s\\n\' "$(cat "$file")" > "$file"; done\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fleet.parent}:/usr/bin:/bin")
    (fleet / "tidy.nix").write_text("{ }\n")
    (fleet / "untidy.nix").write_text("{ }\n\n\n")
    subprocess.run(("git", "init", "-q", "."), cwd=fleet, check=True)
    subprocess.run(("git", "add", "-A"), cwd=fleet, check=True)
    return tool


def test_formatted_files_are_listed(fleet: Path, formatter: Path, typed: Typist) -> None:
    """The files that change, or would; ``ok`` goes with the exit code."""
    would = {"ok": False, "check": True, "changed": ["untidy.nix"]}
    assert typed("format", "--check")[:2] == (1, would)
    assert typed("format")[:2] == (0, {"ok": True, "check": False, "changed": ["untidy.nix"]})
    assert typed("format", "--check")[:2] == (0, {"ok": True, "check": True, "changed": []})
    formatter.write_text("#!/bin/sh\nexit 3\n")
    code, found, _ = typed("format")
    assert (code, found["ok"]) == (1, False)
    assert found["error"] == {"message": "nixfmt failed (exit 3)", "hint": None}


KEY = OfferedKey("p620.invalid", "…", "SHA256:abc", "ssh-ed25519", False, (), "/k/known_hosts")
KEY_JSON = {
    "algorithm": "ssh-ed25519",
    "fingerprint": "SHA256:abc",
    "name": "p620.invalid",
    "known_hosts": "/k/known_hosts",
    "added": True,
}


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> list[OfferedKey]:
    """Hosts show a key; the keys that were trusted."""
    found: list[OfferedKey] = []

    async def offered(*_: object) -> OfferedKey:
        return replace(KEY, known=KEY in found)

    monkeypatch.setattr(ssh_trust, "offered_key", offered)
    monkeypatch.setattr(ssh_trust, "remember", found.append)
    return found


def test_a_trusted_key_is_said_with_its_file(
    fleet: Path, typed: Typist, remembered: list[OfferedKey]
) -> None:
    """The second time it was known, and nothing is added; another one is refused, as ever."""
    code, found, _ = typed("host", "trust", "p620", "--fingerprint", "SHA256:abc")
    assert (code, found) == (0, {"ok": True, "host": "p620", "key": KEY_JSON})
    code, found, _ = typed("host", "trust", "p620")
    assert (code, found["key"]) == (0, {**KEY_JSON, "added": False})
    remembered.clear()
    code, found, _ = typed("host", "trust", "p620", "--fingerprint", "SHA256:xyz")
    assert (code, found["ok"], remembered) == (4, False, [])
    assert found["error"]["message"] == "the fingerprint is not the one given, SHA256:xyz"


@pytest.mark.usefixtures("remembered")
def test_an_added_host_is_said_with_its_file_and_key(fleet: Path, typed: Typist) -> None:
    """Without a fingerprint and a terminal the key is null, and is trusted later."""
    code, found, err = typed("host", "add", "web1", "--address", "web1.invalid")
    assert code == 0, err
    assert found == {"ok": True, "host": "web1", "file": "inventory/hosts.yaml", "key": None}
    words = ("--address", "web2.invalid", "--fingerprint", "SHA256:abc")
    code, found, err = typed("host", "add", "web2", *words)
    assert (code, found["host"], found["key"]) == (0, "web2", KEY_JSON), err
    code, found, _ = typed("host", "add", "web2", *words)
    assert (code, found["ok"]) == (2, False)
    assert found["error"]["message"] == "there is a host web2 already"


LOCK = Lock("7-abcd", "ada@desk", 7, "switch", NOW, 73)
LOCK_JSON = {
    "token": "7-abcd",
    "who": "ada@desk",
    "run": 7,
    "reason": "switch",
    "since": NOW.isoformat(),
    "expires_in": 73,
}


class Locked:
    """A host with a lock, which ends as it is told to when somebody breaks it."""

    def __init__(self) -> None:
        self.lock: Lock | None = LOCK
        self.silent = self.theirs = False
        self.reasons: list[str] = []

    async def ask(self, _: object, hosts: Sequence[Host]) -> tuple[HostAnswer, ...]:
        """Say what stands there."""
        (host,) = hosts
        if self.silent:
            return (HostAnswer(host, None, UnreachableError("no answer", hint="on?"), 1.0),)
        state = replace(HostState("m", None, None, None, None), lock=self.lock)
        return (HostAnswer(host, state, None, 0.1),)

    async def steal(self, _: object, __: Host, agreed: Lock, reason: str) -> bool:
        """Break the lock."""
        if self.theirs:
            raise RefusedError("another deployment has its lock by now")
        self.reasons.append(reason)
        return agreed == self.lock


@pytest.fixture
def locked(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> Locked:
    """A host with a lock."""
    made = Locked()
    monkeypatch.setattr(host_status, "ask_all", made.ask)
    monkeypatch.setattr(host_status, "steal", made.steal)
    return made


def test_a_broken_lock_is_said_with_whose_it_was(locked: Locked, typed: Typist) -> None:
    """The lock as ``status --locks --json`` has it; null where nobody has one."""
    words = ("host", "lock", "break", "p620", "--yes", "--reason", "it hangs")
    code, found, err = typed(*words)
    assert (code, locked.reasons) == (0, ["it hangs"])
    assert found == {"ok": True, "host": "p620", "broken": True, "lock": LOCK_JSON}
    assert "is notified" in err
    locked.lock = replace(LOCK, expires_in=0)
    nothing = {"ok": True, "host": "p620", "broken": False, "lock": None}
    assert typed(*words)[:2] == (0, nothing)
    assert locked.reasons == ["it hangs"]


def test_a_lock_that_is_not_broken_is_an_error(locked: Locked, typed: Typist) -> None:
    """Nobody agreed to it, another one has it, the host is silent: each with its exit code."""
    code, found, _ = typed("host", "lock", "break", "p620")
    assert (code, found["ok"]) == (2, False)
    assert found["error"]["hint"] == "orchestrator host lock break p620 --yes"
    locked.theirs = True
    code, found, err = typed("host", "lock", "break", "p620", "--yes")
    assert (code, found["ok"], found["host"]) == (4, False, "p620")
    assert found["error"]["message"] == "another deployment has its lock by now"
    assert "host 'p620': another deployment has its lock by now" in err
    locked.silent = True
    code, found, _ = typed("host", "lock", "break", "p620", "--yes")
    assert code == 1
    assert found == {
        "ok": False,
        "host": "p620",
        "error": {"message": "no answer", "hint": "on?"},
    }
    assert locked.reasons == []


def test_what_was_learned_is_said_of_each_host(
    fleet: Path, typed: Typist, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many files count, or why any change does, or why nothing was learned; exit 1 then."""
    evaluated = Evaluated(DrvPath(f"{OUT}.drv"), OUT)
    made = Fingerprint("p620", "c", Tree("/r", {}), (), 3, evaluated, None, NOW)
    lessons = [
        Lesson("p620", replace(made, reads=None, why_whole="it lists the root")),
        Lesson("razer", None, "error: no"),
    ]

    async def learn(_: object, __: object, told: Any, **___: object) -> None:
        for lesson in lessons:
            told(lesson)

    monkeypatch.setattr("orchestrator.changes.learn.learn", learn)
    code, found, _ = typed("changes", "learn")
    whole = {"files": 3, "out_path": OUT.path, "whole_tree": "it lists the root"}
    bad = {"learned": False, "problem": "error: no"}
    assert code == 1
    assert found == {"ok": False, "hosts": {"p620": {"learned": True, **whole}, "razer": bad}}
    lessons[:] = [Lesson("p620", made)]
    code, found, _ = typed("changes", "learn")
    assert (code, found["ok"], found["hosts"]["p620"]["whole_tree"]) == (0, True, None)


def test_a_finding_is_explained_to_a_script(typed: Typist) -> None:
    """One by its id in any case of letters, or all of them, each with what to do."""
    code, found, _ = typed("secrets", "explain", "rekey-needed")
    assert (code, list(found)) == (0, ["REKEY-NEEDED"])
    assert set(found["REKEY-NEEDED"]) == {"id", "severity", "verifies", "effect", "cure"}
    assert found["REKEY-NEEDED"]["severity"] == "warning"
    assert found["REKEY-NEEDED"]["cure"] == "orchestrator secrets rekey PATH"
    assert list(typed("secrets", "explain")[1]) == list(EXPLANATIONS)
