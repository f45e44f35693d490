"""Which hosts a change of the fleet's files touches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.changes.knowledge import KnownSystems, fingerprints_of
from orchestrator.changes.model import Fingerprint, Known
from orchestrator.changes.plan import Comparison
from orchestrator.changes.source import snapshot_of
from orchestrator.changes.tree.snapshot import at_revision
from orchestrator.core.host import Host
from orchestrator.core.words import listing
from orchestrator.host.setup import Setup
from orchestrator.nix.context import context


async def affected(setup: Setup, hosts: Sequence[Host], since: str | None) -> Mapping[str, str]:
    """Name the hosts whose system may be another one now, each with the reason.

    A host is left out only where its system is known at both ends and is the same: what is not
    known is affected.

    Args:
        setup: The fleet.
        hosts: The hosts to look at.
        since: A revision of git's; without one, each host's last evaluation.

    Raises:
        StepError: There is no such revision, or the fleet's tree cannot be told.
    """
    if since is None:
        known = KnownSystems(setup, hosts)
        found = {host.name: await known.of(host) for host in hosts}
        return {name: one.reason for name, one in found.items() if not isinstance(one, Known)}
    now = Comparison(await snapshot_of(setup.flake))
    then = Comparison(await at_revision(setup.flake.folder, since))
    before, after = (_best(setup, hosts, held) for held in (then, now))
    return {
        host.name: _reason(before.get(host.attr), after.get(host.attr), then, now)
        for host in hosts
        if not _is_same(before.get(host.attr), after.get(host.attr), then, now)
    }


def _best(setup: Setup, hosts: Sequence[Host], held: Comparison) -> Mapping[str, Fingerprint]:
    attrs = [host.attr for host in hosts]
    store = fingerprints_of(setup.state)
    return store.find(attrs, context(setup.flake), held.tree, lambda known: not held.changes(known))


def _is_same(
    before: Fingerprint | None, after: Fingerprint | None, then: Comparison, now: Comparison
) -> bool:
    if before is None or after is None or then.changes(before) or now.changes(after):
        return False
    return before.evaluated == after.evaluated


def _reason(
    before: Fingerprint | None, after: Fingerprint | None, then: Comparison, now: Comparison
) -> str:
    if before is None or after is None:
        return "it was not evaluated before"
    if moved := now.changes(after) or now.changes(before):
        return f"{listing(moved)} changed"
    if then.changes(before):
        return "its system at that revision is not known"
    return "its system is another one"
