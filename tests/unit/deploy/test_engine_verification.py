"""How a check's command reaches a host that is being verified."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from orchestrator.core.errors import UnreachableError
from orchestrator.core.host import Connect, Deadlines, Host, Verify
from orchestrator.core.interrupt import Interrupt
from orchestrator.core.process import CommandResult
from orchestrator.core.values import replace
from orchestrator.deploy.changing.activation import verify
from orchestrator.deploy.changing.session import HostSession
from orchestrator.deploy.work import HostWork
from orchestrator.verify import run

OnHost = Callable[[str], Awaitable[CommandResult]]


class Breaking:
    """A line whose first connection is lost."""

    def __init__(self) -> None:
        self.executor = self
        self.renewed = 0
        self.argv: list[tuple[str, ...]] = []

    async def run(self, argv: Sequence[str], **_: object) -> CommandResult:
        """Lose the first command."""
        self.argv.append(tuple(argv))
        if not self.renewed:
            raise UnreachableError("the connection was lost")
        return CommandResult(0, b"", b"")

    async def replace(self, lost: object, _: float) -> None:
        """Note it."""
        assert lost is self
        self.renewed += 1


def test_a_check_that_is_tried_again_finds_a_connection(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A lost connection fails one try, not all; each command has an end on the host too."""

    async def two_tries(_: Host, __: object, on_host: OnHost, **___: object) -> object:
        with pytest.raises(UnreachableError):
            await on_host("true")
        assert (await on_host("true")).rc == 0
        return SimpleNamespace(ok=True, flapped=(), summary="")

    monkeypatch.setattr(run, "verify", two_tries)
    host = Host("p620", "p620", Connect("192.0.2.1"), deadlines=Deadlines(verify=9))
    session: Any = SimpleNamespace(
        setup=SimpleNamespace(fleet=SimpleNamespace(root=str(tmp_path))),
        run=SimpleNamespace(folder=str(tmp_path)),
        gates=SimpleNamespace(verifications=asyncio.Semaphore(1)),
        interrupt=Interrupt(lambda _: None),
        emit=lambda _: None,
    )
    line = Breaking()
    work = HostWork(session, replace(host, verify=Verify(suites=("s",))))
    asyncio.run(verify(work, cast("HostSession", line)))
    assert line.renewed == 1
    assert line.argv == [("timeout", "--kill-after=5", "9", "/bin/sh", "-c", "true")] * 2
