"""Binary caches: whether they answer."""

from __future__ import annotations

import asyncio

from orchestrator.adapters import nix
from orchestrator.errors import RefusedError


async def require_caches() -> None:
    """Refuse unless every binary cache that Nix would ask answers.

    Raises:
        RefusedError: One does not answer, or none is configured.
    """
    urls = await nix.substituters()
    if not urls:
        raise RefusedError(
            "no binary cache is configured",
            hint="set `substituters` in nix.conf, or leave --check-caches out",
        )
    answers = await asyncio.gather(*(nix.answers(url) for url in urls))
    silent = [url for url, answer in zip(urls, answers, strict=True) if not answer]
    if silent:
        raise RefusedError(
            f"these binary caches do not answer: {', '.join(silent)}",
            hint="is the cache host up? deploy without it: leave --check-caches out",
            command=f"nix store info --store {silent[0]}",
        )
