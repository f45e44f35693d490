"""Secrets that sops-nix decrypts: what is known of them without a private key, and checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orchestrator.core.executor import Executor
from orchestrator.core.values import replace
from orchestrator.host.setup import Setup
from orchestrator.secrets.age import keys
from orchestrator.secrets.files import files, repository
from orchestrator.secrets.files import sops as sops_files
from orchestrator.secrets.files.sops import SopsError, SopsUnreadError
from orchestrator.secrets.gather import Context, keys_of_hosts
from orchestrator.secrets.model.ciphertext import SecretFinding
from orchestrator.secrets.model.repository import HostSecrets
from orchestrator.secrets.model.sops import SopsEvidence, SopsFile, SopsRule, SopsUse
from orchestrator.secrets.on_host import ask_identities
from orchestrator.secrets.place import SOPS_CONFIG, uses_sops
from orchestrator.secrets.plan import sops as plan
from orchestrator.secrets.plan.sops_keys import host_as_known, host_as_seen, parsed

_LARGEST = 4 * 2**20
"""Bytes of a file: sops keeps all of one in memory, and so do hosts."""

_MOST_FILES = 50_000
"""Tracked files that are looked into."""


@dataclass(frozen=True, slots=True)
class SopsCheck:
    """What was found of a repository's files of sops.

    Attributes:
        findings: What is wrong, and what cannot be known.
        files: How many files were checked.
        hosts: The hosts that one of them is for.
    """

    findings: tuple[SecretFinding, ...] = ()
    files: int = 0
    hosts: frozenset[str] = frozenset()


async def check_sops(context: Context) -> SopsCheck:
    """Check a fleet's files of sops, or those of the targets.

    Without a git work tree nothing is known to be the fleet's, and nothing is found.

    Raises:
        StepError: git refused.
    """
    setup = context.setup
    root = await repository.root_of(Path(setup.flake.folder)) if setup else None
    if setup is None or root is None:
        return SopsCheck()
    uses = tuple(use for one in context.sops for use in one.sops)
    tracked = sorted((await repository.look(root, (".",), ())).tracked)
    if not uses and not _knows_sops(setup, tracked):
        return SopsCheck()
    texts = await keys_of_hosts(setup.fleet, context.ssh)
    hosts = {
        one.host: host_as_known(one.sops_keys, texts.get(one.host, ())) for one in context.sops
    }
    evidence = replace(
        await gather_sops(root, uses, tracked[:_MOST_FILES]),
        hosts=hosts,
        known=_by_point(texts),
        in_lab=setup.in_lab,
    )
    return _checked(evidence, context.targets)


def _knows_sops(setup: Setup, tracked: Iterable[str]) -> bool:
    """Whether a ``.sops.yaml`` is somewhere: without one, no file is opened to look for sops."""
    names = (SOPS_CONFIG, f"/{SOPS_CONFIG}")
    return uses_sops(Path(setup.fleet.root)) or any(
        path == names[0] or path.endswith(names[1]) for path in tracked
    )


def _checked(evidence: SopsEvidence, targets: Sequence[str]) -> SopsCheck:
    found = plan.check(evidence)
    files = {file.path for file in evidence.files}
    hosts = frozenset(use.host for use in evidence.uses)
    if not targets:
        return SopsCheck(found, len(files), hosts)
    theirs = {host: plan.files_of(evidence, [host]) for host in targets}
    return SopsCheck(
        plan.concerning(found, evidence, targets),
        len(files & frozenset().union(*theirs.values())),
        hosts | {host for host, paths in theirs.items() if paths},
    )


async def check_before_deploying(
    setup: Setup, secrets: HostSecrets, executor: Executor
) -> tuple[SecretFinding, ...]:
    """Check the files of sops that a host uses, by the keys that it has.

    Args:
        setup: The fleet.
        secrets: What the host's configuration says.
        executor: The way to the host.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host did not answer to the end, or git refused.
    """
    flake = setup.flake.of(setup.fleet.hosts[secrets.host])
    root = await repository.root_of(Path(flake.folder)) if secrets.sops else None
    if root is None:
        return ()
    identities = await ask_identities(executor, secrets.sops_keys.paths)
    host = host_as_seen(secrets.sops_keys, identities)
    evidence = replace(
        await gather_sops(root, secrets.sops, ()),
        hosts={secrets.host: host},
        known=dict.fromkeys(host.age, (secrets.host,)),
        in_lab=setup.in_lab,
    )
    return plan.check(evidence)


def _by_point(texts: Mapping[str, Iterable[str]]) -> dict[int, tuple[str, ...]]:
    """A key's point → the hosts whose it is."""
    found: dict[int, tuple[str, ...]] = {}
    for host, own in texts.items():
        for one in parsed(own):
            if (point := keys.point(one)) is not None:
                found[point] = (*found.get(point, ()), host)
    return found


async def gather_sops(root: Path, uses: Sequence[SopsUse], tracked: Sequence[str]) -> SopsEvidence:
    """Read the files that hosts use, those of sops among the tracked, and the rules for both."""
    used = dict.fromkeys((use.file, use.format) for use in uses if use.in_repo)
    others = {path: sops_files.format_of(path) for path in tracked}
    for path, _ in used:
        others.pop(path, None)
    read = [_read(root, path, form, used=True) for path, form in used]
    read += [_read(root, path, form, used=False) for path, form in others.items()]
    found = [file for file in read if file is not None]
    configs: dict[str, tuple[SopsRule, ...]] = {}
    faults: dict[str, str] = {}
    unread: dict[str, str] = {}
    above = _configs_above(root, dict.fromkeys(file.path for file in found if file.content))
    below: dict[str, list[str]] = {}
    for path, those in above.items():
        for config in those:
            below.setdefault(config, []).append(path)
    for config in below:
        try:
            configs[config] = _config(root, config)
        except SopsError as error:
            faults[config] = str(error)
        except (SopsUnreadError, files.FileReadError) as error:
            unread[config] = str(error)
    try:
        ruled = await _ruled(configs, below)
    except SopsUnreadError as error:
        ruled = {}
        unread |= dict.fromkeys(configs, str(error))
    as_ruled = (_with_rules(one, above.get(one.path, []), ruled) for one in found)
    return SopsEvidence(
        files=tuple(sorted(as_ruled, key=lambda one: (one.path, one.format))),
        rules=tuple(rule for rules in configs.values() for rule in rules),
        faults=faults,
        unread=unread,
        uses=tuple(uses),
    )


def _read(root: Path, path: str, form: str, *, used: bool) -> SopsFile | None:
    """Look into a file; ``None`` where no host uses it and sops has not encrypted it."""
    found = SopsFile(path, form)
    try:
        content = files.read(str(root), path, _LARGEST)
        if content is None:
            found = replace(found, there=False)
        elif not content.whole:
            found = replace(found, unread=f"is larger than {_LARGEST >> 20} MiB and was not read")
        elif used or (b"sops" in content.data and b"mac" in content.data):
            found = replace(found, content=sops_files.read_content(form, content.data))
    except (SopsError, files.FileReadError) as error:
        found = replace(found, fault=str(error))
    except SopsUnreadError as error:
        found = replace(found, unread=str(error))
    return found if used or found.content is not None else None


def _configs_above(root: Path, paths: Iterable[str]) -> dict[str, list[str]]:
    """Find each ``.sops.yaml`` above each file, the nearest first."""
    there: dict[str, bool] = {}
    found: dict[str, list[str]] = {}
    for path in paths:
        configs = [str(folder / SOPS_CONFIG) for folder in PurePosixPath(path).parents]
        for config in configs:
            if config not in there:
                there[config] = os.path.lexists(root / config)
        found[path] = [config for config in configs if there[config]]
    return found


def _with_rules(
    file: SopsFile, above: Sequence[str], ruled: Mapping[tuple[str, str], SopsRule | None]
) -> SopsFile:
    keys = [(config, file.path) for config in above]
    if not keys or keys[0] not in ruled:
        return file
    others = (ruled.get(key) for key in keys[1:])
    found = tuple(rule for rule in others if rule is not None)
    return replace(file, rule=ruled[keys[0]], ruled=True, others=found)


def _config(root: Path, path: str) -> tuple[SopsRule, ...]:
    content = files.read(str(root), path, _LARGEST)
    if content is None or not content.whole:
        raise SopsUnreadError(f"is gone or larger than {_LARGEST >> 20} MiB")
    return sops_files.read_config(path, content.data)


async def _ruled(
    configs: Mapping[str, tuple[SopsRule, ...]], below: Mapping[str, Sequence[str]]
) -> dict[tuple[str, str], SopsRule | None]:
    """Find which rule of each ``.sops.yaml`` takes each file first, where that can be known.

    A ``.sops.yaml`` without rules does not count.
    """
    asked = {config: rules for config, rules in configs.items() if rules}
    names = {config: [_relative(path, config) for path in below[config]] for config in asked}
    patterns = {config: [rule.pattern for rule in rules] for config, rules in asked.items()}
    answers = await sops_files.first_matches([(patterns[one], names[one]) for one in asked])
    found: dict[tuple[str, str], SopsRule | None] = {}
    for (config, rules), firsts in zip(asked.items(), answers, strict=True):
        for path, first in zip(below[config], firsts, strict=True):
            if first is None or first >= 0:
                found[config, path] = None if first is None else rules[first]
    return found


def _relative(path: str, config: str) -> str:
    """A file's name as its ``.sops.yaml`` sees it: relative to its folder."""
    folder = str(PurePosixPath(config).parent)
    return path if folder == "." else path.removeprefix(f"{folder}/")
