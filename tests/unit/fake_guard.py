"""The guard of a host in memory: it decides as the real one does, one step for each look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.core.process import CommandResult
from orchestrator.core.store import OutPath
from orchestrator.host.guard import orders

if TYPE_CHECKING:
    from fake_host import FakeHost

ENDS = ("done", "returned", "stuck")


class FakeGuard:
    """What becomes of the last attempt.

    Attributes:
        lines: The attempt's, by key; empty where there was none.
        log: What activation said.
        proves: Whether it finds what is not so.
        opened_when_back: How many connections had been made when it began to go back.
    """

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.lines: dict[str, str] = {}
        self.log = ""
        self.proves = True
        self.opened_when_back = 0
        self._never: set[str] = set()

    @property
    def state(self) -> str:
        """How far it has come; empty where there was no attempt."""
        return self.lines.get("state", "")

    def text(self) -> str:
        """What STATE prints of it."""
        return "".join(f"attempt.{key}={value}\n" for key, value in self.lines.items())

    def say(self, verb: str, token: str, *rest: str) -> CommandResult:
        """Take a verb."""
        if verb == "start":
            return self._start(token, rest)
        if token != self.lines.get("token"):
            self._never.add(token)
            return CommandResult(0, f"{orders.LOG} 0\n".encode(), b"")
        getattr(self, f"_{verb}")(*rest)
        match verb:
            case "await":
                return self._told(int(rest[2]))
            case "contact":
                return self._told(0, log="", host=self.host.state_text())
            case "confirm":
                return self._told(int(rest[1]), host=self.host.state_text())
        return self._told(len(self.log))

    def turn(self, why: str) -> None:
        """Go back, as at a deadline."""
        if self.state not in ("", *ENDS):
            self.lines |= {"turned": self.state, "state": "returning", "why": why}
            self.opened_when_back = self.host.opened

    def boot(self) -> None:
        """Find that the host was cut off."""
        self.host.running = self.host.boot_default
        self.turn("the host was booted")

    def _start(self, token: str, lines: tuple[str, ...]) -> CommandResult:
        if token in self._never or self.state not in ("", *ENDS):
            return CommandResult(orders.REFUSED, b"", b"another attempt is in flight")
        self.lines = dict(line.split("=", 1) for line in lines)
        assert self.lines["token"] == token
        self.log = ""
        self.lines["state"] = "recorded"
        return self._told(0)

    def _await(self, states: str, seconds: str, position: str) -> None:
        """Let it go on by one step, unless somebody has missed one."""
        del seconds, position
        if f",{self.state}," in states:
            self._go_on()

    def _go_on(self) -> None:
        match self.state:
            case "recorded":
                self.lines["state"] = "committing" if self._goal == "boot" else "activating"
            case "activating":
                self._activate()
            case "committing":
                self._commit()
            case "returning":
                self._return()

    def _contact(self) -> None:
        if self.state == "waiting":
            self.lines["state"] = "checking"

    def _confirm(self, seconds: str, position: str) -> None:
        """Take the word, and have whoever said it wait for what comes of it."""
        del seconds, position
        if self.state == "checking":
            self.lines["state"] = "done" if self._goal == "test" else "committing"
        while self.state in ("committing", "returning"):
            self._go_on()

    def _back(self, why: str) -> None:
        if self.state not in ("committing", "returning"):
            self.turn(why)

    def _reached(self, anew: str) -> None:
        """Take a connection's word that was made after the host was back."""
        del anew
        if self.state == "returned" and self.host.opened > self.opened_when_back:
            self.lines["reached"] = "1"

    def _seen(self) -> None:
        self.lines["seen"] = "1"

    @property
    def _goal(self) -> str:
        return self.lines["goal"]

    def _activate(self) -> None:
        host = self.host
        early = host.meet("in activate")
        if early is None:
            host.running = OutPath(self.lines["target"])
            self.log += "activated\n"
        else:
            self.log += early.err
        rc = early.rc if early else 0
        self.lines["activation"] = str(rc) if rc >= 0 else "killed"
        if self.state != "activating":
            return
        if rc in (0, 4):
            self.lines["state"] = "waiting"
        else:
            ending = f"exit {rc}" if rc >= 0 else "it was killed"
            self.turn(f"activation failed ({ending})")

    def _commit(self) -> None:
        host, target = self.host, OutPath(self.lines["target"])
        if (early := host.meet("in commit")) is None:
            host.profile = host.boot_default = target
        at_target = {host.profile, host.boot_default} == {target}
        if self._goal == "switch":
            at_target = at_target and host.running == target
        if self.proves and not (at_target and (early is None or early.rc == 0)):
            self.turn("the profile or the boot default could not be set")
            return
        self.lines |= {"state": "done", "ended": "1700000000"}
        host.record = dict(self.lines)

    def _return(self) -> None:
        host = self.host
        recorded = tuple(
            OutPath(self.lines[key]) if self.lines[key] else None
            for key in ("running", "profile", "boot_default")
        )
        if (early := host.meet("in return")) is None:
            host.running, host.profile, host.boot_default = recorded
        good = early is None or early.rc == 0
        if self.proves and host.state != recorded:
            good = False
        self.lines["state"] = "returned" if good else "stuck"
        if good and self.lines.get("way") == "ssh" and self.lines.get("turned") != "recorded":
            self.lines["reached"] = "0"

    def _told(self, position: int, host: str = "", log: str | None = None) -> CommandResult:
        said = f"{orders.HOST.decode()}{host}" if host else ""
        log = self.log[position:] if log is None else log
        text = f"uptime=1000\n{self.text()}{said}{orders.LOG} {position}\n{log}"
        return CommandResult(0, text.encode(), b"")
