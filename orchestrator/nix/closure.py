"""``nix build``, and what Nix knows of what was built: closures, caches."""

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
from orchestrator.core.errors import StepError
from orchestrator.core.host import Cache
from orchestrator.core.nix_settings import PLAIN, NixSettings
from orchestrator.core.process import CommandResult
from orchestrator.core.store import DrvPath, OutPath
from orchestrator.core.units import parse_json, split_lines
from orchestrator.nix.verbs import OnLine, by_hand, failed, nix_argv

_CHECK_SECONDS = 120.0
_LOG = ("--log-format", "internal-json", "-v")


async def build(
    drvs: Sequence[DrvPath],
    *,
    builders: Sequence[str] = (),
    settings: NixSettings = PLAIN,
    env: Mapping[str, str | None] | None = None,
    on_stderr: OnLine | None = None,
) -> CommandResult:
    """Build derivations here with one ``nix build``; what fails does not stop the others.

    Nothing keeps the results from garbage collection but this process: see :func:`keep`.

    Args:
        drvs: What to build.
        builders: In place of those that Nix is set to use; nix.conf(5), ``builders``.
        settings: What the inventory says to Nix.
        env: Set on top of this process's environment.
        on_stderr: Called with each line that Nix says, in its JSON form.

    Returns:
        How it ended. There is no deadline: whoever waits has one.
    """
    argv = build_argv(drvs, builders, settings)
    return await process.run(argv, deadline=math.inf, env=env, on_stderr=on_stderr, bound=BUILD_LOG)


def build_argv(
    drvs: Sequence[DrvPath], builders: Sequence[str] = (), settings: NixSettings = PLAIN
) -> tuple[str, ...]:
    """The command line that builds derivations."""
    machines = ("--builders", " ; ".join(builders)) if builders else ()
    wanted = (f"{drv}^*" for drv in drvs)
    given = (*machines, *settings.building)
    return (*nix_argv("build", *_LOG), "--keep-going", "--no-link", *given, *wanted)


def build_by_hand(drv: DrvPath, builders: Sequence[str] = (), settings: NixSettings = PLAIN) -> str:
    """The command line for a person: one derivation, with the whole log of its builders."""
    argv = [word for word in build_argv((drv,), builders, settings) if word != "--keep-going"]
    return by_hand((*argv, "--print-build-logs"), None)


async def invalid(outs: Sequence[OutPath]) -> frozenset[OutPath]:
    """Which of some paths are not valid in the store here.

    Raises:
        StepError: Nix does not tell.
    """
    argv = ("nix-store", "--check-validity", "--print-invalid", *(out.path for out in outs))
    done = await process.run(argv, deadline=_CHECK_SECONDS)
    if done.rc != 0:
        raise failed(done, argv, "the store does not say what it has")
    return frozenset(OutPath.parse(line) for line in split_lines(done.out))


async def keep(out: OutPath, root: Path) -> bool:
    """Keep a path from garbage collection by a link to it.

    Returns:
        Whether it is valid; where not, nothing is built or fetched, and no link is made.

    Raises:
        StepError: It is valid, and the link could not be made.
    """
    if not Path(out.path).exists():
        return False
    only_here = ("--option", "substitute", "false")
    argv = ("nix-store", *only_here, "--realise", out.path, "--add-root", str(root))
    # The second time because a builder has its output there long before Nix calls it valid: that
    # may come between the two questions. Afterwards it stays valid, or goes for good.
    for _ in range(2):
        done = await process.run(argv, deadline=_CHECK_SECONDS)
        if done.rc == 0:
            return True
        if out in await invalid((out,)):
            return False
    raise failed(done, argv, "the system could not be kept from garbage collection")


async def keep_derivation(drv: DrvPath, root: Path) -> None:
    """Keep a derivation, and not what it builds, from garbage collection by a link to it.

    Raises:
        StepError: It is not in the store, or the link could not be made.
    """
    # Without `^*` the file itself is meant: nothing is built. nix(1), "Installables".
    argv = (*nix_argv("build"), "--out-link", str(root), drv.path)
    done = await process.run(argv, deadline=_CHECK_SECONDS)
    if done.rc != 0:
        raise failed(done, argv, "the derivation could not be kept from garbage collection")


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


async def closure_size(out: OutPath) -> int | None:
    """Sum up a closure that is in the store here, in bytes, as archives.

    Returns:
        ``None`` where Nix does not tell.
    """
    argv = (*nix_argv("path-info", "--offline", "--json", "--closure-size"), out.path)
    try:
        said = parse_json((await process.run(argv, deadline=_SECONDS)).stdout)
        (entry,) = said.values() if isinstance(said, dict) else said
        size = entry["closureSize"]
    except (StepError, ValueError, TypeError, KeyError):
        return None
    return size if isinstance(size, int) else None


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


async def substituters() -> tuple[str, ...]:
    """The binary caches that Nix is set to ask.

    Raises:
        StepError: Nix does not tell its settings.
    """
    # `config show` is the name since 2.20; before, it was `show-config`.
    for words in (("config", "show"), ("show-config",)):
        argv = (*nix_argv(*words), "substituters")
        done = await process.run(argv, deadline=60)
        if done.rc == 0:
            return tuple(done.out.split())
    raise failed(done, argv, "no settings from Nix")


async def answers(url: str, env: Mapping[str, str | None] | None = None) -> bool:
    """Whether a store or binary cache answers."""
    argv = (*nix_argv("store", "ping"), "--store", url)
    try:
        done = await process.run(argv, deadline=20, env=env)
    except StepError:
        return False
    return done.rc == 0
