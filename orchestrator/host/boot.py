"""A host's next boot; what keeps a system from being switched to live, or from being left again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.executor import Executor
from orchestrator.core.store import OutPath
from orchestrator.core.units import parse_json, split_lines
from orchestrator.host.difference import COMPARE, Difference, parse_difference
from orchestrator.host.lock_scripts import values_of
from orchestrator.host.scripts import script
from orchestrator.host.specialisations import VARIANT, parse_variant

# Print `booted.PART=…` and `target.PART=…` of each part of a system that counts from a boot on: a
# link's end, a file's first line. What a system does not have is left out.
# $1 the target  $2… the parts
BOOT_PARTS = r"""
target=$1
shift
tell() {
  for part; do
    if [ -L "$system/$part" ]; then
      value=$(readlink -f "$system/$part")
    elif [ -f "$system/$part" ]; then
      IFS= read -r value < "$system/$part"
    else
      continue
    fi
    printf '%s.%s=%s\n' "$which" "$part" "$value"
  done
}
which=booted system=/run/booted-system
tell "$@"
which=target system=$target
tell "$@"
echo end=
"""

# Boot anew, in a unit of its own: the connection ends before systemd does. What holds a boot up is
# listed and heeded. It ends with the order being given; where systemd stops by then, whatever the
# end of those that gave it.
# $1 unit
REBOOT = r"""
systemd-run --quiet --collect --pipe --wait --no-ask-password --unit="$1" \
  --description="orchestrator: reboot" -- systemctl --check-inhibitors=yes reboot && exit
code=$?
[ "$(systemctl is-system-running)" != stopping ] || exit 0
exit $code
"""

# Say which activation scripts failed at the boot. Stage 2 tells the kernel's log, or a file of its
# own where it may not; a systemd in the initrd its journal. Others than root can write to none.
BOOT_FAILURES = r"""
{
  cat /run/log/stage-2-init.log
  timeout 20 journalctl --boot --quiet --no-pager --output=cat --grep='Activation script snippet' \
    _TRANSPORT=kernel + _SYSTEMD_UNIT=initrd-nixos-activation.service
} 2> /dev/null |
  grep -a -o "Activation script snippet '[A-Za-z0-9 _.@-]*' failed ([0-9]*)" | head -n 20
"""

# Wait for a boot to end: until then units that are to run do not.
# $1 seconds
SETTLED = r"""
timeout "$1" systemctl is-system-running --wait
"""


_SIGNALS = 128
"""A shell's exit code is above this where a signal ended what it ran."""


async def ask_parts(
    executor: Executor, target: OutPath, parts: Sequence[str], deadline: float
) -> tuple[dict[str, str], dict[str, str]]:
    """Ask what counts from a boot on, of the system that was booted and of another.

    Args:
        executor: The way to the host.
        target: The other system.
        parts: Names of files in a toplevel.
        deadline: In seconds.

    Raises:
        StepError: The host did not say.
    """
    done = await executor.run(script(BOOT_PARTS, target.path, *parts), deadline=deadline)
    if done.rc != 0 or "end=" not in split_lines(done.out):
        raise StepError(
            f"the host did not say which kernel it booted (exit {done.rc})",
            command=executor.repeat(("ls", "-l", "/run/booted-system", target.path)),
            stderr=done.err,
        )
    return parse_parts(split_lines(done.out), parts)


def parse_parts(
    lines: Iterable[str], parts: Sequence[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Read what ``BOOT_PARTS`` prints: the parts of the system that was booted, and the other's."""
    found: dict[str, dict[str, str]] = {"booted": {}, "target": {}}
    for line in lines:
        key, _, value = line.partition("=")
        which, _, part = key.partition(".")
        if which in found and part in parts:
            found[which].setdefault(part, value)
    return found["booted"], found["target"]


async def reboot(executor: Executor, token: str, deadline: float) -> None:
    """Order a host to reboot.

    Raises:
        RefusedError: The host does not boot.
        StepError: The connection ended, as it does, or no answer came; whether the order was
            given is not known.
    """
    done = await executor.run(script(REBOOT, f"orchestrator-reboot-{token}"), deadline=deadline)
    # One that was ended by a signal met the boot itself.
    if 0 < done.rc < _SIGNALS:
        raise RefusedError(
            f"the host refuses to reboot (exit {done.rc})",
            hint="what holds it up: systemd-inhibit --list",
            command=executor.repeat(("systemctl", "reboot")),
            stderr=f"{done.out}\n{done.err}".strip(),
        )


async def failed_at_boot(executor: Executor, deadline: float) -> tuple[str, ...]:
    """Ask which activation scripts failed at this boot: the exit code of those is nobody's to see.

    Raises:
        UnreachableError: The connection was lost.
    """
    done = await executor.run(script(BOOT_FAILURES), deadline=deadline)
    lines = done.out.split("\n")
    return tuple(dict.fromkeys(line for line in lines if line.startswith("Activation script")))


async def settled(executor: Executor, seconds: float) -> str:
    """Wait for a boot to end.

    Returns:
        systemd's word for how it ended, such as ``degraded``; empty where it goes on.

    Raises:
        UnreachableError: The connection was lost.
    """
    done = await executor.run(script(SETTLED, str(int(seconds))), deadline=seconds + 30)
    return done.out.strip()


# Print what `system.switch.inhibitors` was for the running system and for another, as one line of
# JSON each; NixOS has it in the toplevel since 25.11, and its pre-switch check compares the two.
# The same of `init-interface-version`: where that differs, a live switch ends with 100.
# Then how their closures differ, and what is printed of their parts. All is of the other system's
# specialisation, where one is named and it has that.
# $1 the other  $2 the specialisation, or nothing  $3… the parts
SWITCHING = rf"""
{VARIANT}
system=$1 name=$2 live=
shift 2
[ -z "$name" ] || variant
set -- "${{live:-$system}}" "$@"
inhibitors() {{
  printf '%s=' "$1"
  tr '\n' ' ' < "$2/switch-inhibitors"
  printf '\n%s.init=' "$1"
  head -n 1 "$2/init-interface-version" | head -c 100
  echo
}} 2>/dev/null
inhibitors running /run/current-system
inhibitors target "$1"
{COMPARE}
compared "$1"
{BOOT_PARTS}
"""


INIT = "init-interface-version"
"""Of a toplevel: NixOS switches live only where it is the same."""


@dataclass(frozen=True, slots=True)
class SwitchInfo:
    """How a host stands towards one of its systems.

    Attributes:
        running: A version or the like of each component of the running system that is not to
            change live, its init's interface among them; nothing where it names none.
        target: Likewise of the other system.
        booted: What counts from a boot on, of the system that was booted, by the part's name.
        wanted: Likewise of the other system.
        difference: How their closures differ; ``None`` where it did not say.
        live: The other one's specialisation that was asked for, of which all of this is; ``None``
            where it has none of that name, or none was asked for.
        has: Names of its specialisations, where one was asked for.
    """

    running: dict[str, str]
    target: dict[str, str]
    booted: dict[str, str]
    wanted: dict[str, str]
    difference: Difference | None = None
    live: OutPath | None = None
    has: tuple[str, ...] = ()


async def ask_standing(
    executor: Executor,
    target: OutPath,
    parts: Sequence[str],
    deadline: float,
    specialisation: str = "",
) -> SwitchInfo:
    """Ask; the system is there.

    Args:
        executor: The way to the host.
        target: The other system.
        parts: Names of files in a toplevel.
        deadline: In seconds.
        specialisation: The name of the one of ``target`` that is to run; empty for itself.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host did not say.
    """
    argv = script(SWITCHING, target.path, specialisation, *parts)
    done = await executor.run(argv, deadline=deadline)
    lines = split_lines(done.out)
    if done.rc != 0 or "end=" not in lines:
        raise StepError(
            f"the host did not say whether it may switch live (exit {done.rc})",
            command=executor.repeat(("cat", f"{target}/switch-inhibitors")),
            stderr=done.err,
        )
    said = values_of(done.out)
    booted, wanted = parse_parts(lines, parts)
    running, wanted_live = components(said, "running"), components(said, "target")
    if INIT in wanted_live:
        # NixOS takes one that says nothing for another one.
        running.setdefault(INIT, "none")
    live, has = parse_variant(lines) if specialisation else (None, ())
    return SwitchInfo(
        running, wanted_live, booted, wanted, parse_difference(lines), live=live, has=has
    )


# Print what `VARIANT` does of a system's specialisation, and no more.
# $1 the system  $2 the specialisation
NAMED_VARIANT = f"""
{VARIANT}
system=$1 name=$2
variant
echo end=
"""


async def ask_variant(
    executor: Executor, system: OutPath, name: str, deadline: float
) -> tuple[OutPath | None, tuple[str, ...]]:
    """Ask a host for the path of a system's specialisation, and which ones the system has.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host did not say.
    """
    done = await executor.run(script(NAMED_VARIANT, system.path, name), deadline=deadline)
    lines = split_lines(done.out)
    if done.rc != 0 or "end=" not in lines:
        raise StepError(
            f"the host did not say which specialisations {system.short} has",
            command=executor.repeat(("ls", f"{system}/specialisation")),
            stderr=done.err,
        )
    return parse_variant(lines)


def components(said: Mapping[str, str], which: str) -> dict[str, str]:
    """Read the file's JSON; what is no such object names nothing, as for NixOS."""
    found: dict[str, str] = {}
    with contextlib.suppress(ValueError, AttributeError):
        inhibitors = parse_json(said.get(which, ""))
        found = {str(name): str(version) for name, version in inhibitors.items()}
    init = said.get(f"{which}.init", "")
    return {**found, INIT: init} if init else found


SWITCH, NIX = "bin/switch-to-configuration", "sw/bin/nix-env"

# Print which of a system's programs are missing; 3 where the system is not there.
# $1 the system  $2… the programs
MISSING = r"""
system=$1
shift
[ -e "$system" ] || exit 3
for program; do
  [ -e "$system/$program" ] || printf 'missing=%s\n' "$program"
done
echo end=
"""

_ABSENT = 3


def missing_here(system: OutPath) -> frozenset[str] | None:
    """Find which of the programs a system in the store of this machine lacks.

    Returns:
        ``None`` where the system is not here.
    """
    folder = Path(system.path)
    if not folder.exists():
        return None
    return frozenset(program for program in (SWITCH, NIX) if not (folder / program).exists())


async def missing_there(
    executor: Executor, system: OutPath, deadline: float
) -> frozenset[str] | None:
    """Find the same of a system on another machine.

    Raises:
        StepError: That machine did not say.
    """
    done = await executor.run(script(MISSING, system.path, SWITCH, NIX), deadline=deadline)
    if done.rc == _ABSENT:
        return None
    lines = done.out.split("\n")
    if done.rc != 0 or "end=" not in lines:
        raise StepError(
            f"it did not say whether {system} can be left again (exit {done.rc})",
            command=executor.repeat(("ls", "-l", f"{system}/{SWITCH}", f"{system}/{NIX}")),
            stderr=done.err,
        )
    return frozenset(program for program in (SWITCH, NIX) if f"missing={program}" in lines)
