"""The tools that are compared, and how each is told to bring hosts to what the flake says."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.bench_lab import BenchLab
from tests.bench.machine import version_of
from tests.bench.timing import Ran, run_all
from tests.lab.fleet_bench import ORCHESTRATOR

OURS = "orchestrator"
DEADLINE = 1200.0
Commands = Callable[[BenchLab, Sequence[str]], list[list[str]]]
Contender = Callable[[int], Ran]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool.

    Attributes:
        name: As the tables have it.
        program: What must be on the ``PATH``.
        commands: What a person types for some hosts, one line or several.
        cached: Whether a second evaluation of the same commit costs it little.
    """

    name: str
    program: str
    commands: Commands
    cached: bool = False

    @property
    def present(self) -> bool:
        """Whether it is on this machine."""
        return shutil.which(self.program) is not None

    def switch(self, lab: BenchLab, hosts: Sequence[str]) -> Ran:
        """Bring hosts to what the flake says; the time is that of the whole processes."""
        return run_all(
            self.commands(lab, hosts), cwd=lab.bench.root, env=lab.environment(), deadline=DEADLINE
        )


def _ours(lab: BenchLab, hosts: Sequence[str]) -> list[list[str]]:
    return [[str(ORCHESTRATOR), "deploy", *hosts]]


def _nixos_rebuild(lab: BenchLab, hosts: Sequence[str]) -> list[list[str]]:
    # --no-reexec: it would first build itself from the host's configuration.
    call = ["nixos-rebuild-ng", "switch", "--no-reexec"]
    return [
        lab.inside([*call, "--flake", f".#{host}", "--target-host", f"root@{host}"])
        for host in hosts
    ]


def _colmena(lab: BenchLab, hosts: Sequence[str]) -> list[list[str]]:
    return [lab.inside(["colmena", "apply", "--on", ",".join(hosts), "switch"])]


def _deploy_rs(*options: str) -> Commands:
    def commands(lab: BenchLab, hosts: Sequence[str]) -> list[list[str]]:
        ssh = f"--ssh-opts=-F {lab.places.ssh_config}"
        # Told of targets one by one it evaluates, and checks, once for each: all is one target.
        targets = ["."] if set(hosts) == set(lab.hosts) else [f".#{host}" for host in hosts]
        return [lab.inside(["deploy", *options, ssh, "--targets", *targets])]

    return commands


TOOLS = (
    Tool(OURS, str(ORCHESTRATOR), _ours, cached=True),
    Tool("nixos-rebuild-ng", "nixos-rebuild-ng", _nixos_rebuild, cached=True),
    Tool("Colmena", "colmena", _colmena),
    Tool("deploy-rs --skip-checks", "deploy", _deploy_rs("--skip-checks")),
    Tool("deploy-rs", "deploy", _deploy_rs()),
)


def present() -> tuple[Tool, ...]:
    """Those on this machine."""
    return tuple(tool for tool in TOOLS if tool.present)


def absent_notes() -> tuple[str, ...]:
    """A note for each tool that is not on this machine."""
    missing = dict.fromkeys(tool.program for tool in TOOLS if not tool.present)
    return tuple(f"`{program}` was not on the PATH: not run" for program in missing)


def versions() -> str:
    """What the peers say that they are."""
    programs = dict.fromkeys(tool.program for tool in present()[1:])
    said = {name: version_of((name, "--version")) for name in programs}
    return ", ".join(text or name for name, text in said.items())


def activate_program() -> Path | None:
    """deploy-rs's program for hosts: ``activate``, beside its ``deploy``."""
    found = shutil.which("deploy")
    program = Path(found).resolve().with_name("activate") if found else None
    return program if program is not None and program.exists() else None
