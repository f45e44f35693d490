"""Ask a host how the closure of what it runs differs from another system's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.core.executor import Executor
from orchestrator.core.store import OutPath
from orchestrator.core.units import split_lines, whole_number
from orchestrator.host.lock_scripts import values_of
from orchestrator.host.scripts import script

MOST_PATHS = 40_000
"""Paths that differ: of two large systems that have nothing in common."""

# Say what differs, in lines of their own: paths of the running system's closure alone (`gone=`), of
# the other alone (`new=`), those of both that a system or a unit that changed names itself
# (`direct=`), and sizes in bytes. Where anything goes wrong the last line is missing.
# $1 the other system; empty: its closure comes on standard input, and its size is not said
COMPARE = r"""
compare() {
  running=/run/current-system
  ask() { timeout 4 nix-store --query "$@"; }
  before=$(ask --requisites "$running") || return
  if [ "$1" ]; then after=$(ask --requisites "$1") || return; else after=$(cat); fi
  # Counted: 1 the other one's, 2 the running one's, 3 in both.
  counted=$(printf '%s\n' "$before" "$before" "$after" | sort | uniq -c)
  only() { printf '%s\n' "$counted" | sed -n "s/^ *$1 //p"; }
  new=$(only 1) gone=$(only 2)
  [ "$(printf '%s\n' "$new" "$gone" | wc -l)" -le "$most" ] || return
  size() {
    total=0
    sizes=
    [ -z "$2" ] || sizes=$(printf '%s\n' "$2" | timeout 4 xargs nix-store --query --size) || return
    for size in $sizes; do total=$((total + size)); done
    printf '%s.size=%s\n' "$1" "$total"
  }
  # Nix takes a link in the store for the path that it is in: its end is wanted.
  named() {
    {
      readlink -f "$1"
      [ ! -e "$1/sw" ] || readlink -f "$1/sw"
      printf '%s\n' "$2" | grep -e '-unit-'
    } | timeout 4 xargs nix-store --query --references
  }
  direct=$({ named "$running" "$gone"; [ -z "$1" ] || named "$1" "$new"; } | sort -u)
  printf '%s\n' "$new" | sed 's/^/new=/'
  printf '%s\n' "$gone" | sed 's/^/gone=/'
  { printf '%s\n' "$new" "$gone"; printf '%s\n' "$direct"; } | sort | uniq -d | sed 's/^/direct=/'
  size gone "$gone"
  [ -z "$1" ] || size new "$new"
  echo compared=yes
} 2>/dev/null
# In a shell of its own. What runs may have no Nix: the other system has one of its own.
compared() (
  PATH=$PATH:$1/sw/bin
  compare "$1"
)
""".replace('"$most"', str(MOST_PATHS))

ALONE = f'{COMPARE}\ncompared "$1"'

_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Difference:
    """What a host says of two closures, the running system's and another's.

    Attributes:
        gone: Paths of the running one alone.
        new: Paths of the other alone.
        direct: Those of both lists that a system, or a unit that changed, names itself.
        gone_size: Bytes, as archives; ``None`` where it did not say.
        new_size: Likewise.
    """

    gone: tuple[OutPath, ...]
    new: tuple[OutPath, ...]
    direct: frozenset[OutPath]
    gone_size: int | None
    new_size: int | None


async def ask_difference(
    executor: Executor, target: OutPath | None, closure: Iterable[str] = ()
) -> Difference | None:
    """Ask how the running system differs from another.

    Args:
        executor: The way to the host.
        target: The other system, where it is on the host.
        closure: Else its paths, which the host need not have.

    Returns:
        ``None`` where the host does not say it to the end.

    Raises:
        UnreachableError: The connection was lost.
        StepError: It did not answer.
    """
    stdin = "".join(f"{path}\n" for path in closure).encode()
    argv = script(ALONE, target.path if target else "")
    done = await executor.run(argv, deadline=_SECONDS, stdin=stdin)
    return parse_difference(split_lines(done.out))


# Print the bytes of a system's closure that is on the host, as archives.
# $1 the system
SIZE = r"""
PATH=$PATH:$1/sw/bin
paths=$(timeout 20 nix-store --query --requisites "$1") || exit
total=0
for size in $(printf '%s\n' "$paths" | timeout 20 xargs nix-store --query --size); do
  total=$((total + size))
done
echo "size=$total"
"""


async def ask_size(executor: Executor, system: OutPath) -> int | None:
    """Ask a host how large the closure of a system there is, in bytes.

    Returns:
        ``None`` where it does not say.

    Raises:
        UnreachableError: The connection was lost.
        StepError: It did not answer.
    """
    done = await executor.run(script(SIZE, system.path), deadline=_SECONDS)
    return whole_number(values_of(done.out).get("size", "")) if done.rc == 0 else None


def parse_difference(lines: Iterable[str]) -> Difference | None:
    """Read what ``COMPARE`` prints, whatever else is printed beside it.

    Returns:
        ``None`` where it does not end, is of no such form, or more than anything that is meant.
    """
    paths: dict[str, list[OutPath]] = {"gone": [], "new": [], "direct": []}
    values: dict[str, str] = {}
    try:
        for line in lines:
            key, _, value = line.partition("=")
            if key not in paths:
                values.setdefault(key, value)
            elif value:
                paths[key].append(OutPath(value))
    except ValueError:
        return None
    if values.get("compared") != "yes" or any(len(one) > MOST_PATHS for one in paths.values()):
        return None
    return Difference(
        gone=tuple(paths["gone"]),
        new=tuple(paths["new"]),
        direct=frozenset(paths["direct"]),
        gone_size=whole_number(values.get("gone.size", "")),
        new_size=whole_number(values.get("new.size", "")),
    )


def growth(difference: Difference) -> int | None:
    """By how many bytes a closure grew; ``None`` where the host did not say both sizes."""
    if difference.gone_size is None or difference.new_size is None:
        return None
    return difference.new_size - difference.gone_size
