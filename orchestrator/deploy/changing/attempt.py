"""What the guard on a host is asked to do."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from orchestrator.core.errors import RefusedError
from orchestrator.core.guard import Attempt
from orchestrator.core.plan import HostPlan
from orchestrator.core.state import HostState
from orchestrator.deploy.work import HostWork
from orchestrator.ssh.local import is_this_machine


def require_return(plan: HostPlan, before: HostState) -> None:
    """Refuse to change a host that has nothing to go back to.

    Raises:
        RefusedError: The host runs no NixOS system, or has no system profile or boot default.
    """
    missing = [
        what
        for what, path, needed in (
            ("a running NixOS system", before.running, True),
            ("a system profile", before.profile, plan.goal.commits),
            ("a boot default", before.boot_default, plan.goal.commits),
        )
        if needed and path is None
    ]
    if missing:
        repair = (
            "make what it runs its profile again: "
            "nix-env -p /nix/var/nix/profiles/system --set $(readlink -f /run/current-system)"
        )
        raise RefusedError(
            f"there is nothing to go back to: it has not {' nor '.join(missing)}",
            hint=repair if before.running else "install NixOS on it (nixos-install), then deploy",
        )


def attempt_of(work: HostWork, plan: HostPlan, before: HostState) -> Attempt:
    """Put a plan into the guard's words.

    Args:
        work: The host's share of the run.
        plan: What to do; its goal changes the host.
        before: The state to return to.

    Raises:
        RefusedError: As :func:`require_return`.
    """
    require_return(plan, before)
    session, host = work.session, work.host
    return Attempt(
        token=work.token,
        goal=plan.goal,
        target=plan.target.out,
        before=before,
        run=session.run.number,
        who=session.run.who,
        revision=session.run.revision,
        began=datetime.now(UTC),
        emergency=session.request.emergency,
        skipped=session.request.skip_preflight,
        activate_seconds=_seconds(host.deadlines.activate),
        confirm_seconds=_seconds(host.guard.confirm),
        health_seconds=_seconds(host.guard.health),
        over_ssh=not is_this_machine(host),
        last_resort=host.guard.last_resort,
    )


def _seconds(seconds: float) -> int:
    """What a host's shell can count with."""
    return max(1, math.ceil(seconds))
