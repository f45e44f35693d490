"""Evaluations by a real Nix: several hosts at once, each alone with its error and its memory."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from nix_bench import Fleet

from orchestrator.changes.source import Source
from orchestrator.core.errors import StepError
from orchestrator.core.host import Connect, Host, Limits
from orchestrator.core.store import DrvPath, Evaluated
from orchestrator.nix import flake as nix_flake
from orchestrator.nix import memory
from orchestrator.nix.asker import Quiet
from orchestrator.nix.configuration import Configuration
from orchestrator.nix.evaluation import Evaluations
from orchestrator.nix.memory import ENVIRONMENT, GIB, MIB
from orchestrator.nix.verbs import Flake
from orchestrator.secrets import uses

# Takes about 1.5 GB, and holds it to the end.
HUNGRY = """
{ lib, ... }:
let all = lib.genList (n: { value = n; }) 12000000;
in { networking.domain = "n${toString (lib.foldl' (sum: one: sum + one.value) 0 all)}"
  + "l${toString (lib.length all)}"; }
"""
BROKEN = '{ networking.hostName = throw "this host is broken"; }'


class Told(Quiet, frozen=True):
    """Keeps what a person is told."""

    said: list[str] = msgspec.field(default_factory=list)

    def notice(self, text: str, *, warning: bool = False) -> None:  # noqa: ARG002
        """Keep it."""
        self.said.append(text)


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was evaluated before does not count, nor what this person set."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    monkeypatch.delenv("GC_INITIAL_HEAP_SIZE", raising=False)


def evaluate(
    fleet: Fleet, names: Sequence[str], limits: Limits | None = None
) -> tuple[dict[str, Evaluated | StepError], list[str]]:
    """Evaluate hosts of a fleet at once; give each one's end, and what was said."""
    flake = Flake.at(str(fleet.root), str(fleet.root), fleet.inputs)
    askers = [Told(Host(name, name, Connect(name))) for name in names]

    async def all_of_them() -> list[Evaluated | BaseException]:
        async with Source(flake) as source:
            made = Evaluations(source, limits or Limits(), fleet.root.parent, len(names))
            return await asyncio.gather(*map(made.evaluate, askers), return_exceptions=True)

    ended: dict[str, Evaluated | StepError] = {}
    for name, end in zip(names, asyncio.run(all_of_them()), strict=True):
        if not isinstance(end, Evaluated | StepError):
            raise end
        ended[name] = end
    return ended, [text for asker in askers for text in asker.said]


def test_one_hosts_error_is_its_own(fleet: Fleet) -> None:
    """The others are what Nix says they are, their outputs too."""
    fleet.module("razer", BROKEN)
    ended, _ = evaluate(fleet, ["p620", "razer", "dex5550"])
    error = ended.pop("razer")
    assert isinstance(error, StepError)
    assert "this host is broken" in error.message
    for name, end in ended.items():
        assert isinstance(end, Evaluated)
        attribute = f"nixosConfigurations.{name}.config.system.build.toplevel"
        assert fleet.evaluate(f"{attribute}.drvPath").stdout.strip() == f'"{end.drv}"'
        assert fleet.evaluate(f"{attribute}.outPath").stdout.strip() == f'"{end.out}"'


def test_a_derivations_file_says_what_nix_says(fleet: Fleet) -> None:
    """Of a system and of all that it is built from: the same output, or no answer."""
    ended, _ = evaluate(fleet, ["p620"])
    system = ended["p620"]
    assert isinstance(system, Evaluated)
    assert nix_flake.output_of(system.drv) == system.out
    answered = 0
    for path in asked("--requisites", system.drv.path):
        if path.endswith(".drv") and (found := nix_flake.output_of(DrvPath(path))):
            assert asked("--outputs", path) == [found.path]
            answered += 1
    assert answered > 5


def asked(*arguments: str) -> list[str]:
    """Ask Nix's store."""
    argv = ("nix-store", "--query", *arguments)
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()


def test_the_peak_of_a_hungry_host_is_measured_and_kept(fleet: Fleet) -> None:
    """The next run expects it. What a person allows is no wall for a host by itself."""
    fleet.module("p510", HUNGRY)
    ended, said = evaluate(fleet, ["p510"], Limits(evaluation_memory=600 * MIB))
    assert isinstance(ended["p510"], Evaluated)
    assert memory.read(fleet.root.parent / "evaluation-peak") > GIB
    assert len(said) == 1
    assert "and limits.evaluation_memory leaves 600 MiB; it goes on by itself" in said[0]


def test_over_the_budget_the_youngest_comes_later(fleet: Fleet) -> None:
    """Two that were thought small pass the budget together; both are evaluated in the end."""
    memory.keep(fleet.root.parent / "evaluation-peak", 1 * MIB)
    fleet.module("p510", HUNGRY)
    fleet.module("razer", HUNGRY)
    limits = Limits(evaluations=2, evaluation_memory=1100 * MIB)
    ended, said = evaluate(fleet, ["p510", "razer"], limits)
    assert all(isinstance(end, Evaluated) for end in ended.values())
    assert sum("stopped, as memory became short" in text for text in said) == 1


def test_out_of_memory_is_tried_again_and_told(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no process may have more than 1 GB, the hungry host fails and no other does."""
    tools = tmp_path / "tools"
    tools.mkdir()
    runs = tmp_path / "runs"
    (tools / "nix").write_text(
        f'#!/bin/sh\necho >> {runs}\nulimit -v 1000000\nexec {shutil.which("nix")} "$@"\n'
    )
    (tools / "nix").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("GC_INITIAL_HEAP_SIZE", "64M")
    fleet.module("p510", HUNGRY)
    ended, said = evaluate(fleet, ["p510", "razer"])
    assert isinstance(ended["razer"], Evaluated)
    error = ended["p510"]
    assert isinstance(error, StepError)
    assert "ran out of memory, also by itself: it took " in error.message
    assert "swap" in (error.hint or "")
    assert "it is evaluated again by itself" in said[0]
    assert len(runs.read_text()) == 3


SPECIALISED = r"""
{
  outputs = _: {
    nixosConfigurations.web1.config =
      let
        age = names: {
          identityPaths = [ "/etc/ssh/ssh_host_ed25519_key" ];
          secrets = builtins.listToAttrs (map (name: {
            inherit name;
            value = {
              file = ./. + "/${name}.age";
              path = "/run/agenix/${name}";
              mode = "0400";
              owner = "0";
              group = "0";
            };
          }) names);
        };
      in
      {
        age = age [ "own" ];
        specialisation.gaming.configuration.age = age [ "own" "game" ];
        specialisation."odd \"\${name}\\".configuration.age = age [ "odd" ];
      };
  };
}
"""


@pytest.mark.usefixtures("nix")
@pytest.mark.parametrize(
    ("name", "secrets"),
    [
        ("", {"own"}),
        ("gaming", {"own", "game"}),
        ("work", {"own"}),
        ('odd "${name}\\', {"odd"}),
    ],
)
def test_secrets_are_those_of_the_specialisation_that_is_to_run(
    tmp_path: Path, name: str, secrets: set[str]
) -> None:
    """What it says of its secrets counts, or what the system says that has no such one."""
    (tmp_path / "flake.nix").write_text(SPECIALISED)
    for secret in ("own", "game", "odd"):
        (tmp_path / f"{secret}.age").write_text("")
    flake = Flake.at(str(tmp_path), str(tmp_path), {})
    found = asyncio.run(uses.evaluate(Configuration(flake, "web1", "web1"), name))
    assert {use.name for use in found.uses} == secrets
