"""A build of several derivations at once: which line of its log is about which of them.

Nix says in its log which derivations it will build, and what each activity builds. A derivation's
file names its inputs. So the part of a build that is for one system is known without asking Nix.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.lines import split_lines
from orchestrator.core.store import DrvPath
from orchestrator.nix import log as nix_log

TAIL = 20
"""How many of a derivation's last lines are kept for the report of its failure."""

_LONGEST = 4000
"""Characters of each."""

_BUILDS = 104
_BUILD = 105
_LOG_LINE = 101
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
        return nix_log.short_name(self.drv)


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
        event = nix_log.event(line)
        if event is None:
            return Said(text=nix_log.text(line))
        match event.get("action"):
            case "start" if event.get("type") == _BUILD:
                return self._start(event, line)
            case "start" if event.get("type") == _BUILDS:
                self._built[_id(event)] = 0
            case "stop":
                self._activities.pop(_id(event), None)
                return Said()
            case "result" if event.get("type") == _COUNT:
                return self._count(event)
            case "result" if event.get("type") == _LOG_LINE:
                return self._builder_said(event, line)
            case "msg":
                return self._message(event, line)
        return Said(text=nix_log.text(line), doing=nix_log.progress(line))

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

    def _start(self, event: nix_log.Event, line: bytes) -> Said:
        fields = event.get("fields")
        if not isinstance(fields, list) or not fields or not isinstance(fields[0], str):
            return Said(text=nix_log.text(line))
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
        doing = f"{nix_log.progress(line)}{f' on {machine}' if machine else ''}"
        return Said(doing, doing, drv)

    def _count(self, event: nix_log.Event) -> Said:
        """Nix counts what it has built; that a system's own build stopped it says much later."""
        fields, builds = event.get("fields"), _id(event)
        if builds not in self._built or not isinstance(fields, list) or not fields:
            return Said()
        before, self._built[builds] = self._built[builds], fields[0]
        return Said(built=fields[0] != before)

    def _builder_said(self, event: nix_log.Event, line: bytes) -> Said:
        text, drv = nix_log.text(line), self._activities.get(_id(event))
        if drv is None or text is None:
            return Said(text=text)
        self._begun[drv].append(text[:_LONGEST])
        return Said(f"{nix_log.short_name(drv)}> {text}", None, drv)

    def _message(self, event: nix_log.Event, line: bytes) -> Said:
        text = nix_log.text(line) or ""
        if planned := _PLANNED.fullmatch(text):
            self._plan(planned[1])
            return Said(text, drv=planned[1])
        if event.get("level") != 0:
            return Said(text)
        # Of what an error names, what was begun is what failed; the others needed it.
        failed = next((drv for drv in _DRV.findall(text) if drv in self._begun), None)
        if failed is None:
            return Said(text)
        self._failures.setdefault(failed, self._failure(failed, text))
        return Said(text, drv=failed, failed=True)

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


def _id(event: nix_log.Event) -> object:
    number = event.get("id")
    return number if isinstance(number, int) else None


def inputs_of(drv: str) -> Sequence[str]:
    """The derivations that a derivation's file names; none where it cannot be read."""
    try:
        text = Path(drv).read_text(errors="replace")
    except OSError:
        return ()
    return [found for found in set(_DRV.findall(text)) if found != drv]
