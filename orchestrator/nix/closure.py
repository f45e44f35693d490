"""What a system is made from, as this machine's store has it: recipes, sources, small outputs.

A recipe is a derivation's file, a Nix ATerm; no process is started to read it. See
https://nix.dev/manual/nix/latest/protocols/derivation-aterm
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.store import DrvPath

# Outputs, inputs and sources come first. A path, a name or a hash has no character that would be
# escaped, so that a quotation mark ends each.
_WORD = rb'"[^"\\]*+"'
_WORDS = rb"\[(?:%b,?)*+\]" % _WORD
_HEAD = re.compile(
    rb"Derive\(\[(?P<outputs>(?:\((?:%b,?){4}\),?)*+)\]," % _WORD
    + rb"\[(?P<inputs>(?:\(%b,%b\),?)*+)\]," % (_WORD, _WORDS)
    + rb"(?P<sources>%b)," % _WORDS
)
_OUTPUT = re.compile(rb'\("[^"]*","([^"]*)","([^"]*)","[^"]*"\)')
_INPUT = re.compile(rb'\("([^"]+)",')
_SOURCE = re.compile(rb'"([^"]+)"')
_MENTIONED = re.compile(rb'"(/nix/store/[0-9a-z]{32}-[0-9A-Za-z+\-._?=]+\.drv)"')


@dataclass(frozen=True, slots=True)
class Recipe:
    """A derivation's file.

    Attributes:
        path: Where it is.
        text: All of it.
        inputs: The derivations that it needs.
        sources: Files in the store that it needs and that nothing builds.
        outputs: What it builds; empty where that is fetched, or not known before it is built.
    """

    path: str
    text: bytes
    inputs: tuple[str, ...]
    sources: tuple[str, ...]
    outputs: tuple[str, ...]

    @classmethod
    def parse(cls, path: str, text: bytes) -> Recipe:
        """Read one; of an unknown form only the derivations that it mentions are told."""
        head = _HEAD.match(text)
        if head is None:
            return cls(path, text, _texts(_MENTIONED.findall(text)), (), ())
        built = (out for out, method in _OUTPUT.findall(head["outputs"]) if out and not method)
        return cls(
            path,
            text,
            inputs=_texts(_INPUT.findall(head["inputs"])),
            sources=_texts(_SOURCE.findall(head["sources"])),
            outputs=_texts(built),
        )


def _texts(found: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(one.decode() for one in found)


def recipes(drvs: Iterable[DrvPath]) -> Iterator[Recipe]:
    """Read derivations and all that they need, each once; one at a time is in memory.

    Raises:
        OSError: One cannot be read: the store is not whole.
    """
    waiting = [drv.path for drv in drvs]
    seen = set(waiting)
    while waiting:
        path = waiting.pop()
        recipe = Recipe.parse(path, Path(path).read_bytes())
        yield recipe
        for needed in recipe.inputs:
            if needed not in seen:
                seen.add(needed)
                waiting.append(needed)


def regular_files(path: str) -> Iterator[Path]:
    """The regular files of a path in the store: itself, or what is below it; links lead nowhere."""
    top = Path(path)
    if top.is_symlink():
        return
    if not top.is_dir():
        yield top
        return
    for folder, _, names in os.walk(top):
        for name in names:
            file = Path(folder, name)
            if file.is_file() and not file.is_symlink():
                yield file
