"""The phases of a deployment, each held open by real means so that a fault hits inside it.

A phase is *armed* before the deployment begins, *reached* when the deployment is inside, and
*released* once the fault has struck. Nothing here is known to the code under test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.host.preflight import PREFLIGHT
from orchestrator.host.scripts import LACKING
from tests.lab.faults.deployment import Deployment
from tests.lab.faults.ground import HOLDS, Ground, until

_REACH = 40.0
"""Seconds within which a deployment comes to any of its phases."""

_HOLD_ACTIVATION = f"""
  system.activationScripts.held.text = ''
    if [ -e {HOLDS}/hold-activation ]; then : > {HOLDS}/at-activation; fi
    while [ -e {HOLDS}/hold-activation ]; do sleep 0.05; done
  '';
"""
_PAYLOAD = """
  environment.etc."payload".source =
    pkgs.runCommand "payload-${marker}" { } "head -c 4000000 /dev/urandom > $out";
"""
_HELD_CHECK = """\
from pathlib import Path
import time

HERE = Path({folder!r})


def test_it_is_there(host):
    if (HERE / "hold-check").exists():
        (HERE / "at-check").touch()
    while (HERE / "hold-check").exists():
        time.sleep(0.05)
    assert host.file("/etc/hostname").content_string.strip() == "box"
"""
# A garbage collector that is at work holds this; nix-env --set then waits for it.
_HOLD_STORE = f"""
systemd-run --quiet --collect flock /nix/var/nix/gc.lock \
  sh -c 'while [ -e {HOLDS}/hold-store ]; do sleep 0.05; done'
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """A deployment into which a fault is brought."""

    ground: Ground
    deployment: Deployment

    def reach(self, phase: str, at: str | None = None, times: int = 1) -> None:
        """Wait until the deployment is in a phase, and the host at what is held."""
        until(
            lambda: self.deployment.has_entered(phase, times) or self.deployment.over,
            _REACH,
            f"phase {phase}",
        )
        assert self.deployment.has_entered(phase, times), (
            f"it ended before the phase {phase}: {self.deployment.result or self.deployment.words}"
        )
        if at is not None:
            until(lambda: self.ground.holds_at(at), _REACH, f"at {at}")


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase.

    Attributes:
        name: Its name in the table.
        enter: Brings a deployment into it, from its start, and holds it there.
        release: Lets it go on.
        body: What the system is configured with for that.
        arm: Done before the deployment is started.
    """

    name: str
    enter: Callable[[Scene], None]
    release: Callable[[Scene], None]
    body: str = ""
    arm: Callable[[Ground], None] = lambda _: None


def check_folder(ground: Ground) -> Path:
    """Where the verification looks whether it is held: on the deployer."""
    folder = ground.bench.home / "holds"
    folder.mkdir(exist_ok=True)
    return folder


def held_check(ground: Ground) -> str:
    """A verification that waits while it is told to."""
    return _HELD_CHECK.format(folder=str(check_folder(ground)))


def _release_login(scene: Scene) -> None:
    scene.ground.release("login")


def _arm_login(ground: Ground) -> None:
    ground.hold("login")


def _enter_connect(scene: Scene) -> None:
    scene.reach("ask", "login")


def _arm_preflight(ground: Ground) -> None:
    # A line of it as it is in a shell's quotes, and of no other script.
    lines = set(PREFLIGHT.splitlines()) - set(LACKING.splitlines())
    ground.hold("login", max((line for line in lines if "'" not in line), key=len))


def _enter_preflight(scene: Scene) -> None:
    scene.reach("preflight", "login")


def _slow(ground: Ground) -> None:
    ground.fault("slow", rate="4mbit")


def _enter_copy(scene: Scene) -> None:
    scene.reach("copy")
    received = "cat /sys/class/net/eth0/statistics/rx_bytes"
    begun = int(scene.ground.inside.sh(received))
    until(
        lambda: int(scene.ground.inside.sh(received)) > begun + 200_000,
        _REACH,
        "a part of the payload",
    )


def _release_copy(scene: Scene) -> None:
    scene.ground.widen()


def _arm_activation(ground: Ground) -> None:
    ground.hold("activation")


def _enter_activate(scene: Scene) -> None:
    scene.reach("activate", "activation")


def _release_activate(scene: Scene) -> None:
    scene.ground.release("activation")


def _enter_prove(scene: Scene) -> None:
    scene.reach("activate", "activation")
    scene.ground.hold("login")
    scene.ground.release("activation")
    scene.reach("prove", "login")


def _arm_check(ground: Ground) -> None:
    folder = check_folder(ground)
    (folder / "at-check").unlink(missing_ok=True)
    (folder / "hold-check").touch()


def _enter_verify(scene: Scene) -> None:
    scene.reach("verify")
    at = check_folder(scene.ground) / "at-check"
    until(at.exists, _REACH, "the verification")


def _release_check(scene: Scene) -> None:
    (check_folder(scene.ground) / "hold-check").unlink(missing_ok=True)


def _enter_confirm(scene: Scene) -> None:
    _enter_verify(scene)
    scene.ground.hold("login", " confirm ")
    _release_check(scene)
    scene.reach("commit", "login")


def _enter_commit(scene: Scene) -> None:
    _enter_verify(scene)
    scene.ground.hold("store")
    scene.ground.inside.sh(_HOLD_STORE)
    _release_check(scene)
    scene.reach("commit")
    waiting = "grep -l nix-env /proc/[0-9]*/comm || :"
    until(
        lambda: scene.ground.inside.sh(waiting) != "" or scene.deployment.over,
        _REACH,
        "nix-env --set",
    )
    assert not scene.deployment.over, f"the store was not held: {scene.deployment.result}"


def _release_commit(scene: Scene) -> None:
    scene.ground.release("store")


PHASES = {
    phase.name: phase
    for phase in (
        Phase("connect", _enter_connect, _release_login, arm=_arm_login),
        Phase("preflight", _enter_preflight, _release_login, arm=_arm_preflight),
        Phase("copy", _enter_copy, _release_copy, body=_PAYLOAD, arm=_slow),
        Phase(
            "activate", _enter_activate, _release_activate, _HOLD_ACTIVATION, arm=_arm_activation
        ),
        Phase("prove", _enter_prove, _release_login, _HOLD_ACTIVATION, arm=_arm_activation),
        Phase("verify", _enter_verify, _release_check, arm=_arm_check),
        Phase("confirm", _enter_confirm, _release_login, arm=_arm_check),
        Phase("commit", _enter_commit, _release_commit, arm=_arm_check),
    )
}
"""Every phase by its name, in their order."""
