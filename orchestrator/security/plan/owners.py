"""Whose a process is, by its control group: a declared unit's, a person's, a container's, nobody's.

systemd alone moves processes between the groups of its units; who is root can do it, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from orchestrator.core.units import whole_number
from orchestrator.security.model import Base, Declared
from orchestrator.security.plan.answer import Seen, Unit

STORE = re.compile(r"/nix/store/[0-9a-z]{32}-[0-9A-Za-z+._?=-]+")

_GENERATED = ("/run/systemd/generator/", "/run/systemd/generator.early/")
_LATE = "/run/systemd/generator.late/"
_OF_UNITS = "/etc/systemd/system/"
_PERSON = re.compile(r"/user\.slice/user-([0-9]{1,10})\.slice(?:/|$)")
_CONTAINER = re.compile(
    r"/(?:machine\.slice/|system\.slice/(?:docker|libpod|crio|cri-containerd|nerdctl)-"
    r"|(?:docker|kubepods|kubepods\.slice|lxc|lxc\.payload)[./]|libpod_parent)"
)


# Units that start what people want: of these only the server itself is the unit's.
_SPAWNS = re.compile(
    r"(sshd?|dropbear|crond?|atd|(serial-)?getty|autovt|nix-daemon)(@.*)?\.service"
)
_SERVERS = re.compile(r"(.*/)?(sshd(-.*)?|dropbear|crond?|atd|nix|nix-daemon)( \(deleted\))?")


class Owner(Enum):
    """Whose a process is, the most harmless first."""

    UNIT = "a unit of the configuration"
    PERSON = "a person's session"
    ROOT = "root's session"
    CONTAINER = "a container"
    TRANSIENT = "a transient unit"
    STRANGE = "a unit that nobody declared"
    NOBODY = "no unit"


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose a process is, and the unit by name."""

    owner: Owner
    unit: str = ""

    @property
    def text(self) -> str:
        """As a person reads it."""
        return f"{self.owner.value} ({self.unit})" if self.unit else self.owner.value


def has(seen: Seen, base: Base, path: str) -> bool:
    """Whether a path is of the running closure, or of the base image."""
    found = STORE.match(path)
    return found[0] in seen.texts("closure") if found else path in base.paths


def is_declared(seen: Seen, base: Base, unit: Unit) -> bool:
    """Whether a unit is the running system's, or made by what is: of generators, of the kernel."""
    path = unit.fragment
    if unit.transient:
        return False
    if not path or path.startswith((*_GENERATED, _LATE)):
        return True
    if path.startswith(_OF_UNITS) and path.removeprefix(_OF_UNITS) in seen.texts("own-unit"):
        return True
    return has(seen, base, path)


def whose(seen: Seen, base: Base, declared: Declared, pid: int) -> Whose:
    """Say whose a process is."""
    group = seen.cgroups.get(pid, "")
    if found := _PERSON.match(group):
        return _in_session(seen, int(found[1]))
    if _CONTAINER.match(group) and declared.engines != ():
        return Whose(Owner.CONTAINER, group.rsplit("/", 1)[-1][:60])
    names = [part for part in group.split("/") if part.endswith((".service", ".scope"))]
    if not names:
        return Whose(Owner.NOBODY)
    process = seen.processes.get(pid)
    if process and _SPAWNS.fullmatch(names[0]) and not _SERVERS.fullmatch(process.exe):
        return _in_session(seen, process.uid)
    return of_unit(seen, base, names[0])


def _in_session(seen: Seen, uid: int) -> Whose:
    return Whose(Owner.PERSON if uid else Owner.ROOT, seen.name_of(uid))


def of_unit(seen: Seen, base: Base, name: str) -> Whose:
    """Say whose a unit's processes are."""
    if name == "init.scope":
        return Whose(Owner.UNIT, name)
    unit = seen.units.get(name)
    if unit is None:
        return Whose(Owner.STRANGE, name)
    if unit.transient:
        return Whose(Owner.TRANSIENT, name)
    return Whose(Owner.UNIT if is_declared(seen, base, unit) else Owner.STRANGE, name)


def is_person(declared: Declared, seen: Seen, uid: int) -> bool:
    """Whether a number is a person's that is declared; where that is not known, from 1000 on."""
    if declared.accounts is None:
        return 1000 <= uid < 30000
    account = declared.accounts.get(seen.name_of(uid))
    return account is not None and account.person


def pids_text(pids: tuple[int, ...]) -> str:
    """Name a few processes."""
    shown = ", ".join(map(str, pids[:3]))
    more = f" and {len(pids) - 3} more" if len(pids) > 3 else ""
    return f"process{'es' if len(pids) > 1 else ''} {shown}{more}"


def number(text: str) -> int:
    """Read a number; -1 for what is none."""
    found = whole_number(text)
    return -1 if found is None else found
