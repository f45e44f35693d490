"""A git repository to be edited at random, and the kinds of flakes in it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from constructs import CONSTRUCTS, INPUTS, flake

_IDENTITY = {
    "GIT_AUTHOR_NAME": "fuzz",
    "GIT_AUTHOR_EMAIL": "fuzz",
    "GIT_COMMITTER_NAME": "fuzz",
    "GIT_COMMITTER_EMAIL": "fuzz",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
}

FILES = {
    "files/a.txt": "a\n",
    "files/b.txt": "b\n",
    "files/lines.txt": "one\r\ntwo\n",
    "files/big.bin": "big\n",
    'odd "ü"': "odd\n",
    "pointer": "a.txt\n",
    "data.json": '{"a": 1}',
    "mod/default.nix": "import ./other.nix",
    "mod/other.nix": "1 # \n",
    "auto/one.nix": "1 # \n",
    "auto/two.nix": "2 # \n",
    "d/one": "1\n",
    "d/sub/two": "2\n",
    "list/one": "1\n",
    "src/s1": "1\n",
    "src/s2": "2\n",
    "src/deep/s3": "3\n",
    "srcpath/p1": "1\n",
    "swap/x": "x\n",
    "flip": "flip\n",
    "bin/tool": "#!/bin/sh\n",
    "unused.txt": "unused\n",
    "deep/er/unused.txt": "unused\n",
    ".gitignore": "ignored.txt\n",
}
LINKS = {"d/link": "../files/a.txt", "dirlink": "d", "far/link": "/nowhere"}

_SUB = """{
  outputs = _: {
    text = builtins.readFile ./text;
    file = "${./text}";
    list = builtins.readDir ./.;
  };
}
"""


@dataclass(frozen=True)
class Kind:
    """One way to arrange a flake.

    Attributes:
        constructs: What it evaluates.
        folder: Where ``flake.nix`` is in the repository.
        head: What it says before ``outputs``.
        inputs: What its outputs take besides ``self``.
        files: What the repository has besides the common files.
        settings: git's configuration: key to value.
        submodule: Whether it has one.
        lock: Whether it has inputs: Nix writes ``flake.lock`` then.
        since: The first version of Nix that knows what it uses.
    """

    constructs: Mapping[str, str] = field(default_factory=lambda: CONSTRUCTS)
    folder: str = ""
    head: str = ""
    inputs: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    submodule: bool = False
    lock: bool = False
    since: tuple[int, int] = (2, 18)


_WITH_INPUT = {**{name: CONSTRUCTS[name] for name in ("readFile", "copyAll", "none")}, **INPUTS}
_INPUT = Kind(
    constructs=_WITH_INPUT,
    head='inputs.sub.url = "path:./sub";',
    inputs=", sub",
    files={"sub/flake.nix": _SUB, "sub/text": "text\n", "sub/unused": "\n"},
    lock=True,
)

KINDS = {
    "plain": Kind(),
    "subfolder": Kind(folder="nix"),
    "conversions": Kind(
        files={".gitattributes": "*.txt text eol=crlf\n*.bin filter=big\n"},
        settings={"filter.big.clean": "tr a-z A-Z", "filter.big.smudge": "tr A-Z a-z"},
    ),
    "submodule": Kind(submodule=True),
    "own-submodules": Kind(submodule=True, head="inputs.self.submodules = true;", since=(2, 27)),
    "input": _INPUT,
    "ignored-lock": Kind(
        **{**vars(_INPUT), "files": {**_INPUT.files, ".gitignore": "flake.lock\n"}}
    ),
}


class Repository:
    """A repository of one kind, made again.

    Args:
        root: Where; it is made.
        kind: What is in it.
    """

    def __init__(self, root: Path, kind: Kind) -> None:
        self.root = root
        self.kind = kind
        self.flake = root / kind.folder
        root.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        for key, value in {"protocol.file.allow": "always", **kind.settings}.items():
            self.git("config", key, value)
        for path, content in {**FILES, **kind.files}.items():
            self.write(path, content)
        for path, target in LINKS.items():
            (root / path).parent.mkdir(exist_ok=True)
            (root / path).symlink_to(target)
        at = "../" if kind.folder else ""
        text = flake(kind.constructs, at=at, head=kind.head, inputs=kind.inputs)
        self.write(f"{kind.folder}/flake.nix".lstrip("/"), text)
        if kind.submodule:
            self._add_submodule()
        self.git("add", "-A")
        self.commit()
        if kind.lock:
            nix("flake", "lock", cwd=self.flake)
            self.git("add", "-A")
            self.commit()

    def git(self, *words: str) -> bool:
        """Run git; whether it went well. Random edits may well be refused."""
        argv = ("git", "-c", "protocol.file.allow=always", "-C", str(self.root), *words)
        env = {**os.environ, **_IDENTITY}
        return subprocess.run(argv, capture_output=True, check=False, env=env).returncode == 0

    def commit(self, *options: str) -> None:
        """Commit what is staged."""
        self.git("commit", "-q", "-m", "edit", *options)

    def write(self, path: str, content: str) -> None:
        """Write a file, its folders too."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode())

    def _add_submodule(self) -> None:
        other = Repository.__new__(Repository)
        other.root = self.root.with_name(f"{self.root.name}-module")
        other.root.mkdir()
        other.git("init", "-q", "-b", "main")
        other.write("inside", "inside\n")
        other.git("add", "-A")
        other.commit()
        self.git("submodule", "add", "-q", str(other.root), "module")


def nix(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Nix."""
    argv = ("nix", "--extra-experimental-features", "nix-command flakes", *words)
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=cwd)
