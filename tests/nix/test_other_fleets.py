"""Fleets as others have them: settings for Nix, more than one flake, and what Nix says of them."""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.changes.knowledge import IMPURE, KnownSystems
from orchestrator.changes.learn import Lesson, learn
from orchestrator.changes.plan import Unknown
from orchestrator.changes.source import Source
from orchestrator.core.errors import StepError
from orchestrator.core.host import Host
from orchestrator.core.store import Evaluated
from orchestrator.host.setup import Setup
from orchestrator.inventory.load import load
from orchestrator.nix.evaluation import Evaluations, Quiet
from orchestrator.nix.flake import Flake
from orchestrator.ssh.settings import SshSettings

FLAKE = """{
  %s
  outputs = %s: {
    nixosConfigurations = builtins.mapAttrs (name: text: {
      config.system.build.toplevel = derivation {
        name = "nixos-system-${name}";
        system = "x86_64-linux";
        builder = "/bin/sh";
        inherit text;
      };
    }) { %s };
  };
}
"""


def flake(hosts: str, *, head: str = "", takes: str = "_") -> str:
    """A flake whose hosts' systems hold a text each."""
    return FLAKE % (head, takes, hosts)


@dataclass
class Bench:
    """A fleet in a repository of its own."""

    root: Path
    state: Path

    def write(self, name: str, text: str) -> None:
        """Write a file that git tracks."""
        place = self.root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        self.git("add", "--all")

    def git(self, *words: str) -> None:
        """Run git there."""
        subprocess.run(("git", "-C", self.root, *words), check=True, capture_output=True)

    @property
    def setup(self) -> Setup:
        """As a command opens it."""
        fleet = load(self.root).fleet
        found = Flake.at(fleet.flake, fleet.root, settings=fleet.nix)
        return Setup(fleet, found, SshSettings(), self.state)

    def run(self) -> dict[str, Evaluated | str]:
        """Bring each host's system about as a deployment does; a text is an error."""
        setup = self.setup
        hosts = tuple(setup.fleet.hosts.values())

        async def inside() -> dict[str, Evaluated | str]:
            async with Source(setup.flake) as source:
                known = KnownSystems(setup, hosts, source)
                evaluations = Evaluations(source, setup.fleet.limits, setup.state, len(hosts))

                async def of(host: Host) -> Evaluated | str:
                    try:
                        return (await known.system(Quiet(host), evaluations))[0]
                    except StepError as error:
                        return "\n".join((error.message, error.hint or "", error.stderr))

                found = {host.name: await of(host) for host in hosts}
                await known.keep(1)
                return found

        return asyncio.run(inside())

    def texts(self) -> dict[str, str]:
        """What each host's system holds, by its derivation."""
        found = {}
        for name, one in self.run().items():
            assert isinstance(one, Evaluated), one
            argv = ("nix-store", "--query", "--binding", "text", one.drv.path)
            done = subprocess.run(argv, check=True, capture_output=True, text=True)
            found[name] = done.stdout.strip()
        return found

    def reasons(self) -> dict[str, str]:
        """Why each host would be evaluated now; empty where it is known."""
        setup = self.setup
        hosts = tuple(setup.fleet.hosts.values())

        async def inside() -> dict[str, str]:
            known = KnownSystems(setup, hosts)
            found = {host.name: await known.of(host) for host in hosts}
            return {n: one.reason if isinstance(one, Unknown) else "" for n, one in found.items()}

        return asyncio.run(inside())

    def learn(self) -> dict[str, Lesson]:
        """Learn all of it."""
        lessons: list[Lesson] = []
        setup = self.setup
        asyncio.run(learn(setup, tuple(setup.fleet.hosts.values()), lessons.append))
        return {lesson.host: lesson for lesson in lessons}


@pytest.fixture
def bench(nix: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """An empty fleet, and nothing that this machine's user set or has cached."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    made = Bench(tmp_path / "fleet", tmp_path / "state")
    made.root.mkdir()
    made.git("init", "--quiet")
    return made


def test_an_impure_host_sees_the_environment_and_no_other_does(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it saw once is never taken for what it would see: it is evaluated each time."""
    bench.write("flake.nix", flake('open = "<${builtins.getEnv "SEEN"}>"; shut = "<>";'))
    bench.write("inventory/h.yaml", "hosts: {open: {nix: {impure: true}}, shut: }")
    monkeypatch.setenv("SEEN", "one")
    assert bench.texts() == {"open": "<one>", "shut": "<>"}
    monkeypatch.setenv("SEEN", "two")
    assert bench.reasons() == {"open": IMPURE, "shut": ""}
    assert bench.texts() == {"open": "<two>", "shut": "<>"}
    lessons = bench.learn()
    assert lessons["open"].never
    assert lessons["shut"].fingerprint is not None


def test_an_input_that_stands_in_is_a_hosts_own(bench: Bench, tmp_path: Path) -> None:
    """The other host has what flake.lock says; a change of the folder is seen, for that host."""
    for name in ("pinned", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "flake.nix").write_text(f'{{ outputs = _: {{ text = "{name}"; }}; }}')
    head = f'inputs.words.url = "path:{tmp_path}/pinned";'
    bench.write(
        "flake.nix", flake("a = words.text; b = words.text;", head=head, takes="{words,...}")
    )
    bench.write(
        "inventory/h.yaml",
        "hosts: {a: , b: {nix: {override_inputs: {words: 'path:../other'}}}}",
    )
    assert bench.texts() == {"a": "pinned", "b": "other"}
    # Of `a` nothing is kept: flake.lock names a folder that anybody may edit.
    assert bench.reasons() == {"a": "it was not evaluated before", "b": ""}
    (tmp_path / "other/flake.nix").write_text('{ outputs = _: { text = "edited"; }; }')
    assert bench.reasons()["b"] == "it was not evaluated before"
    assert bench.texts()["b"] == "edited"


PIPED = "import ./piped.nix"


@pytest.mark.parametrize(
    ("head", "settings"),
    [
        ("", "options: {extra-experimental-features: [pipe-operators]}"),
        ('nixConfig.extra-experimental-features = "pipe-operators";', "accept_flake_config: true"),
    ],
)
def test_a_language_that_is_experimental(bench: Bench, head: str, settings: str) -> None:
    """By an option, or by the flake's own settings once those are accepted; learned as others."""
    bench.write("piped.nix", '"piped" |> (text: text)')
    bench.write("flake.nix", flake(f"a = {PIPED}; b = {PIPED};", head=head))
    bench.write("inventory/h.yaml", f"hosts: {{a: {{nix: {{{settings}}}}}, b: }}")
    found = bench.run()
    assert isinstance(found["a"], Evaluated)
    assert isinstance(found["b"], str)
    assert "pipe-operators" in found["b"]
    bench.write("inventory/h.yaml", f"hosts: {{a: {{nix: {{{settings}}}}}}}")
    assert bench.learn()["a"].fingerprint is not None
    assert bench.reasons() == {"a": ""}
