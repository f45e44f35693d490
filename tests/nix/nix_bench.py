"""Evaluations for the tests: of an expression over a module system, of a fleet's flake."""

from __future__ import annotations

import itertools
import json
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
STANDIN = REPOSITORY / "orchestrator/lab/nixpkgs"
HOSTS = frozenset({"p620", "razer", "samsung", "p510", "dex5550"})
FLEET_PARTS = ("flake.nix", "inventory", "templates", "hosts", "secrets", "README.md")

# In scope of every expression, beside all of `lib`.
PRELUDE = """
with lib;
let
  t = types;
  evaluate = modules: evalModules { inherit modules; };
  config = modules: removeAttrs (evaluate modules).config [ "_module" ];
  # Definitions d1, d2, … of options, each a module in a file of its own.
  given = options: definitions: config (
    [ { _file = "declared.nix"; inherit options; } ]
    ++ imap1 (n: config: { _file = "d${toString n}.nix"; inherit config; }) definitions
  );
  # Definitions of one option `it`.
  it = type: values:
    (given { it = mkOption { inherit type; }; } (map (it: { inherit it; }) values)).it;
in
"""


@dataclass(frozen=True, slots=True)
class Modules:
    """A `lib` with a module system."""

    lib: Path

    @classmethod
    def chosen(cls) -> Modules:
        """Return the stand-in's, unless a real one is to be held against the same promises."""
        return cls(Path(os.environ.get("NIXPKGS_LIB", STANDIN / "lib")))

    @property
    def is_standin(self) -> bool:
        """Whether this is the stand-in's."""
        return self.lib == STANDIN / "lib"

    def _run(self, expression: str) -> subprocess.CompletedProcess[str]:
        written = f"let lib = import {self.lib}; in {PRELUDE} {expression}"
        argv = ("nix-instantiate", "--store", "dummy://", "--eval", "--strict", "--json")
        return subprocess.run(
            (*argv, "--expr", written), capture_output=True, text=True, timeout=60, check=False
        )

    def value(self, expression: str) -> Any:
        """Evaluate to a value."""
        done = self._run(expression)
        assert done.returncode == 0, f"{expression}\n{done.stderr}"
        return json.loads(done.stdout)

    def error(self, expression: str) -> str:
        """Evaluate to an error, and return what it says; a crash or endless recursion is none."""
        done = self._run(expression)
        assert done.returncode == 1, f"{expression}\n{done.returncode} {done.stdout} {done.stderr}"
        assert "infinite recursion" not in done.stderr, done.stderr
        return done.stderr.rpartition("error:")[2]


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet's folder, evaluated on the stand-in.

    Attributes:
        home_manager: In the place of Home Manager's stand-in, which is in that of nixpkgs.
    """

    root: Path
    nixpkgs: Path
    home_manager: Path | None = None

    @property
    def inputs(self) -> tuple[tuple[str, str], ...]:
        """What the flake's inputs are: their names, and what stands in for each."""
        home_manager = self.home_manager or self.nixpkgs / "home-manager"
        return (
            ("nixpkgs", f"path:{self.nixpkgs}"),
            ("home-manager", f"path:{home_manager}"),
            ("agenix", f"path:{self.nixpkgs}"),
        )

    def pin(self) -> None:
        """Have the flake itself name what stands in for its inputs."""
        path = self.root / "flake.nix"
        text = path.read_text()
        for name, url in self.inputs:
            text, count = re.subn(rf'github:[^"/]+/{name}[^"]*', url, text)
            assert count == 1, name
        path.write_text(text)

    def nix(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Nix on the fleet's flake: purely, and without a lock file."""
        overrides = (("--override-input", name, url) for name, url in self.inputs)
        return subprocess.run(
            (
                *("nix", *arguments, "--no-write-lock-file", "--no-eval-cache"),
                *itertools.chain.from_iterable(overrides),
            ),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def evaluate(self, attribute: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Evaluate an attribute of the flake."""
        return self.nix("eval", "--json", f"path:{self.root}#{attribute}", *more)

    def systems(self) -> dict[str, str]:
        """Each host's derivation."""
        apply = "builtins.mapAttrs (_: host: host.config.system.build.toplevel.drvPath)"
        done = self.evaluate("nixosConfigurations", "--apply", apply)
        assert done.returncode == 0, done.stderr
        found: dict[str, str] = json.loads(done.stdout)
        return found

    def option(self, host: str, path: str) -> Any:
        """Return an option's value on a host."""
        done = self.evaluate(f"nixosConfigurations.{host}.config.{path}")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def error(self, host: str) -> str:
        """Return what a host that does not evaluate says."""
        done = self.evaluate(f"nixosConfigurations.{host}.config.system.build.toplevel.drvPath")
        assert done.returncode == 1, done
        return done.stderr

    def replace(self, name: str, before: str, after: str) -> None:
        """Edit a file as a person does; the text must be there."""
        path = self.root / name
        text = path.read_text()
        assert before in text, f"{name} has no {before!r}"
        path.write_text(text.replace(before, after, 1))

    def module(self, host: str, body: str) -> Path:
        """Add a module to a host, in a file of its own; return the file."""
        path = self.root / f"hosts/{host}/added.nix"
        path.write_text(body)
        default = f"hosts/{host}/default.nix"
        self.replace(
            default, "./hardware-configuration.nix", "./hardware-configuration.nix ./added.nix"
        )
        return path


def example_fleet(root: Path, nixpkgs: Path) -> Fleet:
    """Copy the repository's own fleet, without git: Nix sees the files as they are."""
    root.mkdir()
    for part in FLEET_PARTS:
        source = REPOSITORY / part
        if source.is_dir():
            shutil.copytree(source, root / part, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, root / part)
    return Fleet(root, nixpkgs)


def copy_of_the_tool(fleet: Fleet) -> None:
    """Put the tool beside the fleet, as the repository has both."""
    for part in ("nix", "orchestrator", "tests/vm"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / part, fleet.root / part, ignore=ignored)
    for part in ("pyproject.toml", "LICENSE"):
        shutil.copy(REPOSITORY / part, fleet.root / part)


def this_machine() -> str:
    """This machine's system, as Nix names it."""
    return f"{platform.machine()}-linux"
