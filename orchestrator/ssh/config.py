"""Of which hosts ``ssh_config`` files say the same, so that they are read once for all of those.

A thousand hosts would be a thousand questions to ssh. What the files say is ssh's to find out; here
is only told where it comes out the same.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct, field

_LINE = re.compile(r"\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+)(.*?)\s*")
_WITHOUT_MEANING = frozenset({"hashknownhosts", "gssapiauthentication"})
"""Options without a meaning here: no key is written down, and GSSAPI is not spoken."""

LOCALE = frozenset({"LANG", "LC_*"})
"""Not sent, whatever ``SendEnv`` says: what hosts answer is read, and not by a person."""

_DEPTH = 16
"""ssh_config(5) lets files include files this deep."""


class _UntellableError(Exception):
    """It takes more than a host's name to tell what the files say of it."""


class _Block(Struct):
    """A ``Host`` block, or what stands before the first one of a file.

    Attributes:
        expands: Whether it has a ``%`` or a ``$`` whose meaning may be another for each host.
        words: The options in it, in lower case, and what is said of each first.
    """

    patterns: tuple[str, ...]
    expands: bool = False
    words: dict[str, str] = field(default_factory=dict)

    def holds(self, address: str) -> bool:
        """Whether it is said of a host: a pattern means it, and none with a ``!`` does."""
        found = {one.startswith("!") for one in self.patterns if _means(one, address)}
        return found == {False}


def _means(pattern: str, address: str) -> bool:
    """Whether a pattern means a host, be it to leave it out; only ``*`` and ``?`` are special."""
    literal = pattern.removeprefix("!").replace("[", "[[]")
    return fnmatch.fnmatchcase(address, literal)


class ConfigShape:
    """The ``Host`` blocks of some files, those that they include among them.

    Args:
        files: In order of precedence.

    Attributes:
        personal: The person's own file and what it includes, as far as they were read.
    """

    def __init__(self, files: Sequence[str]) -> None:
        self._blocks: list[_Block] | None
        self.personal: list[Path] = []
        try:
            self._blocks = [
                block
                for file in files
                for block in _blocks(
                    Path(file), _DEPTH, [] if _is_the_machines(Path(file)) else self.personal
                )
            ]
        except (_UntellableError, OSError, ValueError, RuntimeError):  # the last of `~nobody`
            self._blocks = None

    @functools.cached_property
    def words(self) -> frozenset[str] | None:
        """The options that the files name, in lower case; ``None``: it cannot be told."""
        if self._blocks is None:
            return None
        return frozenset(word for block in self._blocks for word in block.words)

    @property
    def keeps_own_algorithms(self) -> bool | None:
        """Whether ``HostKeyAlgorithms`` but takes from ssh's own list, or adds to it.

        ``None``: it cannot be told.
        """
        if self._blocks is None:
            return None
        values = (block.words.get("hostkeyalgorithms", "+") for block in self._blocks)
        return all(value.startswith(("+", "-")) for value in values)

    def key(self, address: str) -> tuple[bool, ...] | None:
        """Two hosts with the same key are told the same; of one without a key nothing is known."""
        # To ssh `?` is one byte.
        if self._blocks is None or not address.isascii():
            return None
        matches = tuple(block.holds(address) for block in self._blocks)
        expands = any(
            block.expands for block, match in zip(self._blocks, matches, strict=True) if match
        )
        return None if expands else matches

    def names(self, address: str) -> bool:
        """Whether ``HostName`` is said of a host: of each by itself, whatever it shares."""
        return any(
            "hostname" in block.words and block.holds(address) for block in self._blocks or ()
        )


def _is_the_machines(file: Path) -> bool:
    return file.is_relative_to("/etc/ssh")


def _blocks(file: Path, depth: int, seen: list[Path]) -> Iterator[_Block]:
    if depth == 0:
        raise _UntellableError
    seen.append(file)
    block = _Block(("*",))
    yield block
    for line in file.read_bytes().decode().replace("\r\n", "\n").split("\n"):
        text = line.strip(" \t").replace("\t", " ")
        if not text or (text.startswith("#") and text.isprintable()):
            continue
        found = _LINE.fullmatch(text)
        if found is None or _is_untellable(file, found[1].lower(), found[2]):
            raise _UntellableError
        word, rest = found[1].lower(), found[2]
        if _says_nothing_to_us(word, rest):
            continue
        block.words.setdefault(word, rest)
        if word == "host":
            block = _Block(tuple(rest.split()))
            yield block
        elif word == "include":
            for included in _included(rest.split()):
                yield from _blocks(included, depth - 1, seen)
        elif word != "controlpath" and re.search("[%$]", rest):
            block.expands = True


def _says_nothing_to_us(word: str, rest: str) -> bool:
    """Whether a line is one of those in Debian's own file, for which nobody need ask ssh."""
    if word == "sendenv":
        return LOCALE.issuperset(rest.split())
    return word in _WITHOUT_MEANING and rest in ("yes", "no")


def _is_untellable(file: Path, word: str, rest: str) -> bool:
    """Whether a line means another thing for each host, or to each who reads it."""
    if not rest.isprintable():
        return True
    match word:
        case "host":
            # Our patterns take a comma for a space, ssh's for a part of a name.
            return not rest.isascii() or bool(re.search("[\"'=#,\\\\]", rest))
        case "include":
            # A relative one is in ~/.ssh, or in /etc/ssh where the machine's own file has it.
            system = _is_the_machines(file)
            relative = any(not one.startswith(("/", "~/")) for one in rest.split())
            return bool(re.search("[\"'=#\\\\%$[]", rest)) or (system and relative)
        case "canonicalizehostname":
            return rest.lower() != "no"
        case _:
            return word == "match" or word == "canonicalizepermittedcnames"


def _included(patterns: Sequence[str]) -> Iterator[Path]:
    """The files that an ``Include`` names, as glob(3) finds and orders them for ssh."""
    for pattern in patterns:
        place = os.fsencode(Path("~/.ssh").expanduser() / Path(pattern).expanduser())
        # Path's own takes hidden files, and `**` for more than one folder.
        for name in sorted(glob.glob(place)):  # noqa: PTH207
            file = Path(os.fsdecode(name))
            if not file.is_file():
                raise _UntellableError
            yield file


def aliases(files: Sequence[str]) -> dict[str, str]:
    """The names in ``Host`` lines, without patterns, and the file that has each.

    It is for finding hosts, and tells nothing of a connection: a line or a file that is not
    understood is passed over.
    """
    found: dict[str, str] = {}
    for file in files:
        for name, place in _names(Path(file), _DEPTH):
            found.setdefault(name, place)
    return found


def _names(file: Path, depth: int) -> Iterator[tuple[str, str]]:
    try:
        text = file.read_bytes().decode(errors="replace") if depth else ""
    except OSError:
        return
    for line in text.split("\n"):
        said = _LINE.fullmatch(line)
        word, rest = (said[1].lower(), said[2]) if said else ("", "")
        if word == "host":
            names = (name.strip('"') for name in rest.partition("#")[0].split())
            yield from ((name, str(file)) for name in names if not re.search("[*?!,]", name))
        elif word == "include":
            with contextlib.suppress(_UntellableError, OSError, ValueError, RuntimeError):
                for included in _included(rest.replace('"', "").split()):
                    yield from _names(included, depth - 1)


@functools.lru_cache(maxsize=16)
def config_shape(files: tuple[str, ...]) -> ConfigShape:
    """Read the files once: what is changed while this process runs is not seen."""
    return ConfigShape(files)
