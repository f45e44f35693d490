"""Filling caches and asking whether they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.host import Cache, Connect, Fleet, Host
from orchestrator.core.store import OutPath
from orchestrator.deploy.delivering.batches import Member
from orchestrator.deploy.delivering.caches import Pushes, require_caches
from orchestrator.host.setup import Setup
from orchestrator.nix import closure
from orchestrator.nix.verbs import Flake
from orchestrator.ssh.settings import SshSettings

KEY = f"lan-1:{'A' * 43}="
LAN = Cache("lan", "http://lan", KEY, push="ssh-ng://lan", secret_key="/key")
WAN = Cache("wan", "https://wan", KEY)
OUTS = [OutPath(f"/nix/store/{letter * 32}-system") for letter in "abc"]


class Filled:
    """In place of Nix: what was signed and copied.

    Attributes:
        calls: In order.
        fails: Whether the next copy does.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, list[OutPath], Cache]] = []
        self.fails = False
        self.env: Mapping[str, str | None] | None = None
        patch.setattr(closure, "sign", self._sign)
        patch.setattr(closure, "push", self._push)

    async def _sign(self, outs: Sequence[OutPath], cache: Cache) -> None:
        self.calls.append(("sign", sorted(outs), cache))

    async def _push(self, outs: Sequence[OutPath], cache: Cache, **options: Any) -> None:
        self.calls.append(("push", sorted(outs), cache))
        self.env = options["env"]
        await asyncio.sleep(0.01)
        if self.fails:
            self.fails = False
            raise StepError("the cache 'lan' was not filled")


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch) -> Filled:
    """Put it where Nix is called."""
    return Filled(monkeypatch)


async def push(pushes: Pushes, *outs: OutPath) -> list[BaseException | None]:
    """Push systems at the same time."""
    member = Member("p620", lambda _: None, lambda _: None)
    return await asyncio.gather(
        *(pushes.push(LAN, out, deadline=60, member=member) for out in outs), return_exceptions=True
    )


def test_what_is_ready_is_pushed_at_once_and_once(filled: Filled) -> None:
    """Signed before it is there to be fetched; what is there is not pushed again."""

    async def run() -> None:
        pushes = Pushes(SshSettings("/config"))
        assert await push(pushes, *OUTS[:2], OUTS[0]) == [None, None, None]
        assert await push(pushes, *OUTS) == [None, None, None]

    asyncio.run(run())
    first, second = OUTS[:2], OUTS[2:]
    assert filled.calls == [
        ("sign", first, LAN),
        ("push", first, LAN),
        ("sign", second, LAN),
        ("push", second, LAN),
    ]
    assert filled.env["NIX_SSHOPTS"].startswith("-F /config ")


def test_what_failed_is_tried_again(filled: Filled) -> None:
    """Every host that waits hears of it; the next one begins again."""
    filled.fails = True

    async def run() -> None:
        pushes = Pushes()
        errors = await push(pushes, *OUTS[:2])
        assert [str(error) for error in errors] == ["the cache 'lan' was not filled"] * 2
        assert await push(pushes, *OUTS[:2]) == [None, None]

    asyncio.run(run())
    assert [what for what, *_ in filled.calls] == ["sign", "push"] * 2


def ask(
    patch: pytest.MonkeyPatch,
    folder: Path,
    *selectors: str,
    configured: Sequence[str],
    up: set[str],
) -> list[str]:
    """Require the caches of a fleet whose hosts fetch from one each; give what was asked."""
    hosts = {
        name: Host(name, name, Connect(name), substitute=cache)
        for name, cache in (("a", "lan"), ("b", "wan"), ("c", None))
    }
    fleet = Fleet("f", str(folder), str(folder), hosts, caches={"lan": LAN, "wan": WAN})
    setup = Setup(fleet, Flake.at(fleet.flake, fleet.root), SshSettings(), folder)
    asked: list[str] = []

    async def substituters() -> Sequence[str]:
        return configured

    async def answers(store: str, _: object) -> bool:
        asked.append(store)
        return store in up

    patch.setattr(closure, "substituters", substituters)
    patch.setattr(closure, "answers", answers)
    asyncio.run(require_caches(setup, selectors))
    return asked


def test_caches_of_selected_hosts_are_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where this machine copies to, else where hosts fetch; beside those that Nix asks."""
    every = {"https://nix", "ssh-ng://lan", "https://wan"}
    assert ask(monkeypatch, tmp_path, "a", configured=["https://nix"], up=every) == [
        "https://nix",
        "ssh-ng://lan",
    ]
    assert ask(monkeypatch, tmp_path, configured=[], up=every) == ["ssh-ng://lan", "https://wan"]


def test_a_silent_cache_refuses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache that does not answer is refused by name; so is a fleet without any."""
    with pytest.raises(RefusedError, match=r"do not answer: ssh-ng://lan$"):
        ask(monkeypatch, tmp_path, configured=[], up={"https://wan"})
    with pytest.raises(RefusedError, match="no binary cache is configured"):
        ask(monkeypatch, tmp_path, "c", configured=[], up=set())
