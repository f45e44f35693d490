"""Fetching on a host: the options that make it strict, and what is wrong with a cache in words.

The lines are what Nix 2.26 said on a host whose cache was made so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from orchestrator.core.errors import StepError
from orchestrator.core.executor import Stream
from orchestrator.core.host import Cache
from orchestrator.core.store import OutPath
from orchestrator.host import scripts
from orchestrator.host.scripts import fetch

OUT = OutPath(f"/nix/store/{'a' * 32}-nixos-system-p620")
LIBRARY = f"/nix/store/{'l' * 32}-library"
CACHE = Cache("lan", "http://cache.lan", f"cache.lan-1:{'A' * 43}=", push="ssh-ng://cache.lan")


class Ends:
    """The ends of a command that says something and ends."""

    def __init__(self, text: str, rc: int | None) -> None:
        # In pieces, as a network has them.
        self._left = [text.encode()[at : at + 7] for at in range(0, len(text), 7)]
        self._rc = rc

    async def read(self, _: int) -> bytes:
        """Give the next piece."""
        return self._left.pop(0) if self._left else b""

    async def wait(self) -> int | None:
        """Give the exit code."""
        return self._rc


class Host:
    """A host on which one command says what it is told to."""

    def __init__(self, text: str, rc: int | None) -> None:
        self.ends = Ends(text, rc)
        self.argv: Sequence[str] = ()

    @contextlib.asynccontextmanager
    async def open(self, argv: Sequence[str]) -> AsyncIterator[Stream]:
        """Start the command."""
        self.argv = argv
        yield Stream(None, self.ends, self.ends.wait)  # type: ignore[arg-type]

    def repeat(self, argv: Sequence[str]) -> str:
        """By hand."""
        return f"ssh p620 {' '.join(argv)}"


def fetching(text: str = "", rc: int | None = 0) -> Host:
    """Fetch on a host."""
    host = Host(text, rc)
    lines: list[bytes] = []
    asyncio.run(fetch(host, OUT, CACHE, lines.append))  # type: ignore[arg-type]
    assert b"\n".join(lines) == text.rstrip("\n").encode()
    return host


def test_only_the_cache_and_only_its_key_count() -> None:
    """Signatures are required, nothing is built, no other cache is asked."""
    host = fetching("one\ntwo\n")
    assert host.argv[:5] == ("/bin/sh", "-c", scripts.FETCH, "orchestrator", OUT.path)
    pairs = dict(zip(host.argv[6::3], host.argv[7::3], strict=True))
    assert pairs == {
        "substitute": "true",
        "substituters": CACHE.url,
        "trusted-public-keys": CACHE.public_key,
        "require-sigs": "true",
        "fallback": "false",
        "builders": "",
        "max-jobs": "0",
    }


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        (
            f"warning: ignoring substitute for '{LIBRARY}' from 'http://cache.lan', "
            "as it's not signed by any of the keys in 'trusted-public-keys'",
            f"the cache 'lan' has {LIBRARY} without a valid signature by cache.lan-1",
            "nix store sign --store ssh-ng://cache.lan",
        ),
        (
            "warning: unable to download 'http://cache.lan/nix-cache-info': Could not connect "
            "to server (7)\ndon't know how to build these paths:\n  " + OUT.path,
            "the cache 'lan' does not answer on the host: http://cache.lan/nix-cache-info: "
            "Could not connect to server (7)",
            "curl http://cache.lan/nix-cache-info",
        ),
        (
            f"don't know how to build these paths:\n  {LIBRARY}",
            f"the cache 'lan' lacks {LIBRARY}",
            f"nix copy --refresh --to ssh-ng://cache.lan {OUT}",
        ),
        (
            "error: file 'nar/x.nar.xz' does not exist in binary cache 'http://cache.lan'",
            "the cache 'lan' lacks nar/x.nar.xz",
            "nix copy",
        ),
        (
            "error: writing to file: No space left on device",
            "fetching from the cache 'lan' failed: writing to file: No space left on device",
            "Without the cache",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_remedy(said: str, message: str, hint: str) -> None:
    """The cache and the path by name; how to do without the cache; the command on the host."""
    with pytest.raises(StepError) as caught:
        fetching(f"{said}\nerror: build of '{OUT}' failed", 1)
    error = caught.value
    assert error.message == message
    assert error.hint is not None
    assert hint in error.hint
    assert error.hint.endswith("--copy connection")
    assert error.command is not None
    assert error.command.startswith(f"ssh p620 nix-store --realise {OUT}")
    assert said in error.stderr


def test_an_end_without_words_is_a_failure() -> None:
    """Where the connection takes the exit code along, it is not taken for success."""
    with pytest.raises(StepError, match="failed: it was ended"):
        fetching(rc=None)
