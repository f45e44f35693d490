"""One lab host whose guard is spoken to by its verbs, past SSH and past the engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypeVar

from orchestrator.core import process
from orchestrator.core.host import Connect, Host
from orchestrator.core.plan import Goal
from orchestrator.core.process import CommandResult
from orchestrator.core.state import Attempt, AttemptState, HostState
from orchestrator.core.store import OutPath
from orchestrator.host.guard import orders
from orchestrator.host.guard.orders import GuardReply
from orchestrator.host.status import ask_state
from orchestrator.lab.faults import FaultOptions
from orchestrator.lab.lab import Lab

T = TypeVar("T")
NAME = "p1"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LEFT = (
    "ls -d /run/orchestrator/asked-* /nix/var/nix/gcroots/orchestrator/* "
    "/etc/systemd/system.control 2>/dev/null; "
    "systemctl list-units --plain --no-legend 'orchestrator-*'"
)

# A system of its own content: the first one, with a line more in `switch-to-configuration`.
MAKE = r"""
set -e
folder=/root/nixos-system-$2
rm -rf "$folder"
cp -r "$1" "$folder"
chmod -R u+w "$folder"
sed -i '2s|^system=[^ ]*|system=${0%/bin/*} system=${system%/activate}|' \
  "$folder/activate" "$folder"/bin/*
printf '%s\n' "$3" | sed -i '2r /dev/stdin' "$folder/bin/switch-to-configuration"
printf '%s' "$2" > "$folder/nixos-version"
nix-store --add "$folder"
rm -rf "$folder"
"""


class Inside:
    """Commands on a lab host, by its namespaces: no link and no sshd is between."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    async def run(
        self, argv: Sequence[str], *, deadline: float, stdin: bytes = b"", **_: object
    ) -> CommandResult:
        """Run a command as root; see :class:`orchestrator.core.executor.Executor`."""
        leader = self._lab.host(NAME).leader
        assert leader is not None, "the host is off"
        enter = ("nsenter", "--target", str(leader), "--all", "--", "env", "-i", PATH)
        return await process.run((*enter, *argv), deadline=deadline, stdin=stdin)

    def repeat(self, argv: Sequence[str]) -> str:
        """Give the command line."""
        return " ".join(argv)


@dataclass
class GuardHost:
    """The host.

    Attributes:
        lab: Its lab.
        first: The system that it was made with.
    """

    lab: Lab
    first: OutPath
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def inside(self) -> Any:
        """The way to it."""
        return Inside(self.lab)

    def sh(self, text: str, *arguments: str) -> str:
        """Run shell there and give what it prints; its exit code is not looked at."""
        argv = ("/bin/sh", "-c", text, "sh", *arguments)
        done = asyncio.run(self.inside.run(argv, deadline=60))
        return done.out.strip()

    def system(self, name: str, line: str = "") -> OutPath:
        """Make a system there; the line runs before all else in ``switch-to-configuration``."""
        return OutPath.parse(self.sh(MAKE, self.first.path, name, line))

    @property
    def state(self) -> HostState:
        """What it says of itself."""
        return self.do(ask_state(self.inside, Host(NAME, NAME, Connect("192.0.2.1"))))

    @property
    def systems(self) -> tuple[OutPath | None, OutPath | None, OutPath | None]:
        """Running, profile, boot default."""
        state = self.state
        return state.running, state.profile, state.boot_default

    def do(self, verb: Coroutine[Any, Any, T]) -> T:
        """Say something to it."""
        return asyncio.run(verb)

    def attempt(self, target: OutPath, goal: Goal = Goal.SWITCH, **more: Any) -> Attempt:
        """An attempt that may begin now."""
        seconds = {"activate_seconds": 20, "confirm_seconds": 30, "health_seconds": 30}
        return Attempt(
            token=f"{next(self.numbers)}-token",
            goal=goal,
            target=target,
            before=self.state,
            run=7,
            who="me@here",
            revision=None,
            began=datetime.now(UTC),
            **{**seconds, **more},
        )

    def start(self, target: OutPath, goal: Goal = Goal.SWITCH, **more: Any) -> Attempt:
        """Have the guard begin."""
        told = self.do(orders.start(self.inside, self.attempt(target, goal, **more)))
        assert told.attempt is not None
        return told.attempt

    def until(self, token: str, *states: AttemptState, seconds: float = 120) -> GuardReply:
        """Follow the attempt until it is in one of these states."""
        end = time.monotonic() + seconds
        state = AttemptState.RECORDED
        position, log = 0, ""
        while time.monotonic() < end:
            told = self.do(orders.await_(self.inside, token, state, 5, position))
            assert told.attempt is not None, told
            position, log = told.position, log + told.log
            state = told.attempt.state
            if state in states:
                return GuardReply(told.attempt, log, position)
            assert state.in_flight, told
        raise AssertionError(f"still {state} after {seconds} s")

    def ended(self, token: str, state: AttemptState, seconds: float = 120) -> Attempt:
        """Follow the attempt to its end, which must be this one and leave nothing behind."""
        ends = (AttemptState.DONE, AttemptState.RETURNED, AttemptState.STUCK)
        told = self.until(token, *ends, seconds=seconds)
        assert told.attempt is not None
        assert told.attempt.state is state, (told, self.journal())
        end = time.monotonic() + 60
        while left := self.sh(LEFT):
            assert time.monotonic() < end, left
        return told.attempt

    def checking(self, target: OutPath, goal: Goal = Goal.SWITCH, **more: Any) -> str:
        """Bring an attempt to where the guard waits for the confirmation; give its token."""
        token = self.start(target, goal, **more).token
        self.until(token, AttemptState.WAITING)
        told = self.do(orders.contact(self.inside, token))
        assert told.attempt is not None
        assert told.attempt.state is AttemptState.CHECKING
        return token

    def journal(self) -> str:
        """What the guard's units said."""
        return self.sh("journalctl --no-pager -o cat -u 'orchestrator-guard-*'")

    def kill_guard(self, token: str) -> None:
        """End the guard's shell, as if for want of memory."""
        self.sh(f"systemctl kill --kill-whom=main -s KILL orchestrator-guard-{token}.service")

    def fault(self, name: str, size: str = "16m") -> None:
        """Put a fault into it."""
        self.lab.fault(NAME, name, FaultOptions(size=size))

    def cut_power(self) -> None:
        """Cut its power."""
        self.fault("kill")

    def boot(self) -> None:
        """Switch it on again, and wait until it is up."""
        self.fault("start")
        assert self.lab.wait(NAME)

    def reset(self) -> None:
        """Bring it back to its first system, by hand."""
        first = self.first.path
        self.sh("systemctl stop 'orchestrator-guard-*'; rm -rf /run/orchestrator /run/broken")
        self.sh("rm -rf /var/lib/orchestrator /nix/var/nix/gcroots/orchestrator")
        self.sh("rm -rf /etc/systemd/system.control; systemctl daemon-reload")
        self.sh(f"nix-env --profile /nix/var/nix/profiles/system --set {first}")
        self.sh(f"{first}/bin/switch-to-configuration switch")
        self.sh("nix-env --profile /nix/var/nix/profiles/system --delete-generations old")
        self.sh("journalctl --rotate; journalctl --vacuum-time=1s")
        assert self.systems == (self.first,) * 3
