"""The values of secrets, looked for in what hosts' systems are made from, in the store here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from orchestrator.core.errors import StepError
from orchestrator.core.store import DrvPath
from orchestrator.nix.closure import recipes, regular_files
from orchestrator.nix.path_info import path_infos
from orchestrator.secrets.plan.known_values import KnownValues

_SMALL = 2**20
"""Bytes of all that is in a path. A host's configuration is many small paths; a program is none."""


async def leaked_in_store(
    drvs: Sequence[DrvPath], known: KnownValues
) -> tuple[tuple[str, str], ...]:
    """Look through all derivations of some systems, their sources, and what was built here.

    Of sources and outputs only small ones are looked through, of outputs only what this machine
    built: what it fetched from a cache no configuration of ours has made.

    Args:
        drvs: The systems' derivations, which are in the store here.
        known: The values.

    Returns:
        A file and the secret whose value stands in it, for each that was found.

    Raises:
        StepError: Something cannot be read, or Nix does not tell what is in its store.
    """
    if not known:
        return ()
    try:
        found, sources, outputs = _in_recipes(drvs, known)
        infos = await path_infos(sources | outputs)
        small = [path for path, info in infos.items() if info.size <= _SMALL]
        made = [path for path in small if path in sources or infos[path].built_here]
        return tuple(sorted({*found, *_in_files(made, known)}))
    except OSError as error:
        raise StepError(
            f"the store could not be searched for values of secrets: {error}",
            command="nix-store --verify",
        ) from None


def _in_recipes(
    drvs: Iterable[DrvPath], known: KnownValues
) -> tuple[list[tuple[str, str]], set[str], set[str]]:
    """Search derivations; collect the sources and the outputs that they name."""
    found: list[tuple[str, str]] = []
    sources: set[str] = set()
    outputs: set[str] = set()
    for recipe in recipes(drvs):
        found += [(recipe.path, secret) for secret in known.within(recipe.text)]
        sources.update(recipe.sources)
        outputs.update(recipe.outputs)
    return found, sources, outputs


def _in_files(paths: Iterable[str], known: KnownValues) -> Iterator[tuple[str, str]]:
    for path in paths:
        for file in regular_files(path):
            for secret in known.within(file.read_bytes()):
                yield str(file), secret
