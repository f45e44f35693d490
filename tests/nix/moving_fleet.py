"""A fleet of one host in git, built as a person builds it; and Nix's caches, made to lie."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ORCHESTRATOR = Path(sys.executable).with_name("orchestrator")

# What it reads is the last that is copied, behind what takes a while. It builds a file that tells.
FLAKE = """{
  outputs = { self }: {
    nixosConfigurations."h".config.system.build.toplevel = derivation {
      name = "h";
      system = builtins.currentSystem or "@SYSTEM@";
      builder = "/bin/sh";
      args = [ "-c" "echo -n \\"$read\\" > $out" ];
      read = builtins.readFile ./zz/read;
      revision = self.rev or self.dirtyRev or "none";
    };
  };
}
"""
SYSTEM = f"{os.uname().machine}-linux"
TOPLEVEL = 'nixosConfigurations."h".config.system.build.toplevel'


# Whoever opens `aa/trigger` finds that `zz/read` became another file in the same moment.
MOVER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void move(const char *path) {
    size_t length = strlen(path);
    if (!strstr(program_invocation_short_name, getenv("MOVE_IN")))
        return;
    if (length >= 10 && strcmp(path + length - 10, "aa/trigger") == 0)
        rename(getenv("MOVE_FROM"), getenv("MOVE_TO"));
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest); \
        move(path); \
        return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name))(path, flags, mode); }
#define OPENAT(name) \
    int name(int at, const char *path, int flags, ...) { \
        va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest); \
        move(path); \
        return ((int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, #name)) \
            (at, path, flags, mode); }
OPEN(open) OPEN(open64) OPENAT(openat) OPENAT(openat64)
"""


@dataclass
class MovingFleet:
    """The fleet.

    Attributes:
        root: Its repository.
        more: More variables for who runs in it.
    """

    root: Path
    more: dict[str, str] = field(default_factory=dict)

    @property
    def cache(self) -> Path:
        """The person's cache of Nix's."""
        return self.root.parent / "cache/nix"

    @property
    def _env(self) -> dict[str, str]:
        home = self.root.parent
        return {
            **os.environ,
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_STATE_HOME": str(home / "state"),
            "ORCHESTRATOR_LEARN": "never",
            **self.more,
        }

    def git(self, *words: str) -> str:
        """Run git."""
        argv = ("git", "-C", self.root, *words)
        done = subprocess.run(argv, check=True, capture_output=True, text=True, env=self._env)
        return done.stdout.strip()

    def write(self, text: str, name: str = "zz/read") -> None:
        """Edit a file, by default the one that the host reads."""
        (self.root / name).parent.mkdir(exist_ok=True)
        (self.root / name).write_text(text)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command in the fleet."""
        return subprocess.run(
            (ORCHESTRATOR, *words),
            cwd=self.root,
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    def built(self, *words: str) -> str:
        """What the host's system, built by the command, has read."""
        done = self.run("deploy", "--goal", "build", "--json", *words)
        assert done.returncode == 0, done
        return self.read_by(json.loads(done.stdout.splitlines()[-1]))

    @staticmethod
    def read_by(report: dict[str, Any]) -> str:
        """What a system that a report names has read."""
        return Path(report["hosts"]["h"]["out_path"]).read_text()

    def nix(self, *words: str) -> str:
        """Run Nix as a person does, with the person's cache."""
        argv = ("nix", "--extra-experimental-features", "nix-command flakes", *words)
        done = subprocess.run(
            argv, cwd=self.root, env=self._env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done
        return done.stdout.strip()

    def evaluate(self) -> str:
        """Evaluate the host as a person does."""
        return self.nix("path-info", "--derivation", f".#{TOPLEVEL}")

    def edits_itself(self, text: str, program: str = "") -> None:
        """From now on: what the host reads becomes another file while a program reads the tree."""
        mover, other = self.root.parent / "mover.so", self.root.parent / "other"
        other.write_text(text)
        argv = ("cc", "-shared", "-fPIC", "-D_FORTIFY_SOURCE=0", "-x", "c", "-", "-o", mover)
        subprocess.run((*argv, "-ldl"), check=True, input=MOVER, text=True)
        self.more |= {"LD_PRELOAD": str(mover), "MOVE_IN": program}
        self.more |= {"MOVE_FROM": str(other), "MOVE_TO": str(self.root / "zz/read")}

    def meanwhile(self, text: str) -> None:
        """From now on: the file that the host reads is another one as soon as Nix evaluates."""
        shim = self.root.parent / "shims/nix"
        shim.parent.mkdir()
        edit = f'case "$*" in *path-info*) printf %s {text} > {self.root}/zz/read ;; esac'
        shim.write_text(f'#!/bin/sh\n{edit}\nexec {shutil.which("nix")} "$@"\n')
        shim.chmod(0o755)
        self.more["PATH"] = f"{shim.parent}:{os.environ['PATH']}"

    def swap_evaluations(self, other: str) -> None:
        """Put a derivation into each evaluation that Nix's evaluation cache has."""
        value = (other, f"={Path(other).name}")
        for file in self.cache.glob("eval-cache-*/*.sqlite"):
            with sqlite3.connect(file) as database:
                database.execute(
                    "UPDATE Attributes SET value = ?, context = ? WHERE name = 'drvPath'", value
                )

    def swap_sources(self, other: str) -> None:
        """Put a source into each place where Nix took down what it copied of a flake."""
        for folder in self.cache.glob("eval-cache-*"):
            shutil.rmtree(folder)
        for file in self.cache.glob("fetcher-cache-*.sqlite"):
            with sqlite3.connect(file) as database:
                database.execute(
                    "UPDATE Cache SET value = ? WHERE domain = 'fetchToStore'",
                    (json.dumps({"storePath": Path(other).name}),),
                )


def moving_fleet(root: Path) -> MovingFleet:
    """Make the fleet, in one commit."""
    root.mkdir()
    made = MovingFleet(root)
    made.write(FLAKE.replace("@SYSTEM@", SYSTEM), "flake.nix")
    made.write("hosts:\n  h: {address: 192.0.2.1}\n", "inventory/hosts.yaml")
    made.write("first")
    made.write("", "aa/trigger")
    made.git("init", "-q", "-b", "main")
    for key in ("user.name", "user.email"):
        made.git("config", key, "fleet")
    made.git("add", "-A")
    made.git("commit", "-q", "-m", "first")
    return made
