"""Processes whose executable the running closure does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.security.model import Base, Declared, Finding, Kind, Severity
from orchestrator.security.plan.answer import Process, Seen
from orchestrator.security.plan.owners import (
    STORE,
    Owner,
    Whose,
    has,
    is_person,
    pids_text,
    whose,
)

_DELETED = " (deleted)"
_PASSING = re.compile("/(tmp|var/tmp|dev/shm|run)/")
# What is started in the initrd and goes on, whose files are gone with it.
_INITRD = re.compile(r".*/(mdmon|plymouthd|dmeventd) \(deleted\)")
_CLOSURE = "an executable of the running system"
_EARLIER = "an earlier system's"


@dataclass(frozen=True, slots=True)
class _Judged:
    severity: Severity
    what: str
    advice: str


def processes(seen: Seen, base: Base, declared: Declared) -> Iterator[Finding]:
    """Give each executable that is foreign to the running closure, with who runs it."""
    found: dict[tuple[str, int], list[tuple[Process, Whose, _Judged]]] = {}
    for process in seen.processes.values():
        exe = process.exe.removesuffix(_DELETED)
        if has(seen, base, exe):
            continue
        owner = whose(seen, base, declared, process.pid)
        judged = _judge(seen, declared, process, owner)
        subject = _EARLIER if judged.what == _EARLIER else exe
        found.setdefault((subject, process.uid), []).append((process, owner, judged))
    for (subject, uid), all_of_it in found.items():
        process, owner, judged = max(all_of_it, key=lambda one: one[2].severity)
        pids = tuple(one.pid for one, _, _ in all_of_it)
        gone = ", whose file is gone" if process.exe.endswith(_DELETED) else ""
        yield Finding(
            Kind.PROCESS,
            subject,
            _CLOSURE,
            f"{pids_text(pids)} of {seen.name_of(uid)}, {owner.text}: {judged.what}{gone}",
            judged.severity,
            judged.advice,
        )


def _judge(seen: Seen, declared: Declared, process: Process, owner: Whose) -> _Judged:
    exe = process.exe.removesuffix(_DELETED)
    if found := STORE.match(exe):
        return _of_store(seen, process, owner, found[0])
    if _is_contained(seen, declared, process, owner):
        return _Judged(Severity.NOTE, "in a container or sandbox", "none needed")
    advice = f"see what it is, and what started it: systemctl status {process.pid}"
    if exe.startswith("/memfd:"):
        engine = owner.owner is Owner.UNIT and bool(declared.engines)
        severity = Severity.NOTE if engine else Severity.HIGH
        return _Judged(severity, "an executable that is in no file", advice)
    if process.uid == 0:
        return _Judged(*_of_root(declared, owner, exe), advice)
    return _Judged(*_of_user(seen, declared, process, owner, exe), advice)


def _of_store(seen: Seen, process: Process, owner: Whose, path: str) -> _Judged:
    if process.exe.endswith(_DELETED) and _INITRD.fullmatch(process.exe):
        return _Judged(Severity.NOTE, "of the initrd", "none needed")
    if path in seen.texts("invalid"):
        advice = f"nothing put it there by Nix: see nix-store --check-validity {path}"
        return _Judged(Severity.HIGH, "in the store, and unknown to Nix", advice)
    if path in seen.texts("earlier") or process.exe.endswith(_DELETED):
        return _Judged(Severity.NOTE, _EARLIER, "it is gone after its restart, or a reboot")
    quiet = owner.owner in (Owner.PERSON, Owner.ROOT, Owner.UNIT, Owner.CONTAINER)
    if quiet or process.pid in seen.inside or process.uid != 0:
        return _Judged(Severity.NOTE, "of the store, outside the running closure", "none needed")
    advice = f"see who keeps it: nix-store --query --roots {path}"
    return _Judged(Severity.LOW, "of the store, outside the running closure, as root", advice)


def _is_contained(seen: Seen, declared: Declared, process: Process, owner: Whose) -> bool:
    """Whether it is in a container that may be there, or in a person's own sandbox."""
    if process.pid not in seen.inside:
        return False
    if owner.owner is Owner.PERSON:
        return process.uid != 0
    return declared.engines != () and owner.owner in (Owner.CONTAINER, Owner.UNIT)


def _of_root(declared: Declared, owner: Whose, exe: str) -> tuple[Severity, str]:
    if owner.owner is Owner.UNIT and exe.startswith("/var/lib/"):
        unpacks = {*(declared.engines or ())} & {"k3s", "rke2"}
        if unpacks and exe.startswith("/var/lib/rancher/"):
            return Severity.NOTE, "what k3s and rke2 unpack"
        return Severity.MODERATE, "root runs what a unit keeps"
    return Severity.HIGH, "root runs what is not in the store"


def _of_user(
    seen: Seen, declared: Declared, process: Process, owner: Whose, exe: str
) -> tuple[Severity, str]:
    home = seen.passwd.get(seen.name_of(process.uid))
    person = is_person(declared, seen, process.uid)
    if home is not None and len(home.home) > 1 and exe.startswith(f"{home.home.rstrip('/')}/"):
        severity = Severity.NOTE if person else Severity.LOW
        return severity, "a program of its own home"
    if _PASSING.match(exe):
        severity = Severity.LOW if person and owner.owner is Owner.PERSON else Severity.MODERATE
        return severity, "a program in a folder for passing files"
    severity = Severity.LOW if owner.owner is Owner.UNIT else Severity.MODERATE
    return severity, "a program that is not in the store"
