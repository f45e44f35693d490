"""The faults that are brought into a phase."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.lab.faults.phases import Scene

_A_WHILE = 3.0
"""Seconds that a fault lasts which passes: longer than a connection takes to be given up."""


def _nothing(_: Scene) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault.

    Attributes:
        name: Its name in the table.
        words: What happens, for the table's reader.
        strike: Brings it, while the phase is held.
        passes: Ends it while the deployer goes on; without, it stays until the deployer has ended
            and the host has come to rest by itself.
        blinds: The deployer may not be able to know what became of the host.
        kills: The deployer ends without a report.
    """

    name: str
    words: str
    strike: Callable[[Scene], None]
    passes: Callable[[Scene], None] | None = None
    blinds: bool = False
    kills: bool = False


def _lab(kind: str, **options: object) -> Callable[[Scene], None]:
    return lambda scene: scene.ground.fault(kind, **options)


def _after_a_while(kind: str) -> Callable[[Scene], None]:
    def end(scene: Scene) -> None:
        time.sleep(_A_WHILE)
        scene.ground.fault(kind)

    return end


def _cut_sessions(scene: Scene) -> None:
    """Kill every process that serves an SSH connection, and none that listens."""
    scene.ground.inside.sh("pkill -KILL sshd-session || :")


def _power_cut(scene: Scene) -> None:
    scene.ground.fault("kill")


def _power_back(scene: Scene) -> None:
    scene.ground.fault("start")


def _kill_deployer(scene: Scene) -> None:
    scene.deployment.kill()


INJECTIONS = {
    injection.name: injection
    for injection in (
        Injection(
            "partition-returns",
            "the network is gone, and back after three seconds",
            _lab("partition"),
            _after_a_while("heal"),
        ),
        Injection(
            "partition-stays",
            "the network is gone until all has come to rest",
            _lab("partition"),
            blinds=True,
        ),
        Injection(
            "connection-killed",
            "every process of sshd that serves a connection is killed",
            _cut_sessions,
            _nothing,
        ),
        Injection("power-cut", "every process of the host ends; it boots", _power_cut, _power_back),
        Injection(
            "frozen-thaws",
            "the host hangs, and goes on after three seconds",
            _lab("freeze"),
            _after_a_while("thaw"),
        ),
        Injection(
            "frozen-stays",
            "the host hangs until the deployer has ended",
            _lab("freeze"),
            blinds=True,
        ),
        Injection(
            "disk-full",
            "nothing more can be written: /nix, /var, /boot",
            _lab("disk-full", size="0"),
        ),
        Injection(
            "memory-full",
            "4 MB of memory are left: the kernel kills what takes more",
            _lab("memory-full", size="4m"),
            blinds=True,
        ),
        Injection(
            "lossy",
            "a slow link that loses each tenth packet, each way",
            lambda scene: (_lab("slow", rate="2mbit")(scene), _lab("lossy", loss=10.0)(scene))[0],
        ),
        Injection(
            "deployer-killed",
            "the deployer is killed with SIGKILL",
            _kill_deployer,
            _nothing,
            kills=True,
        ),
    )
}
"""Every fault by its name."""
