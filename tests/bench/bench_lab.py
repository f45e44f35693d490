"""The hosts to measure on: a generated fleet, and a lab of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.lab.places import LabPlaces, labs_directory
from tests.bench.timing import Ran, run
from tests.lab.fleet_bench import ORCHESTRATOR, Bench, committed

FLEET = Path(__file__).parent / "fleet"
PARTS = ("flake.nix", "host.nix", "base.nix", "colmena-hive.nix", "deploy-node.nix")
HEAP = "1G"
"""What Nix's heap is from the start, whoever starts it: as ours has it on a machine with room."""
NIX = ("nix", "--extra-experimental-features", "nix-command flakes")


@dataclass(frozen=True, slots=True)
class BenchLab:
    """A fleet whose hosts are up in a lab.

    Attributes:
        bench: The fleet's folder, and the environment of commands in it.
        hosts: All names.
        real: Whether they are evaluated with a real nixpkgs.
        keeper: The process whose network is the lab's.
    """

    bench: Bench
    hosts: tuple[str, ...]
    real: bool
    keeper: int
    places: LabPlaces

    def inside(self, argv: Sequence[str]) -> list[str]:
        """A command line in the lab's network, for tools that do not know of labs (2 ms)."""
        return ["nsenter", f"--net=/proc/{self.keeper}/ns/net", "--", *argv]

    def environment(self, **more: str) -> dict[str, str]:
        """Of every command; SSH reaches the hosts by their names."""
        config = str(self.places.ssh_config)
        return {
            **self.bench.environment,
            "NIX_SSHOPTS": f"-F {config}",
            "SSH_CONFIG_FILE": config,
            # Ours gives Nix a heap by itself; here every tool's Nix has the same.
            "GC_INITIAL_HEAP_SIZE": HEAP,
            # What a deployment learns afterwards is learned between two measurements.
            "ORCHESTRATOR_LEARN": "never",
            **more,
        }

    def ours(self, *arguments: str, **more: str) -> Ran:
        """Run our own command line as a whole process."""
        env = self.environment(**more)
        return run((str(ORCHESTRATOR), *arguments), cwd=self.bench.root, env=env)

    def learn(self) -> None:
        """Learn what hosts' evaluations read, as deployments do when they are done.

        Raises:
            AssertionError: A host could not be learned.
        """
        done = self.ours("changes", "learn")
        assert done.rc == 0, done.said

    def on(self, host: str, command: str) -> Ran:
        """Run a command as root on a host, by plain SSH."""
        argv = self.inside(("ssh", "-F", str(self.places.ssh_config), host, command))
        return run(argv, cwd=self.bench.root, env=self.environment())

    def on_all(self, hosts: Sequence[str], command: str) -> dict[str, str]:
        """Run a command on several hosts at the same time; what each said.

        Raises:
            AssertionError: It failed on a host.
        """
        with ThreadPoolExecutor(8) as pool:
            done = dict(
                zip(hosts, pool.map(lambda host: self.on(host, command), hosts), strict=True)
            )
        assert all(one.rc == 0 for one in done.values()), done
        return {host: one.said for host, one in done.items()}

    def change(self, hosts: Sequence[str], what: str) -> None:
        """Change hosts' own files and commit them, as a person does."""
        self._commit({f"hosts/{host}/default.nix": _own(what) for host in hosts}, what)

    def change_unrelated(self, what: str) -> None:
        """Change a file that no host reads, and commit it."""
        self._commit({"README.md": f"{what}\n"}, what)

    def _commit(self, files: Mapping[str, str], what: str) -> None:
        for name, text in files.items():
            self.bench.write(name, text)
        done = self.bench.command("git", "commit", "--quiet", "--all", "--message", what)
        assert done.rc == 0, done


def _own(what: str) -> str:
    return f'{{\n  environment.etc."bench/change".text = "{what}";\n}}\n'


@contextmanager
def bench_lab(
    count: int, nixpkgs: Path | None, activate: Path | None, front: Path | None = None
) -> Iterator[BenchLab]:
    """Make a fleet and a lab for it, deploy and learn it once, and remove both at the end.

    Args:
        count: How many hosts.
        nixpkgs: A real nixpkgs; without one the hosts cost what the lab's stand-in costs.
        activate: deploy-rs's program for hosts, which its profiles carry.
        front: A folder for the front of every command's ``PATH``.

    Raises:
        AssertionError: The lab did not come up, or the first deployment failed.
    """
    hosts = tuple(f"h{number:02}" for number in range(1, count + 1))
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-bench-"))
    # Here, too: this process asks where the lab is.
    os.environ["ORCHESTRATOR_LAB_HOME"] = str(folder / "labs")
    more = {"PATH": f"{front}:{ORCHESTRATOR.parent}:{os.environ['PATH']}"} if front else {}
    bench = Bench(folder / "fleet", folder / "home", more)
    try:
        _write_inventory(bench.root, hosts)
        committed(bench)
        up = bench.run("lab", "up", seconds=900)
        assert up.rc == 0, up
        places = LabPlaces.of(bench.root)
        _write_flake(bench, places.nixpkgs, nixpkgs, activate)
        lab = BenchLab(bench, hosts, nixpkgs is not None, _keeper(places), places)
        first = lab.ours("deploy")
        assert first.rc == 0, first.said
        lab.learn()
        yield lab
    finally:
        bench.run("lab", "down", "--purge", seconds=300)
        shutil.rmtree(folder, ignore_errors=True)


def _keeper(places: LabPlaces) -> int:
    from orchestrator.lab.network import find_active
    from orchestrator.lab.record import load

    record = load(places.record)
    assert record is not None, f"no lab in {labs_directory()}"
    active = find_active(record.fleet_root)
    assert active is not None
    return active.keeper


def _write_inventory(root: Path, hosts: Sequence[str]) -> None:
    """Each host is one of an existing flake: no templates, no generated files."""
    for name in PARTS:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(FLEET / name, target)
    for host in hosts:
        path = root / "hosts" / host / "default.nix"
        path.parent.mkdir(parents=True)
        path.write_text(_own("none"))
    inventory = root / "inventory/hosts.yaml"
    inventory.parent.mkdir()
    lines = [f"  {host}: {{}}\n" for host in hosts]
    inventory.write_text(f"defaults:\n  connect: {{user: root}}\nhosts:\n{''.join(lines)}")


def _write_flake(bench: Bench, standin: Path, nixpkgs: Path | None, activate: Path | None) -> None:
    """Write the inputs as store paths, lock them and commit."""
    inputs = [f'nixpkgs.url = "path:{to_store(standin, bench.environment)}";']
    if nixpkgs is None:
        inputs.append('real.follows = "nixpkgs";')
    else:
        inputs.append(f'real.url = "path:{to_store(nixpkgs, bench.environment)}";')
    if activate is not None:
        folder = bench.home / "activate"
        folder.mkdir()
        shutil.copy(activate, folder / "activate")
        stored = to_store(folder, bench.environment)
        inputs.append(f'activate = {{ url = "path:{stored}"; flake = false; }};')
    flake = bench.root / "flake.nix"
    body = "\n    ".join(inputs)
    flake.write_text(flake.read_text().replace("# @INPUTS@", f"inputs = {{\n    {body}\n  }};"))
    for argv in ((*NIX, "flake", "lock"), ("git", "add", "--all")):
        done = bench.command(*argv, seconds=600)
        assert done.rc == 0, done
    done = bench.command("git", "commit", "--quiet", "--message", "inputs")
    assert done.rc == 0, done


def to_store(folder: Path, env: Mapping[str, str]) -> str:
    """Add a folder to the store; one that is there already is taken as it is."""
    if str(folder).startswith("/nix/store/"):
        return str(folder)
    done = subprocess.run(
        (*NIX, "store", "add-path", "--name", "source", str(folder)),
        capture_output=True,
        text=True,
        env=env,
        check=True,
    )
    return done.stdout.strip()
