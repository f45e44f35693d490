"""What a host has of that which a deployment takes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator.core.checks import BootFiles, BootRoom, Facts, Inhibitor, Room, boot_name
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.store import OutPath
from orchestrator.core.units import parse_json, split_lines, whole_number
from orchestrator.host.scripts import INVALID, UNDOING, script

_WRITABLE = r"""
# The mount that a path is on: `POINT (TYPE on SOURCE)`, its options and its file system's.
mounted() { # mounted PATH
  at= of= options=
  while read -r _ _ _ _ point own rest; do
    below=${point%/} # in a pattern, bash would not find the root
    case $1/ in
    "$below"/*) [ ${#point} -ge ${#at} ] || continue ;;
    *) continue ;;
    esac
    at=$point options=$own of=${rest#*- }
  done < /proc/self/mountinfo
  type=${of%% *} of=${of#* }
  system=${of#* } at="$at ($type on ${of%% *})"
}
# Asked of the mounts: a shell may say of root that it can write anywhere.
writable() { # writable KEY PATH
  [ -e "$2" ] || return 0
  mounted "$2"
  case ,$options,$system, in *,ro,*) printf '%s=%s\n' "$1" "$at" ;; esac
}
mounted /etc/machine-id
case $type in tmpfs | ramfs) echo 'volatile_id=yes' ;; esac
for place in / /nix/var/nix /nix/var/nix/db /nix/var/nix/profiles /var/lib; do
  writable read_only "$place"
done
# The store is mounted read-only on every NixOS, and Nix mounts it anew: what counts is the disk.
mounted /nix/store
case ,$system, in *,ro,*) printf 'read_only=%s\n' "$at" ;; esac
"""

_BOOT = r"""
room() { stat -f -c "$1=%a %S %c %d" "$2" 2>/dev/null; }
room store /nix/store
# systemd-boot keeps kernels in EFI/nixos, GRUB in kernels unless the store is at hand, extlinux in
# nixos.
boot() { # boot FOLDER KERNELS GENERATIONS
  printf 'boot=%s\nboot.generations=%s\n' "$1" "$3"
  room boot.room "$1"
  writable boot.read_only "$1"
  for file in "$1/$2"/*; do
    [ ! -f "$file" ] || printf 'boot.file=%s\n' "${file##*/}"
  done
}
boots_from() {
  for esp in /boot /efi /boot/efi; do
    [ -d "$esp/loader/entries" ] || continue
    set -- "$esp"/loader/entries/nixos-*.conf
    [ -e "$1" ] || shift
    boot "$esp" EFI/nixos $#
    return
  done
  if [ -e /boot/grub/grub.cfg ]; then
    if [ -d /boot/kernels ] || [ "$(stat -c %d /boot)" != "$(stat -c %d /nix/store)" ]; then
      boot /boot kernels "$(grep -c 'init=/nix/store/' /boot/grub/grub.cfg)"
    fi
  elif [ -e /boot/extlinux/extlinux.conf ]; then
    boot /boot nixos "$(grep -c '^LABEL nixos-[0-9]' /boot/extlinux/extlinux.conf)"
  fi
}
boots_from
files() { # files NAME SYSTEM
  for part in kernel initrd; do
    [ -f "$2/$part" ] || continue
    path=$(readlink -f "$2/$part")
    printf '%s.file=%s %s\n' "$1" "$(stat -c %s "$path")" "$path"
  done
}
files running /run/current-system
files target "$1"
"""

_ACTIVATION = r"""
# $1 /proc/ID
command_of() { tr '\0' ' ' < "$1/cmdline" | LC_ALL=C tr -cd ' -~' | head -c 200 | sed 's/ *$//'; }
# A process of root that has a lock's file open has locked it, or is about to; one is enough. What
# another user has open, or gave to a program that is root's by its file, holds nobody up: anybody
# may read the file. A link's target is compared whole, and then the file: a container has one of
# that name too. ($1 the file)
holder() {
  [ -e "$1" ] || return 0
  find /proc/[0-9]*/fd -lname "$1" -printf '%H\n' | uniq | while IFS= read -r open; do
    process=${open%/fd}
    roots "$process/status" && [ "$(find "$open" -lname "$1" | head -n 1)" -ef "$1" ] || continue
    printf 'activation=process %s (%s) has locked %s\n' "${process##*/}" \
      "$(command_of "$process")" "$1"
    return
  done
} 2>/dev/null
# Whether a process is root's alone: its user by each of its four names is 0. ($1 its status)
roots() {
  while read -r key real effective saved files; do
    [ "$key" != Uid: ] || break
  done < "$1"
  [ "$real $effective $saved $files" = '0 0 0 0' ]
}
holder /run/nixos/switch-to-configuration.lock
holder /run/switch-to-configuration.lock
units() {
  units=$(systemctl list-units --plain --no-legend --no-pager \
    --state=active,activating,reloading,deactivating \
    'nixos-rebuild-*.service' 'nixos-upgrade*.service' 2>/dev/null) || return
  echo "$units" | while read -r unit _; do
    printf 'activation=%s\n' "$unit${unit:+ is at work}"
  done
}
"""

_DATABASE = r"""
# Everybody may read Nix's database, and lock what he reads: one that keeps such a lock keeps Nix
# waiting without end. Who only has the database open has locked other bytes: of what SQLite's
# connections share, 120 to 127 are what others wait for; where there is none, the database itself.
db=/nix/var/nix/db/db.sqlite from=0 to=
[ ! -e $db-shm ] || db=$db-shm from=120 to=127
# The kernel tells of a lock beside the descriptor that took it, whoever has that by now.
keepers() {
  inode=$(stat -c %i "$db") && grep -q ":$inode " /proc/locks || return
  find /proc/[0-9]*/task/[0-9]*/fdinfo -type f \
    -exec grep -sH "^lock:.* [0-9a-f]*:[0-9a-f]*:$inode " {} + |
    while read -r file _ _ _ _ _ _ first last; do
      file=${file%%:*}
      process=${file%/task/*}
      [ "${file%/fdinfo/*}/fd/${file##*/}" -ef "$db" ] && ! roots "$process/status" || continue
      [ -z "$to" ] || { [ "$first" -le "$to" ] &&
        { [ "$last" = EOF ] || [ "$last" -ge "$from" ]; }; } || continue
      printf '%s\n' "$process"
    done | sort -u
} 2>/dev/null
# One that reads has a lock for a moment.
locks_nix() {
  first=$(keepers)
  [ "$first" ] && sleep 1 || return
  for process in $(keepers); do
    printf '%s\n' "$first" | grep -Fxq "$process" || continue
    user=$(sed -n 's/^Uid:[[:space:]]*\([0-9]*\).*/\1/p' "$process/status")
    printf 'process %s (%s) of user %s keeps a lock on %s; ' "${process##*/}" \
      "$(command_of "$process")" "$(timeout 5 id -un "$user" || echo "$user")" "$db"
  done
} 2>/dev/null
"""

_INHIBITORS = r"""
# Where there is no logind, nothing holds a boot up.
if [ "$2" != boots ]; then
  :
elif systemctl is-active --quiet systemd-logind; then
  printf 'inhibitors=%s\n' "$(busctl --json=short call org.freedesktop.login1 \
    /org/freedesktop/login1 org.freedesktop.login1.Manager ListInhibitors 2>/dev/null |
    head -c 1000000)"
else
  echo 'inhibitors={"data":[[]]}'
fi
"""

# What a host has, as `key=value` lines: nothing is changed, and Nix's database is not opened.
# $1 a system whose boot files count as the target's
LOOK = rf"""
printf 'user=%s\nclock=%s\n' "$(id -u)" "$(date +%s)"
{_ACTIVATION}
# The slowest answer comes while the rest is read.
units &
printf 'read_only=\n'
{_WRITABLE}
{_BOOT}
"""

# Answer with `key=value` lines, to `end=`; then, of a closure on standard input, with the paths
# that are not valid here. An empty value says that there is none of it.
# $1 the target  $2 `boots` where the host will be rebooted
PREFLIGHT = rf"""
{LOOK}
{_INHIBITORS}
lacks=unknown
{_DATABASE}
# What runs may have no Nix: the system that is gone back to has one of its own.
PATH=$PATH:$1/sw/bin
held=$(locks_nix)
if [ "$held" ]; then
  # Nix itself might wait.
  printf 'nix=%s\n' "${{held%; }}"
elif command -v nix-store > /dev/null; then
  if lacks=$(nix-store --check-validity --print-invalid "$1" 2>/dev/null); then
    printf 'nix=works\nhas_target=%s\n' "$([ -n "$lacks" ] || echo yes)"
  else
    lacks=unknown
    printf 'nix=%s\n' "$(nix-store --check-validity --print-invalid "$1" 2>&1 | tail -n 1)"
  fi
else
  echo 'nix=there is no nix-store on the path of root'
fi
wait
echo end=
[ "$lacks" ] || exit 0
[ -z "$held" ] || exit 1
{UNDOING}
{INVALID}
"""


_SECONDS = 300.0
"""A host with a slow disk looks thousands of paths up."""

_MANY = 20
"""Of one kind so many are told of by name."""


@dataclass(frozen=True, slots=True)
class PreflightAnswer:
    """What a host said.

    Attributes:
        facts: What preflight is about.
        has_target: Whether the target is there whole.
        complete: Whether it said to the end what it lacks of the closure that was sent.
        lines: All lines; the paths that it lacks are among them.
    """

    facts: Facts
    has_target: bool
    complete: bool
    lines: frozenset[str]


async def ask_facts(
    executor: Executor, target: OutPath, closure: Iterable[str], *, boots: bool
) -> PreflightAnswer:
    """Ask.

    Args:
        executor: The way to the host.
        target: The system that it is to have.
        closure: Paths to say of which are lacking; none where they are not known here.
        boots: Whether it will be rebooted.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host did not answer to the end.
    """
    argv = script(PREFLIGHT, target.path, "boots" if boots else "")
    stdin = "".join(f"{path}\n" for path in closure).encode()
    done = await executor.run(argv, deadline=_SECONDS, stdin=stdin)
    lines = split_lines(done.out)
    if "end=" not in lines:
        raise StepError(
            f"the host did not say whether it has what a deployment takes (exit {done.rc})",
            command=executor.repeat(("df", "-h", "/nix/store")),
            stderr=done.err,
        )
    facts, has_target = parse_facts(lines)
    return PreflightAnswer(facts, has_target, done.rc == 0, frozenset(lines))


def parse_facts(lines: Iterable[str]) -> tuple[Facts, bool]:
    """Read what ``PREFLIGHT`` prints; what is not understood of it was not said.

    Returns:
        The facts, and whether the target is there.
    """
    said: dict[str, list[str]] = {}
    for line in lines:
        key, _, value = line.partition("=")
        said.setdefault(key, []).append(value)
    first = {key: values[0] for key, values in said.items()}
    facts = Facts(
        volatile_id=first.get("volatile_id") == "yes",
        user=whole_number(first.get("user", "")),
        nix_error=_nix_error(first.get("nix")),
        read_only=_list(said.get("read_only")),
        store=_room(first.get("store")),
        boot=_boot(first, said),
        running=_files(said.get("running.file")),
        target=_files(said.get("target.file")),
        clock=whole_number(first.get("clock", "")),
        activations=_list(said.get("activation")),
        inhibitors=_inhibitors(first.get("inhibitors")),
    )
    return facts, first.get("has_target") == "yes"


def _nix_error(text: str | None) -> str | None:
    return "" if text == "works" else text


def _list(values: list[str] | None) -> tuple[str, ...] | None:
    """Values in their order, without repeats; that there are none is said by an empty one."""
    if values is None:
        return None
    found = tuple(dict.fromkeys(value for value in values if value))
    more = (f"and {len(found) - _MANY} more",) if len(found) > _MANY else ()
    return (*found[:_MANY], *more)


def _room(text: str | None) -> Room | None:
    """Read blocks, a block's size, inodes and free inodes; a file system may have no inodes."""
    match [whole_number(word) for word in (text or "").split(" ")]:
        case [int(blocks), int(size), int(inodes), int(free)]:
            return Room(blocks * size, free if inodes else None)
    return None


def _boot(first: Mapping[str, str], said: Mapping[str, list[str]]) -> BootRoom | None:
    folder, room = first.get("boot"), _room(first.get("boot.room"))
    if not folder or room is None:
        return None
    names = (name.removesuffix(".efi") for name in said.get("boot.file", ()))
    generations = whole_number(first.get("boot.generations", "")) or 0
    read_only = first.get("boot.read_only", "")
    return BootRoom(folder, room, frozenset(names), generations, read_only)


def _files(values: list[str] | None) -> BootFiles | None:
    sizes: dict[str, int] = {}
    for value in values or ():
        size, _, path = value.partition(" ")
        if (bytes_ := whole_number(size)) is not None:
            sizes[boot_name(path)] = bytes_
    return BootFiles(sizes) if sizes else None


def _inhibitors(text: str | None) -> tuple[Inhibitor, ...] | None:
    """Read busctl's JSON of ``ListInhibitors``: what, who, why, mode, user, process of each."""
    with contextlib.suppress(ValueError, TypeError, KeyError, IndexError):
        return tuple(
            Inhibitor(str(what), str(who), str(why))
            for what, who, why, mode, *_ in parse_json(text or "")["data"][0]
            if mode == "block" and "shutdown" in str(what).split(":")
        )
    return None
