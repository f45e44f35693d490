"""``learn``, ``why`` and ``affected`` as a person types them; no Nix is there that works."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.changes import commands
from orchestrator.changes.turns import learning, stop_learning
from orchestrator.cli.options import Target

SLOW = "#!/bin/sh\necho $$ >> {pids}\nexec sleep 600\n"
BROKEN = "#!/bin/sh\necho 'error: no Nix here' >&2\nexit 1\n"
METADATA = (
    "#!/bin/sh\n"
    'case "$*" in\n'
    '  *metadata*) echo \'{{"locks": {{"nodes": {{"root": {{}}}}, "root": "root"}}}}\' ;;\n'
    "  *) echo $$ >> {pids}; exec sleep 600 ;;\n"
    "esac\n"
)


@dataclass(frozen=True)
class Typed:
    """A fleet of two hosts in a repository, and an environment."""

    root: Path
    environment: dict[str, str]

    def nix(self, text: str) -> None:
        """Say what ``nix`` is."""
        program = self.root.parent / "bin/nix"
        program.write_text(text.format(pids=self.pids))
        program.chmod(0o755)

    @property
    def pids(self) -> Path:
        """Where a slow ``nix`` writes its process id."""
        return self.root.parent / "pids"

    @property
    def state(self) -> Path:
        """The fleet's state folder."""
        (found,) = (self.root.parent / "state/orchestrator/fleets").iterdir()
        return found

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the command line."""
        argv = (sys.executable, "-m", "orchestrator", *arguments)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(argv, cwd=self.root, env=self.environment, **pipes)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run the command line: exit code, standard output, standard error."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


@pytest.fixture
def typed(tmp_path: Path) -> Typed:
    """A fleet that is committed, nothing learned."""
    root = tmp_path / "fleet"
    (root / "inventory").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    hosts = "".join(f"  {name}: {{address: {name}.invalid}}\n" for name in ("p620", "razer"))
    (root / "inventory/hosts.yaml").write_text(f"hosts:\n{hosts}")
    (root / "flake.nix").write_text("{ }")
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    made = Typed(root, environment)
    made.nix(BROKEN)
    made.run("changes", "why", "p620")  # fleet.json is written
    identity = ("-c", "user.name=fleet", "-c", "user.email=fleet@example.org")
    for words in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "first")):
        subprocess.run(("git", "-C", root, *words), check=True, env=environment)
    return made


def until_started(typed: Typed) -> int:
    """Wait until ``nix`` runs, on what nobody else wants of the processor; gives its process id."""
    end = time.monotonic() + 300
    while not (typed.pids.exists() and typed.pids.read_text().endswith("\n")):
        assert time.monotonic() < end
        time.sleep(0.02)
    return int(typed.pids.read_text().split()[-1])


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_why_of_a_host_that_nothing_is_known_of(typed: Typed) -> None:
    """`why` of a host of which nothing is known is no error: it says what `deploy` would do."""
    code, out, err = typed.run("changes", "why", "p620")
    assert (code, out) == (0, "")
    assert "p620: to be evaluated: it was not evaluated before" in err
    code, out, _ = typed.run("changes", "why", "p620", "--json")
    assert code == 0
    assert json.loads(out)["known"] is False


def test_why_wants_one_host_that_is_there(typed: Typed) -> None:
    """A host of the inventory, and no selector."""
    for argument in ("nobody", "*"):
        code, out, err = typed.run("changes", "why", argument)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")


def test_affected_names_hosts_for_a_shell(typed: Typed) -> None:
    """All of them where nothing is known; those that are selected."""
    code, out, _ = typed.run("changes", "affected")
    assert (code, out) == (0, "p620\nrazer\n")
    code, out, _ = typed.run("changes", "affected", "razer", "--json")
    assert (code, json.loads(out)) == (0, {"razer": "it was not evaluated before"})


def test_affected_since_what_is_no_revision_is_an_error(typed: Typed) -> None:
    """`affected` since what is no revision is an error, not an empty list for CI."""
    code, out, err = typed.run("changes", "affected", "--since", "nowhere")
    assert (code, out) == (1, "")
    assert "'nowhere' is no commit" in err


def test_learn_tells_what_went_wrong(typed: Typed) -> None:
    """`learn` exits with 1 and Nix's own words when the evaluation fails."""
    code, out, err = typed.run("changes", "learn")
    assert (code, out) == (1, "")
    assert "no Nix here" in err


def test_a_script_reads_what_could_not_be_learned(typed: Typed) -> None:
    """Each host's problem, or what stops `learn` at all; the exit code is the same."""
    code, out, err = typed.run("changes", "learn", "--json")
    found = json.loads(out)
    assert (code, found["ok"], list(found["hosts"])) == (1, False, ["p620", "razer"])
    for host in found["hosts"].values():
        assert host["learned"] is False
        assert host["problem"].splitlines()[0] in err
    with learning(typed.state):
        code, out, err = typed.run("changes", "learn", "--json")
    found = json.loads(out)
    assert (code, list(found)) == (1, ["ok", "error"])
    assert "another process is learning this fleet" in found["error"]["message"]


def test_learn_says_that_somebody_else_is_at_it(typed: Typed) -> None:
    """A second `learn` of the same fleet exits with 1 and one line, without a traceback."""
    typed.run("changes", "learn")  # makes the state folder
    with learning(typed.state):
        code, out, err = typed.run("changes", "learn")
    assert (code, out) == (1, "")
    assert "another process is learning this fleet" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("options", [(), ("--background",)], ids=["by hand", "in the background"])
def test_a_learner_ends_with_its_nix_when_a_deployment_begins(
    typed: Typed, options: tuple[str, ...]
) -> None:
    """Told to end while Nix evaluates: neither goes on, and a person reads why."""
    typed.nix(METADATA)
    learner = typed.start("changes", "learn", *options)
    nix = until_started(typed)
    stop_learning(typed.state)
    out, err = learner.communicate(timeout=30)
    assert (learner.returncode, out) == (1, "")
    assert "a deployment evaluates, and goes first" in err
    assert "Traceback" not in err
    assert not is_running(nix)


def test_a_learner_that_somebody_ends_says_by_what(typed: Typed) -> None:
    """SIGTERM is no deployment: whoever looks for one would look in vain."""
    typed.nix(METADATA)
    learner = typed.start("changes", "learn")
    nix = until_started(typed)
    learner.send_signal(signal.SIGTERM)
    _, err = learner.communicate(timeout=30)
    assert learner.returncode == 1
    assert "stopped: by SIGTERM; what was learned is kept" in err
    assert "deployment" not in err
    assert not is_running(nix)


def test_ctrl_c_ends_a_learner(typed: Typed) -> None:
    """Ctrl-C ends `learn` with exit code 130, without a traceback, and its Nix as well."""
    typed.nix(METADATA)
    learner = typed.start("changes", "learn")
    nix = until_started(typed)
    learner.send_signal(signal.SIGINT)
    _, err = learner.communicate(timeout=30)
    assert learner.returncode == 130
    assert "Traceback" not in err
    assert not is_running(nix)


def test_learning_in_the_background_stands_back(typed: Typed) -> None:
    """Of the processor it takes what nobody else wants, and its Nix too."""
    typed.nix(METADATA)
    learner = typed.start("changes", "learn", "--background")
    try:
        nix = until_started(typed)
        for pid in (learner.pid, nix):
            assert os.getpriority(os.PRIO_PROCESS, pid) == 19
            assert os.sched_getscheduler(pid) == os.SCHED_IDLE
    finally:
        learner.terminate()
        learner.communicate(timeout=30)


def test_a_deployment_that_evaluates_learns_afterwards_unless_told_not_to(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deployments learn afterwards, unless ``ORCHESTRATOR_LEARN=never`` is set."""
    monkeypatch.delenv("ORCHESTRATOR_LEARN", raising=False)
    assert commands.learns_afterwards()
    monkeypatch.setenv("ORCHESTRATOR_LEARN", "never")
    assert not commands.learns_afterwards()


@pytest.mark.parametrize("lab", [True, False])
def test_what_learns_afterwards_learns_the_same_fleet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lab: bool
) -> None:
    """The whole of it, in its lab where the deployment was there; its folder stays as it is."""
    from orchestrator.core import process
    from orchestrator.core.host import Fleet
    from orchestrator.host.setup import Setup
    from orchestrator.nix.verbs import Flake
    from orchestrator.ssh.settings import SshSettings

    started: list[tuple[str, ...]] = []
    monkeypatch.setattr(process, "detach", started.append)
    fleet = Fleet("f", str(tmp_path), str(tmp_path), {})
    setup = Setup(fleet, Flake.at(str(tmp_path), str(tmp_path)), SshSettings(), tmp_path)
    commands.learn_in_background(setup, Target(lab=lab))
    ((program, *words),) = started
    assert program == sys.executable
    expected = [
        "-m",
        "orchestrator",
        "changes",
        "learn",
        "--background",
        "--frozen",
        "--fleet",
        str(tmp_path),
    ]
    assert words == expected + ["--no-lab"] * (not lab)
