"""Files that the running system has otherwise: /etc, rights, boot entries, the store."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from orchestrator.core.store import StorePath
from orchestrator.security.model import Base, Declared, Finding, Kind, Severity, Wrapper
from orchestrator.security.plan.answer import AddedFile, Marked, Seen
from orchestrator.security.plan.owners import STORE, has, number

_CRON = re.compile(r"(cron|at\.|anacrontab)")
_HOW = {"changed": "a copy with another content", "gone": "nothing"}

_SUBORDINATE = 100_000
"""From here on numbers are those of users' containers: subuid(5)."""


def etc(seen: Seen, base: Base, declared: Declared) -> Iterator[Finding]:
    """Give files of /etc that are not the links that the system has there, and those it has not."""
    del declared
    for name, how in seen.pairs("etc"):
        if f"/etc/{name}" in base.paths:
            continue
        found = _HOW.get(how, "another file")
        severity = Severity.MODERATE if how == "changed" else Severity.HIGH
        yield _etc(Kind.ETC, name, "the running system's", found, severity)
    for one in seen.added:
        if f"/etc/{one.name}" in base.paths or _is_systems(seen, base, one):
            continue
        kind = Kind.CRON if _CRON.match(one.name) else Kind.ETC
        yield _etc(kind, one.name, "no such file", f"a file of {one.owner}", Severity.HIGH)
    for path, target in seen.pairs("link"):
        if target and not has(seen, base, target) and path not in base.paths:
            advice = "deploy, or boot: NixOS makes it anew"
            found = f"it leads to {target}"
            yield Finding(Kind.LINK, path, "a program of the system", found, Severity.HIGH, advice)


def _is_systems(seen: Seen, base: Base, one: AddedFile) -> bool:
    return bool(STORE.match(one.link)) and has(seen, base, one.link)


def _etc(kind: Kind, name: str, said: str, found: str, severity: Severity) -> Finding:
    advice = "if it is meant, declare it: environment.etc; else see who wrote it, and remove it"
    return Finding(kind, f"/etc/{name}", said, found, severity, advice)


def rights(seen: Seen, base: Base, declared: Declared) -> Iterator[Finding]:
    """Give files that give their owner's, a group's or the kernel's rights to who runs them."""
    for one in seen.setuid:
        if one.path not in base.paths:
            yield _setuid(seen, one)
    for (said,) in (row[:1] for row in seen.rows.get("capability", ()) if row and row[0] != "cut"):
        path, _, rights_ = said.rpartition(" ")
        path = path.removesuffix(" =")
        if path and path not in base.paths:
            found = f"it has {rights_.removeprefix('= ')}"
            yield _right(Kind.CAPABILITY, path, "no capability", found, Severity.HIGH)
    if declared.wrappers is not None:
        yield from _wrappers(seen, base, declared.wrappers)


def _setuid(seen: Seen, one: Marked) -> Finding:
    uid = number(one.owner)
    words = [word for bit, word in ((0o4000, "setuid"), (0o2000, "setgid")) if one.mode & bit]
    found = f"{' and '.join(words)}, of {seen.name_of(uid)}"
    severity = Severity.HIGH if one.mode & 0o4000 else Severity.MODERATE
    if one.mode & 0o4000 and uid == 0:
        severity = Severity.CRITICAL
    elif uid >= _SUBORDINATE or _is_in_home(seen, one):
        severity = Severity.NOTE
    return _right(Kind.SETUID, one.path, "no such file", found, severity)


def _is_in_home(seen: Seen, one: Marked) -> bool:
    """Whether a person gives away rights of his own from his own home."""
    account = seen.passwd.get(seen.name_of(number(one.owner)))
    home = account.home.rstrip("/") if account and account.uid != 0 else ""
    return bool(home) and one.path.startswith(f"{home}/")


def _right(kind: Kind, path: str, said: str, found: str, severity: Severity) -> Finding:
    advice = "if it is meant, declare it: security.wrappers; else take its rights: chmod, setcap -r"
    return Finding(kind, path, said, found, severity, advice)


def _wrappers(seen: Seen, base: Base, declared: Mapping[str, Wrapper]) -> Iterator[Finding]:
    for one in seen.wrappers:
        known = declared.get(one.path)
        path, found = f"/run/wrappers/bin/{one.path}", f"mode {one.mode:o}"
        if one.path.endswith(".real") or path in base.paths:
            continue
        if known is None:
            yield _right(Kind.SETUID, path, "no such wrapper", found, Severity.CRITICAL)
        elif bool(one.mode & 0o4000) and not known.setuid:
            yield _right(Kind.SETUID, path, "not setuid", found, Severity.CRITICAL)


def boots(seen: Seen, base: Base, declared: Declared) -> Iterator[Finding]:
    """Give boot entries that start none of the host's generations."""
    del base
    generations = seen.texts("generation")
    extra = declared.entries
    for name, init in seen.pairs("boot"):
        system = init.removesuffix("/init")
        if system in generations or (extra is not None and name in extra):
            continue
        if not init and extra is None:
            severity, found = Severity.NOTE, "an entry that starts no NixOS"
        elif system in seen.texts("invalid"):
            severity, found = Severity.NOTE, "an entry of a generation that was collected"
        else:
            # A generation may be deleted, and its entry and its paths still be there.
            stale = name.startswith("nixos-") and STORE.fullmatch(system)
            severity = Severity.LOW if stale else Severity.MODERATE
            found = f"it starts {init or 'no NixOS'}"
        advice = "see who made it; a deployment with a new generation writes NixOS's own anew"
        yield Finding(Kind.BOOT, name, "no such boot entry", found, severity, advice)


def kernel(seen: Seen, base: Base, declared: Declared) -> Iterator[Finding]:
    """Give modules that are not the booted kernel's, and programs that the kernel would start."""
    del declared
    for name in sorted(seen.texts("module")):
        advice = f"see where it comes from: modinfo {name}; the log: dmesg"
        found = "a module of the kernel that is loaded"
        yield Finding(
            Kind.MODULE, name, "no such module in the booted kernel's", found, Severity.HIGH, advice
        )
    for name, value in seen.pairs("helper"):
        path = value.removeprefix("|").split(" ", 1)[0]
        if not path.startswith("/") or has(seen, base, path):
            continue
        if path.startswith("/run/current-system/") or path in ("/sbin/poweroff", "/sbin/modprobe"):
            continue
        earlier = (stored := STORE.match(path)) and stored[0] in seen.texts("earlier")
        yield Finding(
            Kind.HELPER,
            name,
            "a program of the running system",
            f"the kernel starts {value}",
            Severity.NOTE if earlier else Severity.HIGH,
            "see who set it: sysctl kernel, /proc/sys/fs/binfmt_misc; a boot sets it back",
        )


def store(seen: Seen, base: Base, declared: Declared) -> Iterator[Finding]:
    """Give paths of the closure whose content is not what Nix has recorded."""
    del base, declared
    for path in sorted(seen.texts("modified")):
        try:
            name = StorePath.parse(path).path
        except ValueError:
            continue
        advice = "take the host from the net; repair: nix-store --verify --check-contents --repair"
        yield Finding(
            Kind.STORE, name, "its recorded content", "another content", Severity.CRITICAL, advice
        )


def own(seen: Seen, base: Base, declared: Declared) -> Iterator[Finding]:
    """Give files of the guard's and of sshd's that others than root may write, or read."""
    del base, declared
    for one in _loose(seen):
        found = f"mode {one.mode:o}, of {one.owner}"
        advice = f"chown root and chmod go-rwx {one.path}; see who changed it"
        yield Finding(Kind.OWN, one.path, "root's alone", found, Severity.HIGH, advice)


def _loose(seen: Seen) -> Iterator[Marked]:
    for row in seen.rows.get("loose", ()):
        if len(row) > 2 and (mode := _octal(row[0])) is not None:
            yield Marked(mode, row[1], "", row[2])


def _octal(text: str) -> int | None:
    return int(text, 8) if re.fullmatch("[0-7]{1,6}", text) else None


def logins(seen: Seen, base: Base, declared: Declared) -> Iterator[Finding]:
    """Give addresses that were refused within a day: an alarm where one got in after many."""
    del base, declared
    for one in sorted(seen.logins, key=lambda one: -one.failed)[:20]:
        late = one.accepted > 0 and one.failed >= 20
        found = f"{one.failed} refused logins within 24 h"
        yield Finding(
            Kind.LOGIN,
            one.source,
            "",
            f"{found}, and {one.accepted} that got in" if one.accepted else found,
            Severity.LOW if late else Severity.NOTE,
            "see who: journalctl --since=-24h -t sshd -t sshd-session",
        )
