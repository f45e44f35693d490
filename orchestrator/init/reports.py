"""Reports of nixos-facter beside a fleet's hosts: what they propose for ``hardware:``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from orchestrator.core import beneath
from orchestrator.core.values import replace
from orchestrator.facts.plan.facter import read_report
from orchestrator.facts.plan.overrides import proposed
from orchestrator.init.model import NewHost, Said

_PLACES = ("hosts/{}/facter.json", "machines/{}/facter.json", "{}/facter.json", "facter/{}.json")
_MOST = 64 << 20
"""Bytes of a report."""


def with_hardware(own: Path, hosts: Iterable[NewHost]) -> tuple[NewHost, ...]:
    """Give hosts what their reports propose; one without a report stays as it is.

    Args:
        own: The fleet's own folder.
        hosts: The new ones.
    """
    return tuple(_with_report(own, host) for host in hosts)


def _with_report(own: Path, host: NewHost) -> NewHost:
    for file in (place.format(host.attr) for place in _PLACES):
        try:
            said = proposed(read_report(beneath.read(own, file, _MOST).decode(errors="replace")))
        except (OSError, ValueError):
            continue
        if said:
            return replace(host, values={**host.values, "hardware": Said(said, file)})
    return host
