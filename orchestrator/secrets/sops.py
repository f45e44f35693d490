"""Repositories that use sops: what can be proved of them without a private key."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orchestrator.secrets.files import files, repository
from orchestrator.secrets.files import sops as sops_files
from orchestrator.secrets.files.sops import CONFIG, SopsError
from orchestrator.secrets.gather import Context, keys_of_hosts
from orchestrator.secrets.model.ciphertext import SecretFinding
from orchestrator.secrets.plan.evidence import in_order
from orchestrator.secrets.plan.sops import SopsEvidence, SopsFile, SopsRule, check, concerning

_LARGEST = 4 * 2**20
"""Bytes of an encrypted file: sops keeps all of one in memory, and so do hosts."""

_MOST_FILES = 50_000
"""Files of a folder that is no git work tree."""


@dataclass(frozen=True, slots=True)
class SopsCheck:
    """What was found of a repository that uses sops.

    Attributes:
        findings: The worst first.
        files: How many files sops encrypted there.
        rules: How many creation rules it has.
    """

    findings: tuple[SecretFinding, ...]
    files: int
    rules: int

    @property
    def words(self) -> str:
        """What was looked at, and what was not."""
        return (
            f"sops-nix: {self.files} files, {self.rules} rules; recipients checked; decryption "
            "not checked without the private key"
        )


async def check_sops(folder: Path, context: Context, *, strict: bool = False) -> SopsCheck | None:
    """Check what ``.sops.yaml`` and encrypted files say; ``None`` where no ``.sops.yaml`` is there.

    Args:
        folder: The fleet's.
        context: Whose host keys count; its ``targets`` are the hosts that matter.
        strict: Whether a warning is taken for an error.

    Raises:
        StepError: git refused.
    """
    root = await repository.root_of(folder)
    paths = await _tracked(root) if root else _there(folder)
    configs = sorted(path for path in paths if PurePosixPath(path).name == CONFIG)
    if not configs:
        return None
    evidence = await _gather(root or folder.resolve(), paths, configs, context)
    found: Iterable[SecretFinding] = check(evidence)
    if context.targets:
        found = concerning(found, evidence, context.targets)
    return SopsCheck(in_order(found, strict=strict), evidence.encrypted, len(evidence.rules))


async def _tracked(root: Path) -> list[str]:
    found = await repository.look(root, ".", ())
    return sorted(found.tracked)


def _there(folder: Path) -> list[str]:
    """List the files of a folder, no link followed."""
    found: list[str] = []
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != ".git")
        found += (os.path.relpath(os.path.join(at, name), folder) for name in names)  # noqa: PTH118
        if len(found) > _MOST_FILES:
            break
    return sorted(found[:_MOST_FILES])


async def _gather(
    root: Path, paths: Sequence[str], configs: Sequence[str], context: Context
) -> SopsEvidence:
    rules: dict[str, tuple[SopsRule, ...]] = {}
    faults: dict[str, str] = {}
    for config in configs:
        try:
            rules[config] = _config(root, config)
        except (SopsError, files.FileReadError) as error:
            faults[config] = str(error)
    try:
        taken = await _taken(rules, _below(paths, configs))
    except SopsError as error:
        taken = {}
        faults |= dict.fromkeys(rules, str(error))
    # A file below a `.sops.yaml` that cannot be used has no rule that is known.
    unknown = {path for config in faults for path in _below(paths, configs).get(config, ())}
    found = (_file(root, path, taken.get(path), known=path not in unknown) for path in paths)
    return SopsEvidence(
        rules=tuple(rule for found in rules.values() for rule in found),
        files=tuple(file for file in found if file is not None),
        faults=faults,
        hosts=await keys_of_hosts(context.fleet, context.ssh) if context.fleet else {},
        in_lab=context.setup is not None and context.setup.in_lab,
    )


def _config(root: Path, path: str) -> tuple[SopsRule, ...]:
    content = files.read(str(root), path, _LARGEST)
    return sops_files.parse_config(path, content.data) if content else ()


def _below(paths: Iterable[str], configs: Sequence[str]) -> dict[str, list[str]]:
    """Give each ``.sops.yaml`` its files: those of which it is the nearest above."""
    by_folder = {str(PurePosixPath(config).parent): config for config in configs}
    found: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        for folder in PurePosixPath(path).parents:
            if config := by_folder.get(str(folder)):
                found[config].append(path)
                break
    return found


@dataclass(frozen=True, slots=True)
class _Taken:
    """Which rule takes a file first; ``None`` where none does, or that is not known."""

    rule: SopsRule | None
    chosen: bool
    known: bool = True


async def _taken(
    rules: dict[str, tuple[SopsRule, ...]], below: dict[str, list[str]]
) -> dict[str, _Taken]:
    """Find which rule takes each file, and whether for more than its ending."""
    asked = []
    for config, found in rules.items():
        names = [_relative(path, config) for path in below.get(config, ())]
        probes = [probe for name in names for probe in _probes(name)]
        asked.append(([rule.pattern for rule in found], [*names, *probes]))
    answers = await sops_files.first_matches(asked)
    taken = {}
    for (config, found), answer in zip(rules.items(), answers, strict=True):
        paths = below.get(config, [])
        firsts, probed = answer[: len(paths)], answer[len(paths) :]
        for number, (path, first) in enumerate(zip(paths, firsts, strict=True)):
            rule = found[first] if first is not None and first >= 0 else None
            chosen = rule is not None and first not in probed[2 * number : 2 * number + 2]
            taken[path] = _Taken(rule, chosen, known=first != -1)
    return taken


def _relative(path: str, config: str) -> str:
    """A file's name as its ``.sops.yaml`` sees it: relative to its folder."""
    folder = str(PurePosixPath(config).parent)
    return path if folder == "." else path.removeprefix(f"{folder}/")


def _probes(name: str) -> tuple[str, str]:
    """Files of the same ending that nobody wrote a rule for: a rule that takes them takes any."""
    ending = PurePosixPath(name).suffix
    return f"qzjx{ending}", f"qzjx/qzjx{ending}"


def _file(root: Path, path: str, taken: _Taken | None, *, known: bool) -> SopsFile | None:
    """Look into a file; ``None`` where it is none of sops' business."""
    rule = taken.rule if taken else None
    chosen = taken.chosen if taken else False
    known = known and (taken is None or taken.known)
    try:
        content = files.read(str(root), path, _LARGEST)
    except files.FileReadError as error:
        return SopsFile(path, None, rule, chosen, known, str(error)) if chosen else None
    if content is None:
        return None
    if not content.whole:
        fault = f"it is larger than {_LARGEST // 2**20} MiB, and was not read"
        return SopsFile(path, None, rule, chosen, known, fault) if chosen else None
    try:
        found = sops_files.recipients(path, content.data)
    except SopsError as error:
        return SopsFile(path, (), rule, chosen, known, str(error))
    return SopsFile(path, found, rule, chosen, known) if found is not None or chosen else None
