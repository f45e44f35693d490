"""What an inventory says to Nix: where flakes are, how they are evaluated, and who builds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.core import nix_settings
from orchestrator.core.nix_settings import NixSettings
from orchestrator.inventory.compose import Node, Scalar, Sequence
from orchestrator.inventory.containers import Key, ListOf, Pairs, Record
from orchestrator.inventory.kinds import Boolean, JsonSchema, Reading, Text
from orchestrator.inventory.tree import Fields, Items, Leaf, Mistakes, Tree, quoted

PATH = r"[^\x00-\x20\x7f-][^\x00-\x1f\x7f]{0,1023}"
RELATIVE = r"(?!/|\.\.(?:/|$)|.*/\.\.(?:/|$))" + PATH
FLAKE = Text(
    "a path relative to the fleet's root, or a flake URL without '#'",
    r"[^\x00-\x20\x7f#-][^\x00-\x20\x7f#]{0,1023}",
)


@dataclass(frozen=True, slots=True)
class OptionValue:
    """The value of an option of Nix's, read as ``nix.conf`` has it: words are one text."""

    text: Text

    def read(self, node: Node, reading: Reading) -> Tree | None:
        """Read a boolean, a whole number, a text, or a list of texts."""
        match node:
            case Scalar(value=bool() as value):
                return reading.leaf(str(value).lower(), node)
            case Scalar(value=int() as number):
                return reading.leaf(str(number), node)
            case Sequence(items=items):
                words = [self.text.read(item, reading) for item in items]
                said = [str(word.value) for word in words if isinstance(word, Leaf)]
                return reading.leaf(" ".join(said), node)
            case _:
                return self.text.read(node, reading)

    def schema(self) -> JsonSchema:
        """One of these."""
        text = self.text.schema()
        return {"anyOf": [{"type": ["boolean", "integer"]}, text, {"type": "array", "items": text}]}


_OPTION = Text("an option that may be given here", "|".join(nix_settings.OPTIONS))
_OPTION_VALUE = Text("true, false, a number, or a text on one line", r"[^\x00-\x1f\x7f]{0,4096}")
NIX = Record(
    "nix",
    (
        Key(
            "impure",
            Boolean(),
            "Whether its evaluation may read the environment and any file; never recalled then.",
        ),
        Key(
            "accept_flake_config",
            Boolean(),
            "Whether what its flake says under nixConfig holds while it is evaluated.",
        ),
        Key(
            "override_inputs",
            Pairs(
                "input",
                Text("an input's name", r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,127}"),
                Text("./PATH from the fleet's root, or a flake URL without '#'", FLAKE.pattern),
            ),
            "By input, what stands in for it.",
        ),
        Key(
            "options",
            Pairs(
                "option of Nix's",
                _OPTION,
                OptionValue(_OPTION_VALUE),
                nix_settings.OPTIONS,
                nix_settings.REFUSED,
            ),
            "Options of Nix's, as nix.conf has them.",
        ),
    ),
)


SECRETS = Record(
    "secrets",
    (
        Key(
            "fetch",
            ListOf(
                Text(
                    "the beginning of a URL, such as https://github.com/NixOS/nixpkgs/archive/",
                    r"(?:https|git\+https|github|gitlab|sourcehut):[^\x00-\x20\x7f\"']{3,512}",
                )
            ),
            "What secrets.nix may fetch while it is read; else nothing.",
        ),
        Key(
            "rules",
            ListOf(Text("a path relative to the fleet's root, without '..'", RELATIVE)),
            "The files of agenix's rules, where they are not found by their places.",
        ),
    ),
)


def _words(*patterns: str) -> str:
    """Words after the first: each may be ``-`` or, with all that follow it, left out."""
    if not patterns:
        return ""
    first, *rest = patterns
    return rf"(?: (?:-|{first}){_words(*rest)})?"


# Store, systems, ssh key, jobs, speed, features, mandatory features, public host key:
# https://nix.dev/manual/nix/latest/command-ref/conf-file#conf-builders
_LABELS = r"[A-Za-z0-9_.:-]{1,64}(?:,[A-Za-z0-9_.:-]{1,64}){0,31}"
_MACHINE = r"(?:ssh|ssh-ng)://[^\x00-\x20\x7f;#\"']{1,512}" + _words(
    _LABELS,
    r"/[^\x00-\x20\x7f;#\"']{1,512}",
    r"[0-9]{1,4}",
    r"[0-9]{1,4}(?:\.[0-9]{1,3})?",
    _LABELS,
    _LABELS,
    r"[A-Za-z0-9+/]{16,4096}={0,2}",
)
BUILDER = Text(
    "a line of Nix's machines file, such as "
    "'ssh-ng://build@host x86_64-linux /root/.ssh/key 4', with one space between two words",
    _MACHINE,
)


def settings_of(root: Path, values: Mapping[str, Any]) -> NixSettings:
    """What a layer's ``nix`` says; paths in it are relative to the fleet's root."""
    inputs = values.get("override_inputs", {})
    return NixSettings(
        impure=values.get("impure", False),
        accept_flake_config=values.get("accept_flake_config", False),
        override_inputs=tuple(sorted((name, _input(root, url)) for name, url in inputs.items())),
        options=tuple(sorted(values.get("options", {}).items())),
    )


# A name without a dot or a kind is one of the registry's.
_FOLDER = re.compile(r"(?P<kind>path:|(?=\.{0,2}(?:/|$|\?)))(?P<path>[^?]+)(?P<query>(?:\?.*)?)")


def _input(root: Path, url: str) -> str:
    """What stands in for an input, wherever Nix is started."""
    found = _FOLDER.fullmatch(url)
    return f"{found['kind']}{(root / found['path']).resolve()}{found['query']}" if found else url


# https://nix.dev/manual/nix/latest/command-ref/new-cli/nix3-flake#url-like-syntax
_URL = re.compile(r"[a-z][a-z0-9+.-]*:.*")
# A work tree on this machine, by whatever name: what Nix makes of it is the same.
_WORK_TREE = re.compile(r"(?:git\+file:(?://(?=/))?|)(?P<path>[^?]+?)/?(?:\?dir=(?P<dir>[^&?]+))?")


def flake_of(root: Path, text: str) -> str:
    """A flake by its absolute folder, or by its URL where it is in no work tree of this machine."""
    named = _WORK_TREE.fullmatch(text)
    if (named is None or _URL.fullmatch(named["path"])) and _URL.fullmatch(text):
        return text
    if named is None or (root / text).is_dir():
        return str((root / text).resolve())
    return str((root / named["path"] / (named["dir"] or "")).resolve())


def check_flakes(root: Path, sections: Fields, mistakes: Mistakes) -> None:
    """Note each flake that is named and is in no folder of this machine's, although it should be.

    What Nix takes for it: the folder's own ``flake.nix``, or that of a folder above it.
    """
    hosts = sections.get("hosts")
    for said in (sections.get("fleet"), *(hosts.get(name) for name in hosts.keys)):
        named = said.leaf("flake")
        if named is None or named.origin.place is None:
            continue
        folder = flake_of(root, str(named.value))
        if not folder.startswith("/") or _has_flake(Path(folder)):
            continue
        others = sorted(_flakes(root))
        mistakes.add(
            named.origin.place,
            f"the flake {quoted(str(named.value))}: there is no flake.nix in {folder}",
            f"a folder that has one{': ' if others else ''}{', '.join(others[:_SHOWN])}",
            meant=(str(named.value), others),
        )


def check_rules(root: Path, sections: Fields, mistakes: Mistakes) -> None:
    """Note each file of agenix's rules that is named and is not there."""
    said = sections.get("secrets").entries.get("rules")
    for named in said.items if isinstance(said, Items) else ():
        if named.origin.place is not None and not (root / str(named.value)).is_file():
            mistakes.add(
                named.origin.place,
                f"the rules {quoted(str(named.value))}: there is no such file",
                "a secrets.nix, relative to the fleet's root",
            )


_SHOWN = 5


def _has_flake(folder: Path) -> bool:
    """Whether Nix finds a flake from a folder: it goes up, as far as the repository."""
    for place in (folder, *folder.parents):
        if (place / "flake.nix").is_file():
            return folder.is_dir()
        if (place / ".git").exists():
            break
    return False


def _flakes(root: Path) -> Iterator[str]:
    """Where there are flakes: in the fleet's root, and up to two folders deep."""
    for depth in ("", "*/", "*/*/"):
        for file in root.glob(f"{depth}flake.nix"):
            yield str(file.parent.relative_to(root))
