"""Whether a system may be switched to while a host runs, or only be booted."""

from __future__ import annotations

from collections.abc import Mapping


def inhibitors(running: Mapping[str, str], target: Mapping[str, str]) -> tuple[str, ...]:
    """Find what keeps ``switch-to-configuration`` from switching live.

    As NixOS compares ``system.switch.inhibitors`` of both systems: a component that only one of
    them names is no reason.

    Args:
        running: A version or the like of each component, of the system that runs.
        target: Likewise of the system to switch to.

    Returns:
        Each with both versions, such as ``dbus-implementation: dbus -> broker``.
    """
    return tuple(
        f"{name}: {old} -> {target[name]}"
        for name, old in running.items()
        if name in target and target[name] != old
    )
