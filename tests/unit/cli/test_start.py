"""What a command costs before it does anything: modules, processes and questions are counted.

No clock here: what is imported or started too much is named.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.simulated import Simulated, simulated

HOSTS = 3
MOST_OF_OURS, MOST = 114, 475
"""Modules: as many as there are, and a few; Python's versions differ in how many they have."""
REPOSITORY = Path(__file__).parents[3]

# Runs a command in a process of its own; what it imported and started is the last line.
WATCHED = """
import importlib.util, json, sys
started, early = [], []
def watch(event, arguments):
    if event in ("subprocess.Popen", "os.posix_spawn", "os.exec"):
        started.append([str(word) for word in arguments[1]])
        early.append("asyncssh" in sys.modules)
    elif event in ("os.system", "os.fork"):
        started.append([event])
sys.addaudithook(watch)
from orchestrator.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    code = end.code
def is_loaded(name, it):
    # A module that is put off is there by its name; a package of ours is a docstring.
    if isinstance(it, importlib.util._LazyModule):
        return False
    return not (name.startswith("orchestrator") and hasattr(it, "__path__"))
loaded = sorted(name for name, it in list(sys.modules.items()) if is_loaded(name, it))
made = sorted(
    f"{name}.{of}"
    for name in loaded if name.startswith("orchestrator.")
    for of, it in vars(sys.modules[name]).items()
    if isinstance(it, type) and it.__module__ == name and "__dataclass_fields__" in vars(it)
)
print(json.dumps({
    "code": code, "modules": loaded, "started": started,
    "waited_for_ssh": any(early), "dataclasses": made,
}))
"""

HEAVY = (
    *("asyncio", "asyncssh", "cryptography", "rich", "yaml", "pytest", "testinfra", "sqlite3"),
    *("ssl", "zstandard", "pyrage", "importlib.metadata", "pkg_resources"),
    *("orchestrator.nix", "orchestrator.ssh", "orchestrator.host", "orchestrator.inventory"),
    *("orchestrator.changes", "orchestrator.secrets", "orchestrator.runs", "orchestrator.rollout"),
    *("orchestrator.deploy.run", "orchestrator.lab", "orchestrator.render"),
    *("git", "fabric", "invoke", "paramiko"),
)


@dataclass(frozen=True, slots=True)
class Watched:
    """A command that ended."""

    out: str
    code: int
    modules: set[str]
    started: list[list[str]]
    waited_for_ssh: bool
    dataclasses: list[str]

    def imported(self, names: tuple[str, ...]) -> set[str]:
        """Those of some modules, and of what is in some packages, that were loaded."""
        return {
            module
            for module in self.modules
            if any(module == name or module.startswith(f"{name}.") for name in names)
        }


def watched(*words: str, cwd: Path, environment: Mapping[str, str] = os.environ) -> Watched:
    """Run a command line and watch it."""
    done = subprocess.run(
        (sys.executable, "-c", WATCHED, *words),
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    *out, last = done.stdout.splitlines() or [""]
    assert done.returncode == 0, done.stderr
    seen = json.loads(last)
    text = "\n".join((*out, done.stderr))
    return Watched(text, **{**seen, "modules": set(seen["modules"])})


@pytest.mark.parametrize(
    "words", [("--help",), ("--version",), ("deploy", "--help"), ("host", "exec", "--help")]
)
def test_help_imports_next_to_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Help is there at once, and starts nothing."""
    seen = watched(*words, cwd=tmp_path)
    assert seen.code == 0
    found = seen.imported(HEAVY)
    if words == ("--version",):
        found -= seen.imported(("importlib.metadata",))
    assert found <= {"orchestrator.host.commands_execute"}
    assert seen.started == []


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """Hosts that run what the fleet says, and a fleet that was read before."""
    folder = tmp_path_factory.mktemp("simulated")
    with simulated(folder, HOSTS) as fleet:
        status = watched("status", cwd=fleet.bench.root, environment=fleet.bench.environment)
        assert status.code == 0, status.out
        yield fleet


def test_a_rollout_without_changes_does_nothing_else(fleet: Simulated) -> None:
    """Git is asked, and ssh what its files say; no Nix is started, and no code for changes."""
    seen = watched("deploy", cwd=fleet.bench.root, environment=fleet.bench.environment)
    assert seen.code == 0, seen.out
    assert f"{HOSTS} unchanged" in seen.out
    asked = [argv for argv in seen.started if argv[0] == "ssh"]
    assert {argv[0] for argv in seen.started} == {"git", "ssh"}
    assert all("-G" in argv for argv in asked)
    assert len(asked) <= 2
    assert len(seen.started) <= 5
    assert not seen.imported(
        (
            *("rich", "yaml", "pytest", "testinfra", "zstandard", "importlib.metadata"),
            *("git", "fabric", "invoke", "paramiko"),
            *("orchestrator.inventory.load", "orchestrator.deploy.changing.carry_out"),
            *(
                "orchestrator.deploy.changing.activation",
                "orchestrator.deploy.changing.activation",
            ),
            *(
                "orchestrator.deploy.delivering.delivery",
                "orchestrator.changes.learn",
                "orchestrator.lab.lab",
            ),
        )
    )


def test_an_unchanged_host_needs_few_modules(fleet: Simulated) -> None:
    """Each module is a tenth of a millisecond at least, each dataclass half of one.

    What is to be added here is imported where a host is changed, or is worth its time to everybody
    who deploys nothing new.
    """
    seen = watched("deploy", "h0001", cwd=fleet.bench.root, environment=fleet.bench.environment)
    ours = seen.imported(("orchestrator",))
    assert len(ours) <= MOST_OF_OURS, sorted(ours)
    assert len(seen.modules) <= MOST, sorted(seen.modules)
    assert not {name for name in seen.dataclasses if not name.startswith("orchestrator.lab.")}
    assert not seen.imported(
        (
            *(
                "difflib",
                "orchestrator.secrets",
                "orchestrator.nix.log",
                "orchestrator.nix.reasons",
            ),
            *("orchestrator.nix.evaluation", "orchestrator.changes.tree.private_copy"),
            *("orchestrator.changes.tracing.tracer", "orchestrator.deploy.copy.links"),
            *("orchestrator.deploy.delivering.building", "orchestrator.deploy.history"),
            *("orchestrator.host.lock", "orchestrator.host.generations"),
        )
    )


def test_ssh_is_imported_while_others_work(fleet: Simulated) -> None:
    """Git and ssh are asked before what speaks SSH is imported, which takes as long as they do."""
    seen = watched("deploy", "h0001", cwd=fleet.bench.root, environment=fleet.bench.environment)
    assert seen.started
    assert not seen.waited_for_ssh
    assert "asyncssh" in seen.modules


def test_a_rollout_without_changes_leaves_two_files(fleet: Simulated) -> None:
    """A no-op run leaves its events and its log, whatever its size; no index of runs is opened."""
    seen = watched("deploy", cwd=fleet.bench.root, environment=fleet.bench.environment)
    assert not seen.imported(("orchestrator.runs.index",))
    runs = [*fleet.bench.home.glob("state/orchestrator/fleets/*/runs/*")]
    newest = max(runs, key=lambda folder: int(folder.name))
    assert {file.name for file in newest.iterdir()} == {"events.jsonl.gz", "log.gz"}


def test_an_unchanged_host_is_asked_one_question(fleet: Simulated) -> None:
    """One connection, one command: at 50 ms a round trip each more would be heard."""
    before = fleet.questions()
    watched("deploy", "h0001", cwd=fleet.bench.root, environment=fleet.bench.environment)
    asked = {number: count - before.get(number, 0) for number, count in fleet.questions().items()}
    assert {number: count for number, count in asked.items() if count} == {1: 1}
