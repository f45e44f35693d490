"""What a deployment can and cannot prove on a host, each sentence from a fact that was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.core.host import Host
from orchestrator.core.state import AttemptState, HostState
from orchestrator.core.units import listing, size_text, whole_number
from orchestrator.host.check import HostCheck

_CODES = {
    0: "the system was activated, and no unit is failed",
    1: "it stopped early: a pre-switch check refused, or the switch itself met an error",
    2: "the system was activated, and a part of its activation script failed",
    3: "the system was activated, and systemd could not be reloaded",
    4: "the system was activated, and units, jobs or a user's activation failed; units that failed "
    "before count too",
    11: "another switch had the lock, and nothing was activated; or an error (11) ended it midway",
    100: "nothing was activated: the new system's init interface is another; it takes a reboot",
}
"""Exit codes of ``switch-to-configuration test`` (switch-to-configuration-ng, src/main.rs)."""

_WORDS = {
    "": "it did not end",
    "timeout": "it did not end in time, and was ended",
    "killed": "it was ended by a signal",
    "locked": "it could not begin: another switch had the lock",
}


def activation_in_words(activation: str) -> str:
    """Explain how an activation ended, as the guard wrote it down: an exit code or a word.

    Args:
        activation: As :attr:`orchestrator.core.state.Attempt.activation` has it.
    """
    if (words := _WORDS.get(activation)) is not None:
        return words
    code = whole_number(activation)
    if code is None:
        return "how it ended is not understood"
    if code in _CODES:
        return f"exit {code}: {_CODES[code]}"
    return f"exit {code}, which NixOS gives no meaning: the log of that run has what was said"


@dataclass(frozen=True, slots=True)
class Promise:
    """One thing that can be promised of a host, or not.

    Attributes:
        kept: Whether it can.
        text: The fact, and what follows.
    """

    kept: bool
    text: str


def promises(host: Host, found: HostCheck) -> tuple[Promise, ...]:
    """Say what a deployment can and cannot prove there; what can be is said first."""
    said = [one for find in _FINDERS for one in find(host, found)]
    return tuple(sorted(said, key=lambda one: not one.kept))


def _boot(_: Host, found: HostCheck) -> Iterator[Promise]:
    state, said = found.state, found.said
    if state.boot_source.is_boot_loader:
        entry = f", entry {said.boot_entry}" if said.boot_entry else ""
        where = f"{said.boot_file or state.boot_source.value}{entry}"
        yield Promise(True, f"what boots next is read from {where}: a deployment proves it")
    elif said.boot_file:
        yield Promise(
            False,
            f"the default in {said.boot_file} cannot be read: what boots next cannot be proved; a "
            "deployment proves the running system and the profile",
        )
    else:
        yield Promise(
            False,
            "no boot loader file found: what boots next cannot be proved; a deployment proves the "
            "running system and the profile",
        )
    yield from _second_opinion(found)


def _second_opinion(found: HostCheck) -> Iterator[Promise]:
    state, bootctl = found.state, found.said.bootctl
    if bootctl is not None and bootctl.system is not None and state.boot_source.is_boot_loader:
        same = bootctl.system == state.boot_default
        agrees = "agrees" if same else f"names another default, {bootctl.system.short}"
        effect = "" if same else ": believe neither before a reboot has shown it"
        yield Promise(same, f"bootctl {agrees}{effect}")
    if next_entry := (found.said.grubenv or {}).get("next_entry"):
        yield Promise(
            False,
            f"GRUB boots {next_entry} once (next_entry in grubenv): the next boot is not its "
            "default",
        )


def _systems(host: Host, found: HostCheck) -> Iterator[Promise]:
    state = found.state
    if state.running is None or state.profile is None:
        missing = "no NixOS system runs" if state.running is None else "there is no system profile"
        yield Promise(
            False, f"{missing}: there is nothing to roll back to, and deploys are refused"
        )
        return
    yield Promise(True, f"a deployment that fails rolls back to {state.running.short}")
    if (name := state.specialisation) and not state.is_foreign:
        kept = host.specialisation.of(name) == name
        then = "keeps it, if the new system has it" if kept else "switches away from it"
        of = state.running_as[0].system.short
        yield Promise(kept, f"it runs specialisation {name!r} of {of}: a deployment {then}")
    elif state.running != state.profile:
        yield Promise(
            False,
            f"the running system is not the profile's, {state.profile.short} (a test, or a switch "
            "that was cut off): a deployment switches away from it",
        )
    if state.boot_source.is_boot_loader and state.boot_default != state.running:
        other = state.boot_default.short if state.boot_default else "nothing known"
        yield Promise(False, f"a reboot changes what runs: the boot default is {other}")


def _switch(_: Host, found: HostCheck) -> Iterator[Promise]:
    running = found.said.values.get("interface.running")
    profile = found.said.values.get("interface.profile")
    if running and profile and running != profile:
        yield Promise(
            False,
            f"the running system's init interface is {running}, the profile's {profile}: NixOS "
            "refuses a live switch between them (exit 100); it takes a reboot",
        )
    if found.facts.activations:
        yield Promise(False, "a system is being activated now: a deployment is refused until then")
    elif found.facts.activations is not None:
        yield Promise(True, "nobody activates a system now; the lock of NixOS's switch is free")


def _root(_: Host, found: HostCheck) -> Iterator[Promise]:
    login, user = found.login, found.facts.user
    if user != 0:
        yield Promise(False, "commands do not run as root there: nothing can be changed")
    elif login.sudo and login.password:
        yield Promise(
            False,
            f"{login.by} asks {login.user} for a password: what runs without a person (CI, "
            "pending deliver --watch) cannot deploy",
        )
    else:
        sudo = f"{login.user} becomes root by {login.by} without a password"
        how = sudo if login.sudo else "the login is root's"
        yield Promise(True, f"{how}: deployments need no person")


def _nix(host: Host, found: HostCheck) -> Iterator[Promise]:
    values = found.said.values
    if "nix" not in values:
        yield Promise(False, "no nix answers there: nothing can be copied to the host")
    elif values.get("nix.sandbox") in ("false", "relaxed") and str(host.build) == "target":
        yield Promise(
            False,
            f"it builds its own system (build: target), and its sandbox is "
            f"{values['nix.sandbox']}: that a build depends on nothing else is not proved",
        )
    if found.facts.read_only:
        # What is mounted may be another machine's.
        places = [text.partition(" (")[0] for text in found.facts.read_only]
        yield Promise(False, f"mounted read-only: {listing(places)}")
    store = found.facts.store
    if store is None:
        yield Promise(False, "how much is free in the store's file system is not known")
    elif store.free < host.preflight.store_margin:
        yield Promise(
            False,
            f"{size_text(store.free)} are free in the store's file system: a deployment leaves "
            f"{size_text(host.preflight.store_margin)} over, and is refused",
        )


def _systemd(_: Host, found: HostCheck) -> Iterator[Promise]:
    word, failed = found.said.values.get("systemd.state", ""), found.state.failed_units
    if word in ("", "offline", "unknown"):
        yield Promise(
            False,
            "systemd does not answer: the guard cannot run, and nothing is changed without it",
        )
    elif word in ("starting", "initializing", "stopping", "maintenance"):
        yield Promise(False, f"systemd is {word}: deploy once that has ended")
    if failed:
        yield Promise(
            False,
            f"failed already: {listing(failed)}; that is not held against a deployment, and its "
            "activation ends with exit 4 as long as they fail",
        )


def _people(_: Host, found: HostCheck) -> Iterator[Promise]:
    state = found.state
    if state.hold is not None:
        yield Promise(False, f"held ({state.hold.id}): deploys are refused without --override-hold")
    if state.lock is not None and state.lock.is_live:
        yield Promise(False, "another deployment has its lock: deploys are refused until it ends")
    if words := _attempt(state):
        yield Promise(False, words)


def _attempt(state: HostState) -> str:
    attempt = state.attempt
    if attempt is None:
        return ""
    if attempt.state.in_flight:
        gone = "; its guard is gone" if attempt.guard_gone else ""
        return f"a deployment changes it now ({attempt.state.value}){gone}"
    if attempt.state is AttemptState.STUCK:
        return "the last deployment could not be rolled back whole: the next one settles it"
    if attempt.unreached:
        return "the last deployment was rolled back, and nobody has got in since before this"
    return ""


def _understood(host: Host, found: HostCheck) -> Iterator[Promise]:
    if (system := found.said.values.get("os.ID")) != "nixos":
        yield Promise(
            False,
            f"os-release names {system or 'nothing'}, and not nixos: what is seen on this host "
            "is no proof of how NixOS behaves",
        )
    if found.state.another_than(host.name):
        yield Promise(
            False,
            "this machine was deployed under another host's name: is the address right?",
        )
    if found.said.odd:
        yield Promise(False, f"said and not understood: {listing(found.said.odd, 20)}")


_FINDERS = (_boot, _systems, _switch, _root, _nix, _systemd, _people, _understood)
