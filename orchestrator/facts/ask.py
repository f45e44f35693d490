"""Ask hosts what they are made of, over a deployment's own way to them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.core.errors import RefusedError, StepError, UsageError, cause_of
from orchestrator.core.executor import Executor
from orchestrator.core.facts import Facts
from orchestrator.core.host import Host
from orchestrator.core.process import CommandResult
from orchestrator.facts import cache
from orchestrator.facts.plan.drift import Change, changes
from orchestrator.facts.plan.facter import read_report
from orchestrator.facts.plan.read import read
from orchestrator.facts.question import QUESTION
from orchestrator.host.scripts import script
from orchestrator.host.setup import Setup, ask_each
from orchestrator.host.status import require_end, require_machine

_SECONDS = 120.0
_REPORT = 64 << 20
"""Bytes of a report that are read."""


@dataclass(frozen=True, slots=True)
class FactsAnswer:
    """What is known of one host.

    Attributes:
        facts: ``None`` where it was not asked before and does not answer.
        before: What was known of it before this.
        asked: Whether it was asked now.
        error: Why it did not answer.
        not_kept: Why what it said is not kept.
    """

    host: Host
    facts: Facts | None
    before: Facts | None = None
    asked: bool = False
    error: StepError | None = None
    not_kept: StepError | None = None

    @property
    def changes(self) -> tuple[Change, ...] | None:
        """What changed since it was asked before; ``None`` where it was not."""
        if self.facts is None or self.before is None:
            return None
        return changes(self.before, self.facts)


async def facts_of(
    setup: Setup, hosts: Sequence[Host], *, refresh: bool
) -> tuple[FactsAnswer, ...]:
    """Give what is known of hosts, and ask those of which nothing is, or of another machine.

    Args:
        setup: The fleet.
        hosts: Which.
        refresh: Whether all are asked.

    Returns:
        An answer for each, in their order; one that does not answer keeps nobody waiting.
    """
    folder = cache.folder_of(setup)
    before = {host.name: cache.known(folder, host.name) for host in hosts}
    asked = [host for host in hosts if refresh or cache.known_of(folder, host) is None]
    answers = await ask_each(setup, asked, lambda host, executor: ask_facts(executor, host))
    said = {answer.host.name: answer.said for answer in answers}
    found = []
    for host in hosts:
        facts, old = said.get(host.name), before[host.name]
        if isinstance(facts, StepError):
            found.append(FactsAnswer(host, None, old, asked=True, error=facts))
        elif facts is None:
            found.append(FactsAnswer(host, old, old))
        else:
            not_kept = _keep(setup, host, facts)
            found.append(FactsAnswer(host, facts, old, asked=True, not_kept=not_kept))
    return tuple(found)


def import_report(setup: Setup, host: Host, file: Path) -> FactsAnswer:
    """Take what is known of a host from a report of nixos-facter, as old as its file.

    Raises:
        UsageError: It cannot be read, or is no such report.
        StepError: What it says cannot be kept.
    """
    folder = cache.folder_of(setup)
    try:
        with file.open("rb") as stream:
            text = stream.read(_REPORT).decode(errors="replace")
            at = datetime.fromtimestamp(os.fstat(stream.fileno()).st_mtime, UTC)
        facts = Facts("", at, read_report(text))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{file} is no report of nixos-facter that can be read: {cause_of(error)}",
            hint="make one on the host: sudo nix run nixpkgs#nixos-facter -- -o facter.json",
        ) from None
    before = cache.known(folder, host.name)
    cache.remember(folder, host.name, facts)
    return FactsAnswer(host, facts, before)


def _keep(setup: Setup, host: Host, facts: Facts) -> StepError | None:
    try:
        cache.remember(cache.folder_of(setup), host.name, facts)
    except StepError as error:
        return error
    return None


async def ask_facts(executor: Executor, host: Host, deadline: float = _SECONDS) -> Facts:
    """Ask one host; where root is not to be had, what everybody may read.

    Raises:
        UnreachableError: The connection was lost.
        StepError: It did not answer to the end.
        RefusedError: It is another machine than the inventory says.
    """
    done = await _ask(executor, deadline)
    require_end(executor, done, "end=", "what it is made of", "/sys")
    machine_id, facts = read(done.out)
    require_machine(host, machine_id)
    return Facts(machine_id, datetime.now(UTC), facts)


async def _ask(executor: Executor, deadline: float) -> CommandResult:
    argv = script(QUESTION)
    try:
        return await executor.run(argv, deadline=deadline)
    except RefusedError:
        return await executor.run(argv, deadline=deadline, root=False)
