"""A derivation's closure, what Nix knows of paths, and caches that are filled with them."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.core import process
from orchestrator.core.bounds import BUILD_LOG
from orchestrator.core.foreign import parse_json
from orchestrator.core.host import Cache
from orchestrator.core.store import DrvPath, OutPath
from orchestrator.nix.verbs import OnLine, failed, nix_argv

_SECONDS = 300


@dataclass(frozen=True, slots=True)
class PathInfo:
    """A valid path.

    Attributes:
        size: Of all that is in it, in bytes, as an archive.
        built_here: Whether this machine built it: it came from no cache and no other builder.
    """

    size: int
    built_here: bool


async def path_infos(paths: Collection[str]) -> dict[str, PathInfo]:
    """Ask Nix for some paths; one that is not valid is left out.

    Raises:
        StepError: Nix does not tell.
    """
    if not paths:
        return {}
    argv = (*nix_argv("path-info", "--offline", "--json"), "--stdin")
    given = "".join(f"{path}\n" for path in sorted(paths)).encode()
    done = await process.run(argv, deadline=_SECONDS, stdin=given)
    if done.rc != 0:
        raise failed(done, argv, "the store does not say what it has")
    return parse(parse_json(done.stdout))


def parse(said: Any) -> dict[str, PathInfo]:
    """Read what ``nix path-info --json`` says: a list, and since Nix 2.19 a set by path."""
    entries: Iterable[tuple[str, Mapping[str, Any] | None]]
    entries = said.items() if isinstance(said, dict) else ((one["path"], one) for one in said)
    return {
        path: PathInfo(one["narSize"], one.get("ultimate", False))
        for path, one in entries
        if one is not None and "narSize" in one
    }


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


async def sign(outs: Sequence[OutPath], cache: Cache) -> None:
    """Sign closures in the store here; Nix reads the key from the cache's file.

    Raises:
        StepError: There is no such file or no key in it, or the store lets nobody sign.
    """
    assert cache.secret_key is not None
    verb = nix_argv("store", "sign", "--recursive", "--key-file", cache.secret_key)
    argv = (*verb, *(out.path for out in outs))
    done = await process.run(argv, deadline=math.inf)
    if done.rc != 0:
        error = failed(done, argv, f"the cache {cache.name!r}: signing failed")
        error.hint = (
            "is the file of `secret_key` yours to read, and are you one of Nix's trusted-users?"
        )
        raise error


async def push(
    outs: Sequence[OutPath],
    cache: Cache,
    *,
    env: Mapping[str, str | None] | None = None,
    on_stderr: OnLine | None = None,
) -> None:
    """Copy closures to a cache; what it has already is not sent.

    ``--refresh``: what Nix remembers of a cache may be a month old.

    Raises:
        StepError: It does not answer, or does not take them.
    """
    assert cache.push is not None
    argv = (
        *nix_argv("copy", "--log-format", "internal-json", "-v", "--no-check-sigs", "--refresh"),
        *("--to", cache.push, *(out.path for out in outs)),
    )
    done = await process.run(argv, deadline=math.inf, env=env, on_stderr=on_stderr, bound=BUILD_LOG)
    if done.rc != 0:
        error = failed(done, argv, f"the cache {cache.name!r} was not filled")
        error.hint = f"is {cache.push} up, and may you write there?"
        raise error
