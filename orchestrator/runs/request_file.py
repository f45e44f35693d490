"""What a run was asked for, kept in its folder, so that it can go on after a crash. No secrets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.core.errors import UsageError
from orchestrator.core.host import Absent, BuildOn, BuildSite
from orchestrator.core.plan import Goal
from orchestrator.core.rollout import Amount, RolloutPolicy, Wave, WhenSpent
from orchestrator.core.run import CopyMethod, DeployRequest, Reboot, Run
from orchestrator.runs.files import FORMAT, RunFiles

_FILE = "request.json"
_DEPLOYMENT = "deployment"


class NoDeploymentError(UsageError):
    """A run was none of the fleet's deployments."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A run's request, with the waves that it went.

    Attributes:
        revision: The fleet's, when the run began.
    """

    request: DeployRequest
    revision: str | None


def keep(run: Run, request: DeployRequest, waves: tuple[Wave, ...]) -> None:
    """Keep a request in the run's folder.

    Raises:
        OSError: It cannot be written.
    """
    content = {"format": FORMAT, "kind": _kind(request), "revision": run.revision}
    if content["kind"] == _DEPLOYMENT:
        content |= _to_json(request, waves)
    RunFiles(Path(run.folder)).write(_FILE, content)


def kept(folder: Path) -> Kept:
    """Read what a run was asked for.

    Raises:
        NoDeploymentError: It was no deployment from the fleet, or kept nothing.
        UsageError: What it kept cannot be read.
    """
    number = folder.name
    try:
        found = RunFiles(folder).read(_FILE)
        if found and found["kind"] == _DEPLOYMENT:
            return Kept(_from_json(found), found["revision"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"what run {number} was asked for cannot be read: {error}") from error
    match found.get("kind"):
        case "rollback":
            hint = "give the command again: orchestrator rollback"
        case "catch-up":
            hint = "what still waits is delivered by: orchestrator pending deliver"
        case _:
            raise NoDeploymentError(
                f"what run {number} was asked for is not known: it kept nothing of it",
                hint="give the command again: hosts that are at their target are left alone",
            )
    raise NoDeploymentError(f"run {number} was a {found['kind']}, no deployment", hint=hint)


def _kind(request: DeployRequest) -> str:
    if request.back is not None:
        return "rollback"
    return "catch-up" if request.catch_up else _DEPLOYMENT


def _to_json(request: DeployRequest, waves: tuple[Wave, ...]) -> dict[str, object]:
    policy, site = request.rollout, request.build
    return {
        "selectors": list(request.selectors),
        "goal": request.goal.value,
        "build": None if site is None else {"on": site.on.value, "builder": site.builder},
        "verify": request.verify,
        "force": request.force,
        "cache": request.cache,
        "emergency": request.emergency,
        "copy": request.copy.value if request.copy else None,
        "absent": request.absent.value if request.absent else None,
        "reboot": request.reboot.value,
        "skip_preflight": list(request.skip_preflight),
        "despite_hold": request.despite_hold,
        "all_must_build": request.all_must_build,
        "fast": request.fast,
        "budget": str(policy.budget) if policy.budget else None,
        "when_spent": policy.when_spent.value if policy.when_spent else None,
        "waves": [
            {"name": wave.name, "hosts": list(wave.hosts), "pause": wave.pause} for wave in waves
        ],
    }


def _from_json(found: dict[str, Any]) -> DeployRequest:
    site, copy, absent = found["build"], found["copy"], found["absent"]
    budget, when = found["budget"], found["when_spent"]
    return DeployRequest(
        selectors=tuple(found["selectors"]),
        goal=Goal(found["goal"]),
        build=BuildSite(BuildOn(site["on"]), site["builder"]) if site else None,
        verify=bool(found["verify"]),
        force=bool(found["force"]),
        cache=bool(found["cache"]),
        emergency=found["emergency"],
        copy=CopyMethod(copy) if copy else None,
        absent=Absent(absent) if absent else None,
        reboot=Reboot(found["reboot"]),
        skip_preflight=tuple(found["skip_preflight"]),
        despite_hold=found["despite_hold"],
        all_must_build=bool(found.get("all_must_build")),
        fast=bool(found.get("fast")),
        rollout=RolloutPolicy(
            budget=Amount.parse(budget) if budget else None,
            when_spent=WhenSpent(when) if when else None,
        ),
        waves=tuple(
            Wave(wave["name"], tuple(wave["hosts"]), float(wave["pause"]))
            for wave in found["waves"]
        ),
    )
