"""What a look at a host found, drawn: the text that a bug report carries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata

from orchestrator.core.host import Host
from orchestrator.core.state import HostState
from orchestrator.core.store import OutPath
from orchestrator.core.units import listing, size_text
from orchestrator.host.check import CheckAnswer, HostCheck
from orchestrator.host.promises import Promise, activation_in_words, promises
from orchestrator.host.specialisations import runs_in_words
from orchestrator.render.output import Colour, Output, clean, pad
from orchestrator.render.report import draw_step_error, print_json

_UNITS = 20
"""Failed units that are named."""

_LONGEST = 500
"""Characters of one text."""

# As systemd writes it into the name of a unit, too: systemd-escape(1).
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:(?:-|\\x2d)[0-9A-Fa-f]{4}){3}(?:-|\\x2d)[0-9A-Fa-f]{12}")
# The names of units of disks have serial numbers, as those below /dev/disk have.
_DISK = re.compile(r"(by(?:-|\\x2d)[a-z]+[-/])[^.,; ]+")
_HOLDER = re.compile(r"process ([0-9]+) \((\S*).*\) has locked (/run/\S+)")


def draw_check(
    answers: Sequence[CheckAnswer], results: Output, words: Output, *, as_json: bool
) -> None:
    """Draw each host. What tells one machine from all others is left out of it.

    Args:
        answers: Of the hosts.
        results: What was found.
        words: Why a host did not say.
        as_json: As one JSON object instead.
    """
    if as_json:
        print_json(results, {answer.host.name: _answer_json(answer) for answer in answers})
        return
    for answer in answers:
        if answer.error is not None:
            draw_step_error(answer.host.name, answer.error, words)
        elif answer.found is not None:
            _draw(answer.host, answer.found, results)


def _draw(host: Host, found: HostCheck, results: Output) -> None:
    hide = _hider(found.state)
    name = results.paint(host.name, Colour.STRONG)
    results.line(f"{name} (orchestrator {metadata.version('orchestrator')})")
    for what, text in _rows(found):
        results.line(f"  {pad(what, 12)}{clean(hide(text))}")
    for one in promises(host, found):
        word, colour = ("can", Colour.GOOD) if one.kept else ("cannot", Colour.WARN)
        results.line(f"  {results.paint(pad(word, 12), colour)}{clean(hide(one.text))}")


def _hider(state: HostState) -> Callable[[str], str]:
    """Give what takes a machine's ids, and those of its file systems, out of a text."""
    ids = [one for one in (state.machine_id, state.boot_id) if one]

    def hide(text: str) -> str:
        for one in ids:
            text = text.replace(one, "…")
        return _UUID.sub("…", _DISK.sub(r"\1…", text))[:_LONGEST]

    return hide


def _rows(found: HostCheck) -> Iterator[tuple[str, str]]:
    """Say what was found, a line for each part of the host."""
    yield "login", _login(found)
    yield "system", _system(found)
    yield "boot loader", _loader(found)
    yield from _second_opinion(found)
    yield "systems", _systems(found.state)
    yield "nix", _nix(found)
    yield "systemd", _systemd(found)
    yield "free", _free(found)
    yield "switch", _switch(found)
    yield "last deploy", _last(found.state)


def _login(found: HostCheck) -> str:
    login = found.login
    key = f" by key {login.fingerprint}" if login.key else ""
    if not login.sudo:
        return f"{login.user}{key}"
    return f"{login.user}{key}; {login.by} {'with' if login.password else 'without'} a password"


def _system(found: HostCheck) -> str:
    said = found.said.values
    release = said.get("nixos.nixosVersion") or said.get("os.VERSION_ID", "")
    parts = (
        f"{said.get('os.ID', 'not known')} {release}".strip(),
        _named("nixpkgs", said.get("nixos.nixpkgsRevision")),
        _named("configuration", said.get("nixos.configurationRevision")),
        said.get("machine"),
        _named("kernel", said.get("kernel")),
        _named("in", said.get("virt") if said.get("virt") != "none" else None),
    )
    return ", ".join(part for part in parts if part)


def _named(name: str, text: str | None) -> str | None:
    return f"{name} {text}" if text else None


def _loader(found: HostCheck) -> str:
    state, said = found.state, found.said
    entry = f", entry {said.boot_entry}" if said.boot_entry else ""
    if state.boot_source.is_boot_loader:
        return f"{state.boot_source.value}: {said.boot_file}{entry}"
    if said.boot_file:
        return f"{said.boot_file}{entry}: its default cannot be read"
    return "no file of systemd-boot, GRUB or extlinux found"


def _second_opinion(found: HostCheck) -> Iterator[tuple[str, str]]:
    said = found.said
    if said.bootctl is None:
        yield "bootctl", "not there, or it does not answer in JSON"
    else:
        system = f", which starts {said.bootctl.system.short}" if said.bootctl.system else ""
        default = said.bootctl.default or "none"
        yield "bootctl", f"default {default}{system}; {said.bootctl.entries} entries"
    if product := said.values.get("loader_product"):
        secure = said.values.get("secure_boot", "not known")
        yield "firmware", f"started {product}; secure boot {secure}"
    if said.grubenv is not None:
        listed = ", ".join(f"{name}={value}" for name, value in said.grubenv.items() if value)
        yield "grubenv", listed or "chooses nothing"


def _systems(state: HostState) -> str:
    """Name what runs, and what of the others is another one."""
    others = (
        ("profile", state.profile),
        ("boots", state.boot_default),
        ("booted", state.booted),
    )
    said = [f"runs {runs_in_words(state) if state.running else _short(None)}"]
    said += [
        f"{what} {'the same' if path == state.running else _short(path)}" for what, path in others
    ]
    assumed = "" if state.boot_source.is_boot_loader else " (boots: by the profile, not proved)"
    return ", ".join(said) + assumed


def _short(path: OutPath | None) -> str:
    return "nothing known" if path is None else path.short


def _nix(found: HostCheck) -> str:
    said = found.said
    if "nix" not in said.values:
        return "not there"
    trusted = {None: "not known", True: "yes", False: "no"}[said.trusted]
    socket = "yes" if "nix.socket" in said.values else "no"
    units = said.values.get("nix.daemon", "not known")
    sandbox = said.values.get("nix.sandbox", "not known")
    return (
        f"{said.values['nix']}; daemon's socket {socket} (units: {units}); "
        f"{found.login.user} trusted: {trusted}; sandbox {sandbox}"
    )


def _systemd(found: HostCheck) -> str:
    said, failed = found.said.values, found.state.failed_units
    word = said.get("systemd.state", "does not answer")
    units = f"; failed: {listing(failed, _UNITS)}" if failed else ""
    return f"{said.get('systemd', 'version not known')}; {word}{units}"


def _free(found: HostCheck) -> str:
    store, boot = found.facts.store, found.facts.boot
    said = [f"{size_text(store.free)} in the store" if store else "not known in the store"]
    if boot is not None:
        said.append(f"{size_text(boot.room.free)} in {boot.folder}")
    return ", ".join(said)


def _switch(found: HostCheck) -> str:
    held = _holders(found)
    lock = "not known whether its lock is free" if held is None else "its lock is free"
    if held:
        lock = ", ".join(held)
    interface = found.said.values.get("interface.running", "not there")
    return f"{lock}; init-interface-version {interface}"


def _holders(found: HostCheck) -> tuple[str, ...] | None:
    """Say what activates a system, by programs' names: their arguments may be anything."""
    if found.facts.activations is None:
        return None
    return tuple(_holder(text) for text in found.facts.activations)


def _holder(text: str) -> str:
    if locked := _HOLDER.fullmatch(text):
        process, program, file = locked.groups()
        return f"process {process} ({program.rpartition('/')[2]}) has locked {file}"
    return text if text.endswith(" is at work") else "another process"


def _last(state: HostState) -> str:
    attempt = state.attempt
    if attempt is None:
        return "none is recorded" if state.record is None else "its record alone is left"
    activation = activation_in_words(attempt.activation) if attempt.goal.activates else "none"
    return f"{attempt.goal.value}: {attempt.state.value}; activation: {activation}"


def _answer_json(answer: CheckAnswer) -> Mapping[str, object]:
    if answer.found is None:
        assert answer.error is not None
        return {"reachable": False, "message": answer.error.message, "hint": answer.error.hint}
    found = answer.found
    said = promises(answer.host, found)
    answered: dict[str, object] = {
        "reachable": True,
        "orchestrator": metadata.version("orchestrator"),
        "login": {
            "user": found.login.user,
            "key": found.login.fingerprint or None,
            "sudo": found.login.sudo,
            "become": found.login.by,
            "sudo_password": found.login.password,
        },
        **_machine_json(found),
        **_boot_json(found),
        "last_deploy": _last_json(found.state),
        "locked": found.state.lock is not None and found.state.lock.is_live,
        "held": found.state.hold is not None,
        "can": _texts(said, kept=True),
        "cannot": _texts(said, kept=False),
        "not_understood": list(found.said.odd),
    }
    return {key: _hidden(value, _hider(found.state)) for key, value in answered.items()}


def _texts(said: Sequence[Promise], *, kept: bool) -> list[str]:
    return [one.text for one in said if one.kept is kept]


def _hidden(value: object, hide: Callable[[str], str]) -> object:
    """Take ids out of every text of a JSON value."""
    match value:
        case str():
            return hide(value)
        case dict():
            return {key: _hidden(one, hide) for key, one in value.items()}
        case list():
            return [_hidden(one, hide) for one in value]
        case _:
            return value


def _machine_json(found: HostCheck) -> dict[str, object]:
    said, facts = found.said.values, found.facts
    held = _holders(found)
    return {
        "system": {name: said.get(key) for name, key in _SYSTEM.items()},
        "nix": {
            "version": said.get("nix"),
            "socket": "nix.socket" in said,
            "daemon": said.get("nix.daemon"),
            "trusted": found.said.trusted,
            "sandbox": said.get("nix.sandbox"),
        },
        "systemd": {
            "state": said.get("systemd.state"),
            "failed": list(found.state.failed_units[:_UNITS]),
            "more_failed": max(len(found.state.failed_units) - _UNITS, 0),
        },
        "free": {
            "store": facts.store.free if facts.store else None,
            "boot": facts.boot.room.free if facts.boot else None,
        },
        "switch": {
            "running": None if held is None else list(held),
            "init_interface_version": said.get("interface.running"),
            "profile_init_interface_version": said.get("interface.profile"),
        },
    }


_SYSTEM = {
    "os": "os.ID",
    "os_version": "os.VERSION_ID",
    "os_build": "os.BUILD_ID",
    "nixos": "nixos.nixosVersion",
    "nixpkgs_revision": "nixos.nixpkgsRevision",
    "configuration_revision": "nixos.configurationRevision",
    "kernel": "kernel",
    "machine": "machine",
    "virtualisation": "virt",
    "systemd": "systemd",
}
"""A name in JSON → the key of what the host said."""


def _boot_json(found: HostCheck) -> dict[str, object]:
    state, said = found.state, found.said
    bootctl = said.bootctl
    return {
        "boot_loader": {
            "kind": state.boot_source.value if state.boot_source.is_boot_loader else None,
            "file": said.boot_file or None,
            "entry": said.boot_entry or None,
            "bootctl": bootctl
            and {
                "default": bootctl.default or None,
                "system": _path(bootctl.system),
                "entries": bootctl.entries,
            },
            "product": said.values.get("loader_product"),
            "secure_boot": said.values.get("secure_boot"),
            "grubenv": None if said.grubenv is None else dict(said.grubenv),
        },
        "systems": {
            "running": _path(state.running),
            "profile": _path(state.profile),
            "boot_default": _path(state.boot_default),
            "booted": _path(state.booted),
        },
    }


def _path(path: OutPath | None) -> str | None:
    return None if path is None else path.path


def _last_json(state: HostState) -> dict[str, object] | None:
    if (attempt := state.attempt) is None:
        return None
    return {
        "state": attempt.state.value,
        "goal": attempt.goal.value,
        "target": attempt.target.path,
        "activation": attempt.activation or None,
        "meaning": activation_in_words(attempt.activation) if attempt.goal.activates else None,
    }
