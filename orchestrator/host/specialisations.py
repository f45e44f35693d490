"""Specialisations on a host: of which systems something is one, and which ones a system has.

In the toplevel of a system NixOS links each of its specialisations, which is a whole system with a
path of its own, as ``specialisation/NAME`` (nixos/modules/system/activation/specialisation.nix).
What a host runs is the path; nothing there tells the name, or of which system it is one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from orchestrator.core.state import HostState
from orchestrator.core.store import OutPath, Specialised, is_specialisation

# Print `KEY_as=SYSTEM NAME` for each system there that a path is a specialisation of, the profile's
# first; nothing where it is the profile itself, as nearly always. What was only tried is no
# generation: the last attempt names it.
# $1 key  $2 the path, or nothing
SPECIALISES = r"""
specialises() {
  profiles=/nix/var/nix/profiles tried=
  [ -n "$2" ] && [ ! "$2" -ef "$profiles/system" ] || return 0
  while IFS='=' read -r key value; do
    case $key in target) tried=$value; break ;; esac
  done 2>/dev/null < /run/orchestrator/attempt
  for variant in "$profiles/system/specialisation"/* \
    "$profiles"/system-*-link/specialisation/* "${tried:-/nowhere}/specialisation"/*; do
    [ "$variant" -ef "$2" ] || continue
    system=$(cd -P -- "${variant%/specialisation/*}" && printf '%s' "$PWD")
    printf '%s_as=%s %s\n' "$1" "$system" "${variant##*/}"
  done | head -n 50
}
"""

# Find the path of a system's specialisation, into $live; nothing where it has none of that name.
# Print it as `live=PATH`, and `has=NAME` of each that it has.
# $system the system  $name the specialisation
VARIANT = r"""
variant() {
  live=$(cd -P -- "$system/specialisation/$name" 2>/dev/null && printf '%s' "$PWD")
  printf 'live=%s\n' "$live"
  for each in "$system"/specialisation/*; do
    [ ! -e "$each" ] || printf 'has=%s\n' "${each##*/}"
  done | head -n 50
}
"""


def parse_specialised(lines: Iterable[str], key: str) -> tuple[Specialised, ...]:
    """Read what ``SPECIALISES`` prints of a key; what is not understood of it is left out."""
    found = []
    for line in lines:
        if line.startswith(f"{key}_as="):
            path, _, name = line.partition("=")[2].partition(" ")
            with contextlib.suppress(ValueError):
                found.append(Specialised(OutPath.parse(path), name))
    return tuple(dict.fromkeys(found))


def parse_variant(lines: Iterable[str]) -> tuple[OutPath | None, tuple[str, ...]]:
    """Read what ``VARIANT`` prints: the specialisation's path, and which ones there are."""
    live, has = None, []
    for line in lines:
        key, _, value = line.partition("=")
        if key == "live" and live is None:
            with contextlib.suppress(ValueError):
                live = OutPath.parse(value)
        elif key == "has" and is_specialisation(value):
            has.append(value)
    return live, tuple(has)


def runs_in_words(state: HostState) -> str:
    """Name what a host runs: as a specialisation of another system, where it is one."""
    if state.running_as:
        return f"{state.running_as[0].system.short}, specialisation {state.specialisation}"
    return state.running.short if state.running else "no NixOS system"


def boots_in_words(state: HostState) -> str:
    """Name what a host boots, where it runs another."""
    if state.running_as and state.boot_default == state.running_as[0].system:
        return "the system itself"
    if state.booting_as:
        return f"{state.booting_as[0].system.short}, specialisation {state.booting_as[0].name}"
    return state.boot_default.short if state.boot_default else "nothing known"


def unexpected_system(state: HostState) -> list[str]:
    """Say what a host runs, where that is not the very system that is its profile."""
    said = []
    if state.running_as:
        variant = state.running_as[0]
        said.append(f"running specialisation {variant.name} of {variant.system.short}")
    if state.is_foreign:
        said.append(f"runs a system that is not its profile's: {state.running}")
    return said


def specialisation_here(system: OutPath, name: str) -> OutPath | None:
    """Find a system's specialisation in the store of this machine."""
    link = Path(system.path, "specialisation", name)
    with contextlib.suppress(OSError, ValueError):
        return OutPath(str(link.resolve(strict=True))) if name else None
    return None


def specialisations_here(system: OutPath) -> tuple[str, ...] | None:
    """Name a system's specialisations; ``None`` where it is not in the store of this machine."""
    folder = Path(system.path)
    if not folder.exists():
        return None
    with contextlib.suppress(OSError):
        names = sorted(each.name for each in (folder / "specialisation").iterdir())
        return tuple(name for name in names if is_specialisation(name))
    return ()
