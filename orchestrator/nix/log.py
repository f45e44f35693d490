"""What Nix prints: progress, errors, and whose a line of a build's log is."""

from __future__ import annotations

import re
import signal
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.store import DrvPath
from orchestrator.core.units import parse_json, split_lines

_PREFIX = b"@nix "
_VERBS = {100: "copying", 105: "building", 108: "fetching"}
_BUILD_LOG_LINE = 101
_OUT_OF_MEMORY = re.compile(
    r"^(?:.*: )?(?:error: out of memory|Can't start up: not enough memory)$"
    r"|^GC Warning: Out of Memory!|std::bad_alloc|Cannot allocate memory",
    re.MULTILINE,
)
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_COPYING = re.compile(r"copying path '(/nix/store/[^']+)' ")


Event = dict[str, object]


def event(line: bytes) -> Event | None:
    """The event that a line holds; ``None`` for any other line."""
    if not line.startswith(_PREFIX):
        return None
    try:
        read = parse_json(line.removeprefix(_PREFIX))
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def progress(line: bytes) -> str | None:
    """What Nix begins with this line: ``nginx-1.26`` being built, copied or fetched."""
    found = event(line)
    if found is None or found.get("action") != "start":
        return None
    fields = found.get("fields")
    if not isinstance(fields, list) or not fields:
        return None
    name = short_name(str(fields[0]))
    kind = found.get("type")
    verb = _VERBS.get(kind) if isinstance(kind, int) else None
    return f"{verb} {name}" if verb else None


def copying(line: bytes) -> str | None:
    """The name of the path that Nix begins to copy, by a plain line of its; ``None``: no such."""
    found = _COPYING.match(line.decode(errors="replace"))
    return short_name(found[1]) if found else None


def short_name(path: str) -> str:
    """A store path's or derivation's name, such as ``nginx-1.26``."""
    return re.sub(r"^/nix/store/[^-]*-", "", path).removesuffix(".drv")


def text(line: bytes) -> str | None:
    """What a person would read of this line: a message, a build's own output, a plain line."""
    found = event(line)
    if found is None:
        return None if line.startswith(_PREFIX) else _plain(line.decode(errors="replace"))
    if found.get("action") == "msg":
        return _plain(str(found.get("msg", "")))
    if found.get("action") == "result" and found.get("type") == _BUILD_LOG_LINE:
        fields = found.get("fields")
        return _plain(str(fields[0])) if isinstance(fields, list) and fields else None
    return progress(line)


def _plain(words: str) -> str:
    return _ANSI.sub("", words).rstrip()


def readable(stderr: str) -> str:
    """A whole standard error as a person would read it."""
    lines = (text(line.encode(errors="replace")) for line in split_lines(stderr))
    return "\n".join(line for line in lines if line)


def cause(stderr: str) -> str | None:
    """The innermost error of a trace, in one line: the last ``error:`` and what belongs to it."""
    found = list(re.finditer(r"^[^\S\n]*error:(.*)$", readable(stderr), re.MULTILINE))
    if not found:
        return None
    if said := found[-1][1].strip():
        return said.rstrip(":")
    rest = found[-1].string[found[-1].end() :].split()
    return " ".join(rest)[:300] or None


def ran_out_of_memory(rc: int, stderr: str) -> bool:
    """Whether Nix failed because memory was short.

    Its own words, those of its garbage collector (bdwgc), of C++ and of the kernel; or SIGKILL,
    which is all that the kernel's killer says.
    """
    if rc in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return True
    return rc != 0 and _OUT_OF_MEMORY.search(readable(stderr)) is not None


TAIL = 20
"""How many of a derivation's last lines are kept for the report of its failure."""

_LONGEST = 4000
"""Characters of each."""

_BUILDS = 104
_BUILD = 105
_COUNT = 105
_DRV = re.compile(r"/nix/store/[0-9a-z]{32}-[0-9A-Za-z+._?=-]+\.drv")
_PLANNED = re.compile(rf"  ({_DRV.pattern})")
# "Reason: …" since Nix 2.30; before, "builder for '…' failed with …".
_REASON = re.compile(r"^\s*Reason: (.*?)\.?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Failure:
    """A derivation that did not build.

    Attributes:
        drv: Its path.
        why: In one line.
        log: The end of what its builder said, and Nix of it.
    """

    drv: str
    why: str
    log: str

    @property
    def name(self) -> str:
        """Its name, such as ``nginx-1.26``."""
        return short_name(self.drv)


@dataclass(frozen=True, slots=True)
class Said:
    """What one line of Nix's says.

    Attributes:
        text: For a log; ``None`` where there is nothing to read.
        doing: What begins with it.
        drv: The derivation that it is about; ``None`` where it is about the whole.
        built: Whether one more derivation is in the store now, whichever.
        failed: Whether ``drv`` failed.
    """

    text: str | None = None
    doing: str | None = None
    drv: str | None = None
    built: bool = False
    failed: bool = False


class BuildLog:
    """Follows one ``nix build`` of several derivations.

    Args:
        wanted: What is built.
        inputs: Gives the derivations that a derivation needs.
    """

    def __init__(
        self, wanted: Sequence[DrvPath], inputs: Callable[[str], Iterable[str]] | None = None
    ) -> None:
        self._wanted = tuple(wanted)
        self._inputs = inputs or inputs_of
        self._planned: set[str] = set()
        self._activities: dict[object, str] = {}
        self._built: dict[object, int] = {}
        self._begun: dict[str, deque[str]] = {}
        self._failures: dict[str, Failure] = {}
        self._parts: dict[str, frozenset[str]] = {}

    def read(self, line: bytes) -> Said:
        """Take in the next line."""
        seen = event(line)
        if seen is None:
            return Said(text=text(line))
        match seen.get("action"):
            case "start" if seen.get("type") == _BUILD:
                return self._start(seen, line)
            case "start" if seen.get("type") == _BUILDS:
                self._built[_id(seen)] = 0
            case "stop":
                self._activities.pop(_id(seen), None)
                return Said()
            case "result" if seen.get("type") == _COUNT:
                return self._count(seen)
            case "result" if seen.get("type") == _BUILD_LOG_LINE:
                return self._builder_said(seen, line)
            case "msg":
                return self._message(seen, line)
        return Said(text=text(line), doing=progress(line))

    def concerns(self, said: Said, wanted: DrvPath) -> bool:
        """Whether a line is about what is built for ``wanted``; what nobody is seen to need, is."""
        if said.drv is None or said.drv in self._part(wanted):
            return True
        return not any(said.drv in self._part(other) for other in self._wanted)

    def count(self, wanted: DrvPath) -> str:
        """How far the part for ``wanted`` is, such as ``3 of 12``."""
        part = self._part(wanted)
        return f"{len(part & self._begun.keys())} of {len(part)}"

    def failure_of(self, wanted: DrvPath) -> Failure | None:
        """What failed of all that ``wanted`` needs: the first that did."""
        part = self._part(wanted)
        return next((found for drv, found in self._failures.items() if drv in part), None)

    def _start(self, event: Event, line: bytes) -> Said:
        fields = event.get("fields")
        if not isinstance(fields, list) or not fields or not isinstance(fields[0], str):
            return Said(text=text(line))
        drv = fields[0]
        machine = fields[1] if len(fields) > 1 else ""
        # A builder elsewhere begins, inside of what was begun here, the same once more.
        again = drv in self._activities.values()
        self._activities[_id(event)] = drv
        if again:
            return Said(drv=drv)
        self._begun.setdefault(drv, deque(maxlen=TAIL))
        if drv not in self._planned:
            self._plan(drv)
        doing = f"{progress(line)}{f' on {machine}' if machine else ''}"
        return Said(doing, doing, drv)

    def _count(self, event: Event) -> Said:
        """Nix counts what it has built; that a system's own build stopped it says much later."""
        fields, builds = event.get("fields"), _id(event)
        if builds not in self._built or not isinstance(fields, list) or not fields:
            return Said()
        before, self._built[builds] = self._built[builds], fields[0]
        return Said(built=fields[0] != before)

    def _builder_said(self, event: Event, line: bytes) -> Said:
        words, drv = text(line), self._activities.get(_id(event))
        if drv is None or words is None:
            return Said(text=words)
        self._begun[drv].append(words[:_LONGEST])
        return Said(f"{short_name(drv)}> {words}", None, drv)

    def _message(self, event: Event, line: bytes) -> Said:
        words = text(line) or ""
        if planned := _PLANNED.fullmatch(words):
            self._plan(planned[1])
            return Said(words, drv=planned[1])
        if event.get("level") != 0:
            return Said(words)
        # Of what an error names, what was begun is what failed; the others needed it.
        failed = next((drv for drv in _DRV.findall(words) if drv in self._begun), None)
        if failed is None:
            return Said(words)
        self._failures.setdefault(failed, self._failure(failed, words))
        return Said(words, drv=failed, failed=True)

    def _failure(self, drv: str, text: str) -> Failure:
        reason = _REASON.search(text)
        first = split_lines(text.strip())[0].removeprefix("error:").strip()
        why = reason[1] if reason else first.replace(f" for '{drv}'", "").replace(f" '{drv}'", "")
        return Failure(drv, why.rstrip(":"), "\n".join([*self._begun[drv], text[:_LONGEST]]))

    def _plan(self, drv: str) -> None:
        self._planned.add(drv)
        self._parts.clear()

    def _part(self, wanted: DrvPath) -> frozenset[str]:
        """What is built for ``wanted``: of what is planned, what can be reached from it."""
        if wanted.path not in self._parts:
            seen, left = set[str](), [wanted.path]
            while left:
                if (drv := left.pop()) not in seen:
                    seen.add(drv)
                    left += [other for other in self._inputs(drv) if other in self._planned]
            self._parts[wanted.path] = frozenset(seen & self._planned)
        return self._parts[wanted.path]


def _id(event: Event) -> object:
    number = event.get("id")
    return number if isinstance(number, int) else None


def inputs_of(drv: str) -> Sequence[str]:
    """The derivations that a derivation's file names; none where it cannot be read."""
    try:
        text = Path(drv).read_text(errors="replace")
    except OSError:
        return ()
    return [found for found in set(_DRV.findall(text)) if found != drv]
