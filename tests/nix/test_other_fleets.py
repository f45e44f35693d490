"""Fleets as others have them: settings for Nix, more than one flake, and what Nix says of them."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.changes.knowledge import IMPURE, KnownSystems
from orchestrator.changes.learn import Lesson, learn
from orchestrator.changes.plan import Unknown
from orchestrator.changes.source import Source
from orchestrator.core.errors import StepError
from orchestrator.core.host import Connect, Host
from orchestrator.core.store import Evaluated
from orchestrator.deploy.delivering.batches import Member
from orchestrator.deploy.delivering.building import Builds
from orchestrator.fleet.files import check_evaluation
from orchestrator.host.setup import Setup
from orchestrator.inventory.load import load
from orchestrator.nix.asker import Quiet
from orchestrator.nix.configuration import Configuration
from orchestrator.nix.evaluation import Evaluations
from orchestrator.nix.flake import Flake
from orchestrator.secrets import uses
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


class Heard(Quiet, frozen=True):
    """Keeps what a person is told."""

    said: list[str] | None = None

    def notice(self, text: str, *, warning: bool = False) -> None:
        """Keep it."""
        assert warning
        if self.said is not None:
            self.said.append(text)


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

    def run(self, heard: list[str] | None = None) -> dict[str, Evaluated | str]:
        """Bring each host's system about as a deployment does; a text is an error.

        Args:
            heard: Takes what a person is told meanwhile.
        """
        setup = self.setup
        hosts = tuple(setup.fleet.hosts.values())

        async def inside() -> dict[str, Evaluated | str]:
            async with Source(setup.flake) as source:
                known = KnownSystems(setup, hosts, source)
                evaluations = Evaluations(source, setup.fleet.limits, setup.state, len(hosts))

                async def of(host: Host) -> Evaluated | str:
                    try:
                        return (await known.system(Heard(host, heard), evaluations))[0]
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


@pytest.mark.parametrize("conf", ["", "accept-flake-config = true"])
def test_a_flake_that_sets_its_own_purity_is_evaluated_each_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, conf: str
) -> None:
    """Accepted by the inventory or by nix.conf, it sees the environment; none of that is kept."""
    bench.write(
        "flake.nix",
        flake('a = "<${builtins.getEnv "SEEN"}>";', head="nixConfig.pure-eval = false;"),
    )
    accepted = "" if conf else "nix: {accept_flake_config: true}"
    bench.write("inventory/h.yaml", f"hosts: {{a: {{{accepted}}}}}")
    monkeypatch.setenv("NIX_CONFIG", conf)
    for seen in ("one", "two"):
        monkeypatch.setenv("SEEN", seen)
        assert "flake.nix sets pure-eval" in bench.reasons()["a"]
        assert bench.texts() == {"a": f"<{seen}>"}
    assert bench.learn()["a"].fingerprint is None


def test_a_flake_in_a_folder_of_the_repository_is_learned(bench: Bench) -> None:
    """However the inventory names it; a file that no host reads does not count."""
    bench.write("nix/flake.nix", flake("a = builtins.readFile ./text;"))
    bench.write("nix/text", "hello")
    for named in (".?dir=nix", f"git+file://{bench.root}?dir=nix", "nix"):
        bench.write("inventory/h.yaml", f"fleet: {{flake: '{named}'}}\nhosts: {{a: }}")
        assert bench.learn()["a"].fingerprint is not None
        bench.write("README", named)
        assert bench.reasons() == {"a": ""}
    bench.write("nix/text", "other")
    assert bench.reasons() == {"a": "nix/text changed"}


def test_one_attribute_in_two_flakes_is_two_hosts(bench: Bench, tmp_path: Path) -> None:
    """Each is evaluated from its own repository, learned there, and known by that alone."""
    other = Bench(tmp_path / "other", tmp_path / "unused")
    other.root.mkdir()
    other.git("init", "--quiet")
    other.write("flake.nix", flake('same = "other";'))
    bench.write("flake.nix", flake('same = "own";'))
    bench.write(
        "inventory/h.yaml",
        "hosts: {a: {attr: same}, b: {attr: same, flake: ../other}, c: {attr: same}}",
    )
    assert bench.texts() == {"a": "own", "b": "other", "c": "own"}
    assert all(lesson.fingerprint for lesson in bench.learn().values())
    other.write("flake.nix", flake('same = "edited";'))
    assert bench.reasons() == {"a": "", "b": "flake.nix changed", "c": ""}
    assert bench.texts() == {"a": "own", "b": "edited", "c": "own"}


def test_a_host_that_the_flake_does_not_have(bench: Bench) -> None:
    """What there is, what was probably meant, and the key that names another attribute."""
    bench.write("flake.nix", flake('web-1 = ""; "Db.example.org" = "";'))
    bench.write("inventory/h.yaml", "hosts: {web1: , db: , q: {attr: Db.example.org}}")
    found = bench.run()
    assert isinstance(found["web1"], str)
    assert "the flake has no nixosConfigurations.web1\ndid you mean web-1? " in found["web1"]
    assert "it has Db.example.org, web-1; `attr: NAME` of the host names" in found["web1"]
    assert "did you mean Db.example.org? " in str(found["db"])
    assert isinstance(found["q"], Evaluated)


def test_a_hive_without_configurations_is_told_the_line(bench: Bench) -> None:
    """A flake for Colmena alone: one line in it makes it a fleet."""
    bench.write("flake.nix", "{ outputs = _: { colmenaHive.nodes = { }; }; }")
    bench.write("inventory/h.yaml", "hosts: {a: }")
    said = str(bench.run()["a"])
    assert "the flake has no nixosConfigurations, but colmenaHive" in said
    assert "`nixosConfigurations = self.colmenaHive.nodes;` in its outputs is enough" in said


def test_that_there_is_no_network_is_said_once(bench: Bench) -> None:
    """The first host that needs it says what could not be fetched; the others name that host."""
    fetched = 'builtins.readFile (builtins.fetchurl "https://nowhere.invalid/a");'
    bench.write("flake.nix", flake(f'a = ""; b = {fetched} c = {fetched}'))
    bench.write(
        "inventory/h.yaml",
        "hosts: {a: , b: {nix: {impure: true}}, c: {nix: {impure: true}}}",
    )
    found = bench.run()
    assert isinstance(found["a"], Evaluated)
    first = "evaluation failed: no network: https://nowhere.invalid/a cannot be fetched\n"
    assert str(found["b"]).startswith(first)
    assert found["c"] == "not evaluated: no network, as host 'b' says\n\n"


def test_a_new_file_that_git_does_not_track(bench: Bench) -> None:
    """The error names the command that mends it; a path that is nowhere is left to Nix."""
    bench.write("flake.nix", flake("a = import ./hosts/new.nix; b = import ./hosts/none.nix;"))
    bench.write("hosts/old.nix", "")
    bench.write("inventory/h.yaml", "hosts: {a: , b: }")
    (bench.root / "hosts/new.nix").write_text('"text"')
    found = bench.run()
    said = "hosts/new.nix is there, but git does not track it, and so Nix does not see it"
    assert f"evaluation failed: {said}\ngit -C {bench.root} add hosts/new.nix\n" in str(found["a"])
    assert "hosts/none.nix' does not exist\n\n" in str(found["b"])


def test_files_that_nix_does_not_see_are_named(bench: Bench) -> None:
    """Nix files beside tracked ones; not what is ignored, nor what lies among other things."""
    bench.write(".gitignore", "ignored.nix")
    bench.write("flake.nix", flake('a = "";'))
    bench.write("inventory/h.yaml", "hosts: {a: }")
    for name in ("new.nix", "ignored.nix", "other/some.nix", "note"):
        (bench.root / name).parent.mkdir(exist_ok=True)
        (bench.root / name).write_text("")

    async def inside() -> tuple[str, ...]:
        setup = bench.setup
        async with Source(setup.flake) as source:
            known = KnownSystems(setup, tuple(setup.fleet.hosts.values()), source)
            return await known.unseen()

    assert asyncio.run(inside()) == ("new.nix",)


def test_a_plan_writes_no_lock_file(bench: Bench, tmp_path: Path) -> None:
    """Only what brings something about completes flake.lock; what looks leaves the fleet alone."""
    (tmp_path / "words").mkdir()
    (tmp_path / "words/flake.nix").write_text('{ outputs = _: { text = "words"; }; }')
    head = f'inputs.words.url = "path:{tmp_path}/words";'
    bench.write("flake.nix", flake("a = words.text;", head=head, takes="{words,...}"))
    bench.write("inventory/h.yaml", "hosts: {a: }")
    assert bench.texts() == {"a": "words"}
    assert not (bench.root / "flake.lock").exists()

    async def inside() -> None:
        async with Source(bench.setup.flake, lock=True) as source:
            await source.ground()

    asyncio.run(inside())
    assert (bench.root / "flake.lock").exists()


@pytest.mark.parametrize("named", ["path:.", "git+file://%s?ref=main", "."])
def test_a_flake_that_is_not_copied_gets_a_lock_file_by_a_deployment_alone(
    bench: Bench, tmp_path: Path, named: str
) -> None:
    """By a URL, or in no repository of git: looking neither writes one nor touches git's index."""
    words = '{ outputs = _: { text = "words"; }; }'
    (tmp_path / "words").mkdir()
    (tmp_path / "words/flake.nix").write_text(words)
    head = f'inputs.words.url = "path:{tmp_path}/words";'
    bench.write("flake.nix", flake("a = words.text;", head=head, takes="{words,...}"))
    fleet = f"fleet: {{flake: '{named % bench.root if '%' in named else named}'}}\n"
    bench.write("inventory/h.yaml", f"{fleet}hosts: {{a: }}")
    bench.git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a")
    bench.git("branch", "-M", "main")
    if named == ".":
        shutil.rmtree(bench.root / ".git")
    assert bench.texts() == {"a": "words"}
    assert not (bench.root / "flake.lock").exists()

    async def inside() -> None:
        async with Source(bench.setup.flake, lock=True) as source:
            await source.flake()

    asyncio.run(inside())
    assert (bench.root / "flake.lock").exists()


def test_warnings_of_nix_reach_the_person_once(bench: Bench) -> None:
    """That the flake's own settings are ignored is said of one host, with the key for it."""
    head = 'nixConfig.extra-substituters = "https://cache.invalid";'
    bench.write("flake.nix", flake('a = ""; b = "";', head=head))
    bench.write("inventory/h.yaml", "hosts: {a: , b: }")
    heard: list[str] = []
    bench.run(heard)
    assert heard == [
        "the flake's nixConfig is ignored: extra-substituters; "
        "`nix: {accept_flake_config: true}` in the inventory accepts it"
    ]


def test_a_system_that_nothing_here_builds(bench: Bench) -> None:
    """The hint names what would build it, and no line of Nix's own format is shown."""
    bench.write("flake.nix", flake('a = "";').replace("x86_64-linux", "riscv64-linux"))
    bench.write("inventory/h.yaml", "hosts: {a: }")
    evaluated = bench.run()["a"]
    assert isinstance(evaluated, Evaluated)
    lines: list[str] = []

    async def inside() -> None:
        builds = Builds(asyncio.Semaphore(1))
        member = Member("a", lines.append, lines.append)
        await builds.build(evaluated, root=bench.state / "root", deadline=60, member=member)

    with pytest.raises(StepError) as caught:
        asyncio.run(inside())
    assert caught.value.message == "build failed: this machine does not build for riscv64-linux"
    assert "`build: target`" in (caught.value.hint or "")
    assert "@nix" not in caught.value.stderr


def test_a_repository_of_another_user(bench: Bench) -> None:
    """Git and Nix refuse it; what makes them trust it is said."""
    bench.write("flake.nix", flake('a = "";'))
    bench.write("inventory/h.yaml", "hosts: {a: }")
    for place in (bench.root, *bench.root.rglob("*")):
        os.chown(place, 65534, 65534, follow_symlinks=False)
    said = str(bench.run()["a"])
    assert f"git config --global --add safe.directory {bench.root}, if you do" in said


def test_what_check_evaluates_is_known_afterwards(bench: Bench) -> None:
    """`changes affected` and the next deployment take it for what it is."""
    bench.write("flake.nix", flake('a = ""; b = throw "broken";'))
    bench.write("inventory/h.yaml", "hosts: {a: , b: }")
    setup = bench.setup
    hosts = (*setup.fleet.hosts.values(), Host("c", "c", Connect("c")))
    found = asyncio.run(check_evaluation(setup, hosts))
    assert found["a"] is None
    assert "\nhint: it has a, b; `attr: NAME`" in str(found["c"])
    assert "broken" in str(found["b"])
    assert bench.reasons() == {"a": "", "b": "it was not evaluated before"}


def test_a_learner_in_front_of_a_person_is_not_held_back(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the one in the background takes what nobody else wants of the processor."""
    niced, tools = tmp_path / "niced", tmp_path / "tools"
    tools.mkdir()
    (tools / "nice").write_text(f'#!/bin/sh\ntouch {niced}\nshift 2\nexec "$@"\n')
    (tools / "nice").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    bench.write("flake.nix", flake("a = builtins.readFile ./text;"))
    bench.write("text", "")
    bench.write("inventory/h.yaml", "hosts: {a: }")
    assert bench.learn()["a"].fingerprint is not None
    assert not niced.exists()


def test_a_new_file_is_new_and_one_that_went_is_gone(bench: Bench) -> None:
    """A reason says what became of a file, and not of each that it changed."""
    bench.write("flake.nix", flake("a = toString (builtins.attrNames (builtins.readDir ./hosts));"))
    bench.write("hosts/one.nix", "")
    bench.write("inventory/h.yaml", "hosts: {a: }")
    assert bench.learn()["a"].fingerprint is not None
    bench.write("hosts/two.nix", "")
    assert bench.reasons() == {"a": "hosts/two.nix is new"}
    for name in ("one", "two"):
        (bench.root / f"hosts/{name}.nix").unlink()
    bench.git("add", "--all")
    assert bench.reasons() == {"a": "hosts/one.nix is gone"}


def test_a_secret_that_agenix_would_hide_is_found_before(bench: Bench) -> None:
    """`symlink = false` at the default path: agenix's own link takes the folder's place after."""
    owned = 'file = ./a.age; mode = "0400"; owner = "0"; group = "0";'
    secret = f'{{ {owned} symlink = %s; path = "%s"; }}'
    usual = "/run/agenix/x"
    ways = {"a": ("false", usual), "b": ("false", "/etc/x"), "c": ("true", usual)}
    hosts = " ".join(f"{name}.config.age.secrets.x = {secret % way};" for name, way in ways.items())
    bench.write("a.age", "")
    bench.write("flake.nix", f"{{ outputs = _: {{ nixosConfigurations = {{ {hosts} }}; }}; }}")
    flake_here = Flake.at(str(bench.root), str(bench.root))
    found = {
        name: asyncio.run(uses.evaluate(Configuration(flake_here, name, name))).uses[0].hidden
        for name in ways
    }
    assert found == {"a": True, "b": False, "c": False}


def test_a_plan_away_from_the_network_as_a_person_types_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing answers: what would be built is said, and that an impure host is always evaluated."""
    monkeypatch.setenv("XDG_STATE_HOME", str(bench.state))
    bench.write("flake.nix", flake('a = "";'))
    host = "{address: 127.0.0.1, connect: {port: 1}, nix: {impure: true}}"
    bench.write("inventory/h.yaml", f"hosts: {{a: {host}}}")
    argv = (sys.executable, "-m", "orchestrator", "plan", "--fleet", bench.root, "a")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.search(r"; its system \S+-nixos-system-a would be built", done.stdout)
    assert "a: evaluated in every run (nix: {impure: true})" in done.stderr
