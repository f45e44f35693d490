"""What is run on hosts: questions in sh, and what has them fetch a system."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from orchestrator.core.bounds import OUTPUT, Intake, Liner, TooMuchError
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor, Source
from orchestrator.core.host import Cache
from orchestrator.core.patterns import pattern
from orchestrator.core.process import how_it_ended
from orchestrator.core.store import OutPath
from orchestrator.host.lock_scripts import TELL
from orchestrator.host.specialisations import SPECIALISES

_GUARD = Path(__file__).parent / "guard"


def _compact(text: str) -> str:
    """A program without comments and indentation: it goes over the wire with each question."""
    lines = (line.strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line and not line.startswith("#"))


# What the host runs, what its profile is and what it boots. The guard proves by the same shell, and
# there is no other reader of boot loaders.
SYSTEMS = (
    r"""
# A link that leads nowhere is nothing to return to.
link() { cd -P -- "$2" && printf '%s=%s\n' "$1" "$PWD"; } 2>/dev/null
systems() {
  link running /run/current-system
  link booted /run/booted-system
  link profile /nix/var/nix/profiles/system
  boot_default
}
"""
    + "\n".join(
        _compact((_GUARD / f"loaders{part}.sh").read_text())
        for part in ("", "_systemd_boot", "_grub_words", "_grub")
    )
    + "\n"
)

# Everything that a decision needs: `key=value` lines. The guard answers with it, too.
HOST_STATE = rf"""
# The slowest answer is asked for first, and comes while the rest is read.
systemctl list-units --state=failed --plain --no-legend --no-pager 2>/dev/null |
  while read -r unit _; do printf 'failed=%s\n' "$unit"; done &
known() {{
  value=
  {{ read -r value < "$2"; }} 2>/dev/null
  printf '%s=%s\n' "$1" "$value"
}}
known machine_id /etc/machine-id
known boot_id /proc/sys/kernel/random/boot_id
{SPECIALISES}
said=$(systems)
printf '%s\n' "$said"
specialises running /run/current-system
# Its first line of that name, without another process; nothing where there is none.
end='
'
boots=$end$said$end boots=${{boots#*"${{end}}boot_default="}}
specialises booting "${{boots%%"$end"*}}"
{TELL}
tell record /var/lib/orchestrator/record
# The copy in /run is the newer one; the other one outlives a boot.
attempt=/run/orchestrator/attempt
[ -e "$attempt" ] || attempt=/var/lib/orchestrator/attempt
tell attempt "$attempt"
# Whether the guard of one that goes on is at work.
if grep -q '^state=[a-z]*ing$' "$attempt" 2>/dev/null; then
  unit=$(sed -n 's/^unit=\(orchestrator-guard-[A-Za-z0-9@_.-]*\)$/\1/p' "$attempt" | head -n 1)
  active=$(timeout 10 systemctl show --property ActiveState --value "$unit" 2>/dev/null)
  # After a boot another unit is the guard.
  case $active in inactive | failed)
    active=$(timeout 10 systemctl show --property ActiveState --value \
      orchestrator-guard-resume.service 2>/dev/null) ;;
  esac
  printf 'guard=%s\n' "$active"
fi
wait
"""

# The same, asked in one round trip.
STATE = f"{SYSTEMS}{HOST_STATE}"

# Keep a system from garbage collection from before its copy on: what it names is valid before it
# is. The guard's roots follow, and its end removes this one; a day later goes what never began.
# Exit 0: it is valid.
# $1 the system
KEEP = r"""
roots=/nix/var/nix/gcroots/orchestrator-copied
{
  mkdir -p "$roots" && find "$roots" -type l -mmin +1440 -exec rm -f {} +
  ln -sfn "$1" "$roots/${1##*/}"
} 2>/dev/null
nix-store --check-validity "$1" 2>/dev/null
"""

UNDOES = "orchestrator-undoes"
"""Opens a line that names a program for unpacking: a login shell may print lines before it."""

UNDOING = rf"""
for program in zstd gzip; do
  command -v $program > /dev/null && echo "{UNDOES} $program"
done
"""

# Of a closure on standard input, print the paths that are not valid here.
INVALID = "exec xargs nix-store --check-validity --print-invalid"

# The same; none where its root is valid.
# $1 the root
LACKING = rf"""
{UNDOING}
nix-store --check-validity "$1" 2> /dev/null && exit 0
{INVALID}
"""

# Register what comes as a compressed export; say nothing but what goes wrong.
# $1 the program that unpacks it
TAKE_IN = r"""
exec 2>&1
"$1" -d -c | nix-store --import > /dev/null
"""

# Write paths as a compressed export; end as the export ended.
# $1 the program that packs  $2… paths
GIVE_OUT = r"""
program=$1; shift
exec 3>&1
code=$({ { nix-store --export "$@"; echo $? >&4; } | "$program" -1 -c >&3; } 4>&1)
exit "$code"
"""

# Read a number and so many bytes, say so, and begin again.
SWALLOW = r"""
while read -r count; do
  head -c "$count" > /dev/null
  printf .
done
"""

# Fetch a system and what it lacks of its closure; all that Nix says comes as it is said.
# What Nix remembers of a cache may be old: a memory of its own. Root's own store, not the daemon's:
# that one has its settings, and its memory.
# $1 the system  $2… Nix's options
FETCH = r"""
exec 2>&1
unset NIX_REMOTE NIX_CACHE_HOME
XDG_CACHE_HOME=$(mktemp -d) || exit
export XDG_CACHE_HOME
trap 'rm -rf "$XDG_CACHE_HOME"' EXIT
nix-store --log-format internal-json -v --realise "$@"
"""

# Names of all paths in the running system's closure.
CLOSURE = r"""
exec nix-store --query --requisites /run/current-system
"""

# Says on standard error which process the command is and of which group, and becomes it: whoever
# starts it can end it by another connection, whatever its sshd makes of signals (proc_pid_stat(5)).
# $1 a word that nobody else says  $2... the command
ANNOUNCED = r"""
word=$1; shift
read -r stat < /proc/$$/stat
stat=${stat##*) }; stat=${stat#* * }
printf '%s %s %s\n' "$word" "$$" "${stat%% *}" >&2
exec "$@"
"""

# Ends a process and its group, and waits two seconds for it. Exit 1: it goes on.
# $1 process  $2 group
END = r"""
kill -TERM "-$2" 2>/dev/null
for moment in 1 2 3 4 5 6 7 8 9 10; do
  { read -r stat < "/proc/$1/stat"; } 2>/dev/null || exit 0
  case ${stat##*) } in Z* | X*) exit 0 ;; esac
  sleep 0.2
done
exit 1
"""


def script(text: str, *arguments: str) -> tuple[str, ...]:
    """The argv that runs one of these scripts with arguments."""
    return ("/bin/sh", "-c", text, "orchestrator", *arguments)


OnLine = Callable[[bytes], None]

_CHECK_SECONDS = 60.0
_LAST = 200
"""How many of Nix's messages are kept, for the report of a failure."""
_LONGEST = 4000
"""How many characters of each."""

_UNTRUSTED = pattern(r"ignoring substitute for '([^']+)' from .* not signed by")
_SILENT = pattern(r"unable to download '([^']+)': (.*)")
_NO_FILE = pattern(r"file '([^']+)' does not exist in binary cache")
# Nix's last word says merely that it failed.
_CAUSE = pattern(r"error: (?!build of )(.+)")
_LACKING = pattern(r"don't know how to build these paths:\n  (/nix/store/\S+)")


async def keep(executor: Executor, out: OutPath) -> bool:
    """Keep a system that a host has, or gets next, from being collected as garbage there.

    Returns:
        Whether the host has it whole.

    Raises:
        UnreachableError: The connection was lost.
    """
    return (await executor.run(script(KEEP, out.path), deadline=_CHECK_SECONDS)).rc == 0


async def fetch(
    executor: Executor, out: OutPath, cache: Cache, on_line: OnLine = lambda _: None
) -> None:
    """Run on the host what fetches a system and what it lacks of its closure.

    Signatures by the cache's key are required whatever the host's settings are; no other cache is
    asked, and nothing is built.

    Args:
        executor: The way to the host.
        out: The system.
        cache: Where it comes from.
        on_line: Called with each line that Nix says there, in its JSON form.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The cache does not answer, lacks a path, or has one that is not to be trusted.
    """
    from orchestrator.nix import log as nix_log

    messages: deque[str] = deque(maxlen=_LAST)

    def on_every_line(line: bytes) -> None:
        on_line(line)
        if text := nix_log.text(line):
            messages.append(text[:_LONGEST])

    argv = script(FETCH, out.path, *_options(cache))
    async with executor.open(argv) as stream:
        await _listen(stream.stdout, on_every_line)
        rc = await stream.wait()
    if rc != 0:
        raise _failed(executor, out, cache, rc, "\n".join(messages))


async def _listen(source: Source, on_line: OnLine) -> None:
    """Hear what Nix says there to its end."""
    intake, liner = Intake(OUTPUT, 0), Liner(on_line)
    try:
        while data := await source.read(1 << 16):
            intake.take(data)
            liner.take(data)
    except TooMuchError as error:
        raise StepError(
            f"the host sent {error} while it fetched, and was cut off",
            hint="without the cache, this once: --copy connection",
        ) from None
    liner.end()


def _options(cache: Cache) -> tuple[str, ...]:
    settings = {
        "substitute": "true",
        "substituters": cache.url,
        "trusted-public-keys": cache.public_key,
        "require-sigs": "true",
        "fallback": "false",
        "builders": "",
        "max-jobs": "0",
    }
    return tuple(word for name, value in settings.items() for word in ("--option", name, value))


class _Why(Struct, frozen=True):
    message: str
    hint: str


def _failed(executor: Executor, out: OutPath, cache: Cache, rc: int | None, log: str) -> StepError:
    why = _why(out, cache, log)
    if why is None:
        cause = found[1] if (found := _CAUSE.search(log)) else None
        cause = cause or ("it was ended" if rc is None else how_it_ended(rc))
        why = _Why(f"fetching from the cache {cache.name!r} failed: {cause}", "")
    argv = ("nix-store", "--realise", out.path, *_options(cache))
    return StepError(
        why.message,
        hint=f"{why.hint} Without the cache, this once: --copy connection".strip(),
        command=executor.repeat(argv),
        stderr=log,
    )


def _why(out: OutPath, cache: Cache, log: str) -> _Why | None:
    """What is wrong with the cache, by what Nix says on the host."""
    name, key = cache.name, cache.public_key.partition(":")[0]
    store = cache.push or cache.url
    if found := _UNTRUSTED.search(log):
        return _Why(
            f"the cache {name!r} has {found[1]} without a valid signature by {key}",
            f"sign it there: nix store sign --store {store} --key-file FILE --recursive {out}"
            " — or correct `public_key`.",
        )
    if found := _SILENT.search(log):
        return _Why(
            f"the cache {name!r} does not answer on the host: {found[1]}: {found[2]}",
            f"is it up? Ask it from there: curl {cache.url}/nix-cache-info",
        )
    if found := _NO_FILE.search(log) or _LACKING.search(log):
        return _Why(
            f"the cache {name!r} lacks {found[1]}",
            f"fill it: nix copy --refresh --to {store} {out}",
        )
    return None
