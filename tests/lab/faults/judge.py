"""What must hold of a host after a fault, whichever it was."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from tests.lab.faults.deployment import Deployment, Json
from tests.lab.faults.ground import HOST, USER, Ground
from tests.lab.faults.observe import Seen

_NAMED = re.compile(r"\b([0-9a-z]{5})…-nixos-system")
_LOGIN = 100.0
"""Seconds: sshd keeps an address out for up to 90 that it lost connections of (sshd_config(5))."""
_EXITS = {
    "deployed": {0},
    "unchanged": {0},
    "deferred": {3},
    "rolled_back": {1},
    "failed": {1, 4},
    "unreached": {1},
    "skipped": {1, 130},
}


@dataclass(frozen=True, slots=True)
class Systems:
    """The two systems that a host may end with.

    Attributes:
        old: What it ran before.
        new: What was to be deployed.
    """

    old: str
    new: str


def of_host(before: Seen, now: Seen, systems: Systems) -> list[str]:
    """What is wrong with a host that has come to rest."""
    wrong = []
    if len(now.systems) != 1:
        wrong.append(
            f"it runs {now.running}, its profile is {now.profile}, it boots {now.boot_default}"
        )
    if strange := now.systems - {systems.old, systems.new}:
        wrong.append(f"a third system: {strange}")
    if gone := before.generations - now.generations:
        wrong.append(f"generations are gone: {sorted(gone)}")
    if now.attempt == "stuck":
        wrong.append("the guard could not roll back")
    if now.stray and now.token != before.token:
        wrong.append(f"left behind: {', '.join(now.stray)}")
    if now.left:
        wrong.append(f"left behind: {', '.join(now.left)}")
    return wrong


def of_login(ground: Ground) -> list[str]:
    """What is wrong with the way in; a network that has just come back takes a moment."""
    end = time.monotonic() + _LOGIN
    while (error := ground.inside.login(USER)) is not None and time.monotonic() < end:
        time.sleep(0.3)
    return [] if error is None else [f"nobody can log in: {error}"]


def of_shut_door(ground: Ground) -> list[str]:
    """What is wrong where the deployer says that nobody gets in: that one does."""
    return [] if ground.inside.login(USER) is not None else ["it says unreached, and one gets in"]


def of_report(
    deployment: Deployment, before: Seen, now: Seen, systems: Systems, *, blind: bool
) -> list[str]:
    """What the deployer said that is not so.

    Args:
        deployment: One that ended by itself.
        before: What the host was before.
        now: What the host is, by its own files.
        systems: What it may be.
        blind: Whether the fault kept the deployer from knowing how the host ended.
    """
    result = deployment.result
    if result is None:
        return [f"no report: exit {deployment.exit_code}: {' '.join(deployment.words)[-2000:]}"]
    outcome = result["outcome"]
    wrong = []
    assert deployment.report is not None
    if deployment.report["exit_code"] != deployment.exit_code:
        wrong.append(f"it reports exit {deployment.report['exit_code']}")
    if deployment.exit_code not in _EXITS[outcome]:
        wrong.append(f"{outcome}, and exit {deployment.exit_code}")
    expected = {
        "deployed": {systems.new},
        "unchanged": {systems.new},
        "rolled_back": {systems.old},
        "unreached": {systems.old},
        "deferred": {systems.old},
        "skipped": {systems.old},
    }.get(outcome)
    if expected is not None and now.systems != expected:
        wrong.append(f"it says {outcome}, and the host is at {now.systems}")
    if outcome == "unreached" and now.attempt != "returned":
        wrong.append(f"it says {outcome}, and the attempt there is {now.attempt}")
    if outcome == "failed":
        wrong += _of_failure(result, before, now, systems, blind=blind)
    return wrong


def _of_failure(
    result: Json, before: Seen, now: Seen, systems: Systems, *, blind: bool
) -> list[str]:
    said = result.get("host_state")
    if said is None:
        untouched = now.systems == {systems.old} and now.token == before.token
        return [] if untouched else ["it says nothing of the host, which was changed"]
    if said.startswith("not known"):
        return [] if blind else [f"it does not know, and could: {said}"]
    digests = _NAMED.findall(said)
    if not digests:
        return [f"it does not name a system: {said}"]
    here = {path.removeprefix("/nix/store/")[:5] for path in now.systems}
    return [] if digests[0] in here else [f"it says '{said}', and the host is at {now.systems}"]


def _at_rest(ground: Ground) -> Seen:
    """Look once the guard's unit, which tells its end before it exits, is gone."""
    end = time.monotonic() + _LOGIN
    while (now := ground.look()).left and time.monotonic() < end:
        time.sleep(0.2)
    return now


def of_next(ground: Ground, before: Seen) -> tuple[list[str], list[str]]:
    """Deploy as anybody would next; the sentences that it told, and what is wrong."""
    done = ground.bench.deploy(HOST)
    if not done.out:
        return [], [f"the next run gave no report: {done}"]
    result = done.report["hosts"][HOST]
    now = _at_rest(ground)
    wrong = []
    if done.rc != 0:
        wrong.append(f"the next run ended with {done.rc}: {result}")
    if now.systems != {result["out_path"]}:
        wrong.append(f"the next run says {result['outcome']}, and the host is at {now.systems}")
    if now.left or now.stray or now.locked:
        wrong.append(f"after the next run: {now.left}, {now.stray}, locked: {now.locked}")
    if gone := before.generations - now.generations:
        wrong.append(f"after the next run generations are gone: {sorted(gone)}")
    return [event["text"] for event in done.events if event["type"] == "notice"], wrong
