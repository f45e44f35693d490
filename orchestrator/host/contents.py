"""What a system consists of: files below /etc, units, accounts, what counts from its boot on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from orchestrator.core import process
from orchestrator.core.bounds import ANSWER
from orchestrator.core.contents import ActiveUnit, Contents, HostContents, Units
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.store import OutPath
from orchestrator.core.units import parse_json, split_lines
from orchestrator.host.accounts import SPEC
from orchestrator.host.boot import BOOT_PARTS, components, parse_parts
from orchestrator.host.scripts import script

MOST = 20_000
"""Files below /etc, or units, of one system; a large one has a tenth of that."""

# Print a system's contents in `key=value` lines. A name with a newline cannot be told in one, and
# is none of NixOS's; a file that is not in the store is another one on each machine, and not read.
# $1 the system
CONTENTS = (
    r"""
contents() {
  end='
'
  new=$1
  # A link into the store or within the folder, or a file: what it is by what is in it.
  digests() { # digests KEY
    find . -path ./systemd/system -prune -o ! -path "*$end*" \
      \( -type f -o -xtype f \( -lname '/nix/store/*' -o ! -lname '/*' \) \) -print0 |
      xargs -0r sha256sum -z | tr '\0' '\n' | sed "s/^/$1=/"
  }
  (
    cd -P "$new/etc" || exit
    find . -path ./systemd/system -prune -o -type l ! -path "*$end*" ! -lname "*$end*" \
      -printf 'link=%l\t%P\n'
    digests file
  )
  (
    cd -P "$new/etc/systemd/system" || exit
    find . -mindepth 1 -maxdepth 2 ! -type d ! -path "*$end*" ! -lname "*$end*" \
      -printf 'unit=%l\t%P\n'
    find . -mindepth 1 -maxdepth 2 -xtype f ! -path "*$end*" \
      \( -path './*.d/*.conf' -o ! -path './*/*' \) -printf '%P\0' |
      xargs -0r grep -asH --null -e '' -- | tr '\0' '\t' | sed 's/^/text=/'
  )
  sed 's/^/fstab=/' "$new/etc/fstab"
"""
    + SPEC
    + r"""
  printf 'system='
  tr '\n' ' ' < "$new/switch-inhibitors"
  printf '\nsystem.init='
  head -n 1 "$new/init-interface-version" | head -c 100
  echo
} 2> /dev/null
"""
)

# The same, and what counts from its boot on.
# $1 the system  $2… the parts
HERE = f"""{CONTENTS}
contents "$1"
{BOOT_PARTS}
"""

# The same of the running system and of the one that was booted; which units run; and of another
# one, where that is on the host.
# $1 the running system  $2 the other one, or nothing  $3… the parts
ON_HOST = f"""{CONTENTS}
running=$1 other=$2
shift 2
contents "$running"
timeout 20 systemctl show --no-pager --property=Id,Following,ActiveState,FragmentPath '*' \\
  2> /dev/null | sed 's/^/state=/'
set -- "$running" "$@"
{BOOT_PARTS}
[ -n "$other" ] || exit 0
echo other=
contents "$other"
set -- "$other" "$@"
{BOOT_PARTS}
"""

_SECONDS = 60.0


async def contents_here(system: OutPath, parts: tuple[str, ...]) -> Contents:
    """Read a system that is in the store of this machine.

    Raises:
        StepError: It could not be read to the end.
    """
    argv = script(HERE, system.path, *parts)
    done = await process.run(argv, deadline=_SECONDS, bound=ANSWER)
    return parse_contents(_whole(done.stdout, f"{system.short} could not be read"), parts)


async def ask_contents(
    executor: Executor, running: OutPath, other: OutPath | None, parts: tuple[str, ...]
) -> HostContents:
    """Ask a host what the running system consists of, and which units run.

    Args:
        executor: The way to the host.
        running: The running system.
        other: Another one that is on the host, to be read there as well.
        parts: Names of what counts from a boot on.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host did not say it to the end.
    """
    argv = script(ON_HOST, running.path, other.path if other else "", *parts)
    done = await executor.run(argv, deadline=_SECONDS)
    lines = _whole(done.stdout, "the host did not say what its system consists of")
    return parse_host(lines, parts)


def _whole(said: bytes, otherwise: str) -> list[str]:
    lines = split_lines(said.decode(errors="replace"))
    if not lines or lines[-1] != "end=":
        raise StepError(otherwise)
    return lines


def parse_host(lines: list[str], parts: tuple[str, ...]) -> HostContents:
    """Read what ``ON_HOST`` prints."""
    at = lines.index("other=") if "other=" in lines else len(lines)
    mine, others = lines[:at], lines[at + 1 :]
    booted, _ = parse_parts(mine, parts)
    other = parse_contents(others, parts) if others else None
    return HostContents(parse_contents(mine, parts), booted, _active(mine), other)


def parse_contents(lines: list[str], parts: tuple[str, ...]) -> Contents:
    """Read what ``HERE`` prints: no more of each kind than any system has.

    Raises:
        StepError: It is more than any system has.
    """
    said: dict[str, list[str]] = {}
    for line in lines:
        key, _, value = line.partition("=")
        said.setdefault(key, []).append(value)
    if any(len(said.get(key, ())) > MOST for key in ("link", "file", "unit")):
        raise StepError("the system has more files than any that is meant")
    first = {key: values[0] for key, values in said.items()}
    users, groups = _accounts(first.get("spec", ""))
    return Contents(
        etc=_etc(said.get("link", ()), said.get("file", ())),
        units=_units(said.get("unit", ()), said.get("text", ())),
        fstab=tuple(said.get("fstab", ())),
        users=users,
        groups=groups,
        parts=parse_parts(lines, parts)[1],
        components=components(first, "system"),
    )


def _etc(links: Iterable[str], files: Iterable[str]) -> dict[str, str]:
    """What tells a file from another: what is in it, else where it leads to; and how it is copied.

    Beside a file that is copied NixOS has others, which say the copy's mode and owner:
    https://github.com/NixOS/nixpkgs/blob/master/nixos/modules/system/etc/etc.nix
    """
    found = {name: f"link {target}" for target, name in _pairs(links, "\t")}
    found |= {name.removeprefix("./"): digest for digest, name in _pairs(files, "  ")}
    copied = {name.removesuffix(".mode") for name in found if name.endswith(".mode")}
    for name in sorted(copied & found.keys()):
        for beside in (f"{name}.mode", f"{name}.uid", f"{name}.gid"):
            found[name] += f" {found.pop(beside, '')}"
    return found


def _units(links: Iterable[str], texts: Iterable[str]) -> Units:
    lines: dict[str, list[str]] = {}
    for name, text in _pairs(texts, "\t"):
        lines.setdefault(name, []).append(text)
    return Units(
        texts={name: tuple(text) for name, text in lines.items()},
        links={name: target for target, name in _pairs(links, "\t")},
    )


def _pairs(lines: Iterable[str], between: str) -> list[tuple[str, str]]:
    split = (line.partition(between) for line in lines)
    return [(first, second) for first, found, second in split if found]


def _active(lines: Iterable[str]) -> dict[str, ActiveUnit] | None:
    """Read what ``systemctl show`` says of all units: a block for each, an empty line between."""
    found: dict[str, ActiveUnit] = {}
    block: dict[str, str] = {}
    said = [line.removeprefix("state=") for line in lines if line.startswith("state=")]
    for line in (*said, ""):
        if line:
            key, _, value = line.partition("=")
            block[key] = value
            continue
        state = block.get("ActiveState", "inactive")
        if block.get("Id") and state != "inactive" and not block.get("Following"):
            found[block["Id"]] = ActiveUnit(state, block.get("FragmentPath", ""))
        block = {}
    return found or None


_Settings = dict[str, dict[str, str]]


def _accounts(spec: str) -> tuple[_Settings | None, _Settings | None]:
    """Read ``users`` and ``groups`` of NixOS's users-groups.json; nobody keeps what they say."""
    try:
        said = parse_json(spec)
        return _settings(said["users"]), _settings(said["groups"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return None, None


def _settings(entries: Iterable[Mapping[str, object]]) -> _Settings:
    return {
        str(one["name"]): {key: _digest(value) for key, value in one.items() if key != "name"}
        for one in entries
    }


def _digest(value: object) -> str:
    """Of a set's members the order is none of theirs."""
    if isinstance(value, list):
        value = sorted(json.dumps(one, sort_keys=True) for one in value)
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
