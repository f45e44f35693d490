"""Nix's verbs for filling a binary cache from this machine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from orchestrator.core import process
from orchestrator.core.bounds import BUILD_LOG
from orchestrator.core.host import Cache
from orchestrator.core.store import OutPath
from orchestrator.nix.verbs import OnLine, failed, nix_argv


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
