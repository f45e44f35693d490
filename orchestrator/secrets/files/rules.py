"""What ``secrets.nix`` says, evaluated once and restricted; a text tried in its place."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import posixpath
import re
import secrets
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.core.process import how_it_ended
from orchestrator.core.units import parse_json
from orchestrator.nix.log import cause, ran_out_of_memory, readable
from orchestrator.secrets.age import keys as age_keys
from orchestrator.secrets.model.ciphertext import Recipient
from orchestrator.secrets.model.repository import Rule, Rules

DEADLINE = 30.0
"""Seconds; a thousand rules take 21 ms."""

MEMORY = 2**30
"""Bytes of address space that Nix may have."""

FETCHING_DEADLINE = 300.0
"""Seconds where something may be fetched: nixpkgs has 40 MB."""

FETCHING_MEMORY = 4 * MEMORY
"""Bytes of address space likewise: what is fetched is evaluated, too."""

_RESTRICTED = (
    *("--option", "restrict-eval", "true"),
    *("--option", "allow-import-from-derivation", "false"),
)
# No store is needed, and none is asked.
_ALONE = ("--store", "dummy://", "--readonly-mode", "--option", "download-attempts", "1")
# `builtins.findFile` takes a URL, which restricted mode lets pass: nobody is at this proxy.
_NOBODY = {
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:0"),
    **dict.fromkeys(("HTTPS_PROXY", "ALL_PROXY", "no_proxy", "NO_PROXY"), None),
}


_TYPES = {
    "bool": "a boolean",
    "float": "a float",
    "int": "an integer",
    "lambda": "a function",
    "list": "a list",
    "null": "null",
    "path": "a path",
    "set": "a set",
    "string": "a string",
}


class RulesError(StepError):
    """A ``secrets.nix`` that says nothing usable."""


async def evaluate(
    file: Path,
    root: Path,
    fetch: Sequence[str] = (),
    *,
    deadline: float | None = None,
    memory: int | None = None,
) -> Rules:
    """Read the rules of a ``secrets.nix``; the names in it are relative to its folder.

    Args:
        file: The ``secrets.nix``.
        root: The repository: Nix reads nothing outside it.
        fetch: Beginnings of URLs that may be fetched, into this machine's store; and then read.
        deadline: Seconds after which Nix is stopped.
        memory: Bytes of address space after which it is refused more.

    Raises:
        RulesError: It does not evaluate, not in time, or to something else than a set.
    """
    file, root = file.resolve(), root.resolve()
    by_hand = shlex.join(("nix-instantiate", "--eval", "--strict", str(file)))
    deadline = deadline or (FETCHING_DEADLINE if fetch else DEADLINE)
    memory = memory or (FETCHING_MEMORY if fetch else MEMORY)
    reach = ("--option", "allowed-uris", " ".join(fetch)) if fetch else _ALONE
    argv = (
        *("nix-instantiate", "--eval", "--strict", "--json", *_RESTRICTED, *reach),
        *("-I", f"repository={root}", "-E", _wrapper(), "--argstr", "file", str(file)),
    )
    limit = functools.partial(process.limit_memory, size=memory)
    try:
        done = await process.run(
            argv, deadline=deadline, cwd=str(root), env=None if fetch else _NOBODY, on_start=limit
        )
    except StepError as error:
        raise RulesError(f"is not evaluated: {error.message}", command=by_hand) from error
    if ran_out_of_memory(done.rc, done.err):
        raise RulesError(f"its evaluation takes more than {memory >> 20} MiB", command=by_hand)
    if done.rc != 0:
        why = cause(done.err) or how_it_ended(done.rc)
        raise RulesError(
            f"does not evaluate: {why}",
            hint=_what_to_do(why),
            command=by_hand,
            stderr=readable(done.err),
        )
    said = parse_json(done.stdout)
    if "entries" not in said:
        raise RulesError(f"is {_TYPES[said['type']]}, not a set of rules", command=by_hand)
    folder = os.path.relpath(file.parent, root)
    return Rules(
        file=str(file),
        root=str(root),
        rules=tuple(_rule(folder, one["name"], one["said"]) for one in said["entries"]),
    )


_URI = re.compile(r"access to URI '([^']+)' is forbidden")
_OUTSIDE = re.compile(r"access to (?:absolute )?path '[^']+' is forbidden")
_LOOKED_UP = re.compile(r"file '([^']+)' was not found in the Nix search path")


def _what_to_do(why: str) -> str | None:
    """What to do about a rule that reaches out: it is read by whoever deploys, and so kept in."""
    if found := _URI.search(why):
        return (
            "secrets.nix fetches nothing, unless the inventory allows it by the beginning of its "
            f"URL: `secrets: {{fetch: [{_beginning(found[1])}]}}`; or write the keys down plainly"
        )
    if _OUTSIDE.search(why):
        return "it is kept to its repository: copy what it reads into that"
    if found := _LOOKED_UP.search(why):
        return (
            f"NIX_PATH does not name <{found[1]}>: set it, or write the keys down without; "
            "a fetchTarball is allowed by `secrets: {fetch: [URL]}` in the inventory"
        )
    return None


def _beginning(url: str) -> str:
    """The folder that a URL is in: a pin that moves stays allowed."""
    return re.sub(r"(?<=[^/:]/)[^/]*$", "", url.partition("?")[0])


@functools.cache
def _wrapper() -> str:
    return Path(__file__).with_name("wrap.nix").read_text()


def _rule(folder: str, name: str, said: dict[str, Any] | None) -> Rule:
    path = _path(folder, name)
    if said is None:
        return Rule(path, (), (), error="its entry throws an error")
    found: list[Recipient] = []
    unusable: list[tuple[str, str]] = []
    for key in said["keys"]:
        parsed = _recipient(key)
        if isinstance(parsed, Recipient):
            found.append(parsed)
        else:
            unusable.append(parsed)
    return Rule(
        path,
        keys=tuple(key for key in said["keys"] if isinstance(key, str)),
        recipients=tuple(found),
        unusable=tuple(unusable),
        armor=said["armor"] is True,
        error=_wrong_shape(said),
    )


def _path(folder: str, name: str) -> str:
    """A name as a path from the root; one that leads out stays as it is, for the check to see."""
    if name.startswith("/") or ".." in name.split("/"):
        return name
    return posixpath.normpath(posixpath.join(folder, name))


def _wrong_shape(said: dict[str, Any]) -> str | None:
    if said["type"] != "set":
        return f"its entry is {_TYPES[said['type']]}, not a set"
    if said["keysType"] == "null":
        return "its entry has no publicKeys"
    if said["keysType"] != "list":
        return f"its publicKeys is {_TYPES[said['keysType']]}, not a list"
    if said["count"] > len(said["keys"]):
        return f"its publicKeys has {said['count']} keys, more than are read"
    if isinstance(said["armor"], dict):
        return f"its armor is {_TYPES[said['armor']['type']]}, neither true nor false"
    return None


@functools.lru_cache(maxsize=4096)
def _parsed(key: str) -> Recipient | str:
    try:
        return age_keys.parse(key)
    except ValueError as error:
        return str(error)


def _recipient(key: str | dict[str, Any]) -> Recipient | tuple[str, str]:
    match key:
        case str():
            parsed = _parsed(key)
            return parsed if isinstance(parsed, Recipient) else (key, parsed)
        case {"length": int(length)}:
            return "", f"has {length} characters, which no key has"
        case _:
            return "", f"is {_TYPES[key['type']]}, not a string"


_BINDING = re.compile(
    r"(?<![\w.\"'-])([A-Za-z_][\w'-]{0,63})\s*=\s*"
    r'"((?:ssh|sk|ecdsa)-[^\s"]+ [^\s"]+|age1[^\s"]+)[ "]'
)
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
_MOST_TEXT = 2**20
"""Bytes of a ``secrets.nix`` that are looked through for names."""


def names_in(file: Path) -> dict[str, str]:
    """What a ``secrets.nix`` itself calls keys: key → the name that it is bound to there.

    Nix's values have no names: they are looked for in the text, and one that is bound twice has the
    first. Names of lists, or of other files, are not found.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(_MOST_TEXT).decode(errors="replace")
    except OSError:
        return {}
    names: dict[str, str] = {}
    for name, key in _BINDING.findall(_COMMENT.sub("", text)):
        names.setdefault(key, name)
    return names


_NAME = re.compile(r"\.orchestrator-[0-9a-f]{8}\.nix")


@contextlib.contextmanager
def candidate(file: Path, text: bytes) -> Iterator[Path]:
    """Write a text beside a ``secrets.nix``, for as long as it is tried.

    Raises:
        StepError: It cannot be written.
    """
    tried = file.with_name(f".orchestrator-{secrets.token_hex(4)}.nix")
    try:
        with _written(tried, text):
            yield tried
    finally:
        tried.unlink(missing_ok=True)


def _written(tried: Path, text: bytes) -> BinaryIO:
    """Write a new file; it is locked until it is closed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        opened = os.fdopen(os.open(tried, flags, 0o600), "wb")
        fcntl.flock(opened, fcntl.LOCK_EX)
        opened.write(text)
        opened.flush()
    except OSError as error:
        raise StepError(
            f"no rule can be tried in {tried.parent}: {error.strerror}",
            hint="is the disk full, or the folder another user's?",
        ) from error
    return opened


def sweep(folder: Path) -> tuple[Path, ...]:
    """Remove what killed processes left of such files, and say which.

    Args:
        folder: That of ``secrets.nix``.

    Raises:
        OSError: The folder cannot be read or written.
    """
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return tuple(path for path in sorted(found) if _remove_if_left(path))


def _remove_if_left(path: Path) -> bool:
    """Remove one that nobody has locked; a link, or another kind of file, is not ours."""
    if path.is_symlink() or not path.is_file():
        return False
    with contextlib.suppress(BlockingIOError, FileNotFoundError), path.open("rb") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
        return True
    return False
