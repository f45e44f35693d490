"""All checks, or those of some hosts' secrets; values looked for in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from orchestrator.changes.knowledge import KnownSystems
from orchestrator.changes.source import Source
from orchestrator.core.errors import StepError, cause_of
from orchestrator.core.host import Host
from orchestrator.core.store import DrvPath
from orchestrator.core.values import replace
from orchestrator.host.setup import Setup
from orchestrator.nix.asker import Quiet
from orchestrator.nix.closure import path_infos, recipes, regular_files
from orchestrator.nix.evaluation import Evaluations
from orchestrator.secrets.age import crypt
from orchestrator.secrets.age.crypt import Keyring
from orchestrator.secrets.files import files
from orchestrator.secrets.files.rules import RulesError
from orchestrator.secrets.files.transaction import pending
from orchestrator.secrets.gather import Context, broken_rules, gather
from orchestrator.secrets.model.ciphertext import SecretFinding, Severity
from orchestrator.secrets.place import SecretsRepository
from orchestrator.secrets.plan import checks
from orchestrator.secrets.plan.checks import check
from orchestrator.secrets.plan.evidence import Evidence, in_order
from orchestrator.secrets.plan.hosts import concerning, secrets_of
from orchestrator.secrets.plan.leaks import LONGEST, KnownValues, forms, standing
from orchestrator.secrets.sops import check_sops
from orchestrator.secrets.uses import secrets_of_hosts

_CIPHERTEXT = 2 * LONGEST
"""Bytes of an encrypted file: of a larger one the value is too long to be looked for."""

_TRACKED = 2**20
"""Bytes of a tracked file; what is behind them is not looked at."""


async def known_values(root: Path, evidence: Evidence, keyring: Keyring) -> KnownValues:
    """Decrypt what was seen to open.

    Raises:
        StepError: A key needs the ``age`` program, and it is not there.
    """
    opens = [path for path, error in evidence.opened.items() if error is None]
    values: dict[str, tuple[bytes, ...]] = {}
    for path in opens:
        content = files.read(str(root), path, _CIPHERTEXT)
        if content is not None and content.whole:
            values[path] = forms(await crypt.decrypt(content.data, keyring))
    return KnownValues(values)


def leaked_in_repository(
    root: Path, evidence: Evidence, known: KnownValues
) -> tuple[tuple[str, str], ...]:
    """Look for values in all files that git tracks but the secrets' own.

    Returns:
        A tracked file and the secret whose value stands in it, for each that was found.
    """
    tracked = evidence.repository.tracked if evidence.repository else frozenset()
    plain = {path: _read_values(str(root), path) for path in tracked - evidence.files.keys()}
    return tuple(standing(known, plain))


def _read_values(root: str, path: str) -> bytes:
    try:
        content = files.read(root, path, _TRACKED)
    except files.FileReadError:
        return b""
    return content.data if content is not None else b""


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
            f"the store could not be searched for values of secrets: {cause_of(error, named=True)}",
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


_MOST = 2**20
"""Bytes of a file; a larger one was written by a program."""


def nix_files(root: Path, evidence: Evidence) -> dict[str, str]:
    """Read the Nix files that git tracks; what cannot be read is left out.

    Args:
        root: The repository.
        evidence: Tells what is tracked.

    Returns:
        Path, relative to the repository → text.
    """
    tracked = evidence.repository.tracked if evidence.repository else frozenset()
    found = {}
    for path in tracked:
        if path.endswith(".nix") and (text := _read(str(root), path)) is not None:
            found[path] = text
    return found


def _read(root: str, path: str) -> str | None:
    try:
        content = files.read(root, path, _MOST)
    except files.FileReadError:
        return None
    return content.data.decode(errors="replace") if content is not None else None


async def systems_of_hosts(setup: Setup, hosts: Sequence[Host]) -> dict[str, DrvPath | StepError]:
    """Tell each host's system; one that does not evaluate is its own host's error."""
    async with Source(setup.flake) as source:
        known = KnownSystems(setup, hosts, source)
        evaluations = Evaluations(source, setup.fleet.limits, setup.state, len(hosts))

        async def of(host: Host) -> DrvPath | StepError:
            try:
                return (await known.system(Quiet(host), evaluations, here=True))[0].drv
            except StepError as error:
                return error

        async with asyncio.TaskGroup() as group:
            tasks = {host.name: group.create_task(of(host)) for host in hosts}
        return {name: task.result() for name, task in tasks.items()}


@dataclass(frozen=True, slots=True)
class SecretCheck:
    """What a check found.

    Attributes:
        findings: The worst first.
        count: How many secrets were checked; ``None`` where their rules do not tell.
        strangers: Hosts that were asked about and of which no secret is known.
        sops: How many files of sops were checked.
    """

    findings: tuple[SecretFinding, ...]
    count: int | None
    strangers: tuple[str, ...] = ()
    sops: int = 0

    @property
    def failed(self) -> bool:
        """Whether there is an error among the findings."""
        return any(one.severity is Severity.ERROR for one in self.findings)


async def check_secrets(
    place: SecretsRepository | None, context: Context, *, strict: bool = False
) -> SecretCheck:
    """Check a repository's secrets, or those of some hosts; the worst finding comes first.

    Args:
        place: The repository; ``None`` where a fleet has no ``secrets.nix``, but files of sops.
        context: What is known beside it; its ``targets`` are the hosts.
        strict: Whether a warning is taken for an error.

    Raises:
        UsageError: As :func:`gather`.
        StepError: As :func:`gather`; or the store could not be searched for values.
    """
    found = await check_sops(context)
    asked = tuple(host for host in context.targets if host not in context.evaluated)
    agenix = await _check_agenix(place, context) if place else SecretCheck((), None, asked)
    return SecretCheck(
        in_order((*agenix.findings, *found.findings), strict=strict),
        agenix.count,
        tuple(host for host in agenix.strangers if host not in found.hosts),
        found.files,
    )


async def _check_agenix(place: SecretsRepository, context: Context) -> SecretCheck:
    try:
        evidence = await gather(place, context)
    except RulesError as error:
        return SecretCheck(tuple(_no_rules(place, error)), None)
    evidence = replace(evidence, sources=nix_files(place.root, evidence))
    if context.keyring is not None:
        known = await known_values(place.root, evidence, context.keyring)
        leaked = leaked_in_repository(place.root, evidence, known)
        in_store = await leaked_in_store(context.systems, known)
        evidence = replace(evidence, leaked=leaked, leaked_in_store=in_store)
    found = check(evidence)
    if not context.targets:
        return SecretCheck(found, len(evidence.rules.rules))
    secrets = frozenset().union(*(secrets_of(evidence, host) for host in context.targets))
    asked = [host for host in context.targets if host not in context.evaluated]
    strangers = tuple(host for host in asked if not secrets_of(evidence, host))
    return SecretCheck(concerning(found, evidence, context.targets), len(secrets), strangers)


def _no_rules(place: SecretsRepository, error: RulesError) -> Iterable[SecretFinding]:
    yield from checks.check_transaction(pending(place.root))
    yield broken_rules(place.name, error)


T = TypeVar("T")


async def with_configurations(context: Context) -> tuple[Context, dict[str, StepError]]:
    """Ask the configurations of a fleet's hosts, or of the targets: as known, else evaluated.

    With a private key at hand their systems are asked for, too: values are looked for in them.

    Returns:
        What is known then, and by host why nothing is: its configuration does not evaluate.
    """
    setup = context.setup
    if setup is None:
        return context, {}
    names = context.targets or tuple(setup.fleet.hosts)
    found = await secrets_of_hosts(setup, [setup.fleet.hosts[name] for name in names])
    known, failed = _apart(found)
    uses = tuple(use for one in known.values() for use in one.uses)
    sops = tuple(one for one in known.values() if one.sops)
    context = replace(context, uses=uses, sops=sops, evaluated=frozenset(known))
    if context.keyring is None:
        return context, failed
    asked = await systems_of_hosts(setup, [setup.fleet.hosts[name] for name in known])
    systems, without = _apart(asked)
    return replace(context, systems=tuple(dict.fromkeys(systems.values()))), failed | without


def _apart(found: Mapping[str, T | StepError]) -> tuple[dict[str, T], dict[str, StepError]]:
    failed = {name: one for name, one in found.items() if isinstance(one, StepError)}
    return {name: one for name, one in found.items() if not isinstance(one, StepError)}, failed
