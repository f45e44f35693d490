"""Whether a host runs all of its system: some parts of one count from the next boot on only."""

from __future__ import annotations

from collections.abc import Mapping

PARTS = ("kernel", "initrd", "kernel-modules", "kernel-params", "systemd")
"""What of a system counts from its boot on, by its names in the toplevel."""


def needs_boot(booted: Mapping[str, str], target: Mapping[str, str]) -> tuple[str, ...]:
    """Find the parts that take effect at the next boot only.

    Args:
        booted: Of the system that the host booted: a path or a text for each of ``PARTS``; what it
            does not have is left out.
        target: Of the system that it is to run.

    Returns:
        Names of parts; none where a boot would change nothing.
    """
    return tuple(part for part in PARTS if booted.get(part) != target.get(part))
