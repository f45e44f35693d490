"""Look at a host and change nothing: what it is, and what it says of itself."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core.checks import Facts, Login
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.host import Host
from orchestrator.core.state import HostState
from orchestrator.core.store import OutPath
from orchestrator.core.units import parse_json, split_lines
from orchestrator.host.lock_scripts import values_of
from orchestrator.host.preflight import LOOK, parse_facts
from orchestrator.host.scripts import STATE, script
from orchestrator.host.setup import Setup, ask_each
from orchestrator.host.status import parse_state, require_machine

# What programs and files say of a host, to `end=`. Each program has ten seconds, and what of its
# answer is no use stays there: Nix's settings have tokens, grubenv is anybody's.
# $1 a system  $2 who logged in
SAID = r"""
# What runs may have programs that root's path has not.
PATH=$PATH:/run/current-system/sw/bin
# $1 key  $2… a program and its arguments: what it prints, as one line.
answer() {
  what=$1
  shift
  command -v "$1" > /dev/null || return 0
  printf '%s=%s\n' "$what" "$(timeout 10 "$@" 2>/dev/null | head -c 1000000 | tr '\n' ' ')"
}
# $1 key  $2 a file: its first line
line_of() { [ -f "$2" ] && printf '%s=%s\n' "$1" "$(head -n 1 "$2" | head -c 1000)"; } 2>/dev/null
settings() {
  timeout 10 nix --extra-experimental-features nix-command "$@" 2>/dev/null |
    sed -n 's/^\(sandbox\|trusted-users\) = /nix.\1=/p' | head -n 2
}
sed -n 's/^\(ID\|VERSION_ID\|BUILD_ID\)=/os.\1=/p' /etc/os-release 2>/dev/null | head -n 3
answer kernel uname -r
answer machine uname -m
answer virt systemd-detect-virt
answer systemd sh -c 'systemctl --version | head -n 1'
answer systemd.state systemctl is-system-running
answer nixos nixos-version --json
answer nix nix --version
if command -v nix > /dev/null; then
  said=$(settings config show)
  [ "$said" ] || said=$(settings show-config) # before Nix 2.20
  printf '%s\n' "$said"
fi
answer nix.daemon systemctl is-active nix-daemon.socket nix-daemon.service
[ ! -S /nix/var/nix/daemon-socket/socket ] || echo nix.socket=yes
printf 'groups=%s\n' "$(id -Gn -- "$2" 2>/dev/null)"
line_of interface.running /run/current-system/init-interface-version
line_of interface.profile /nix/var/nix/profiles/system/init-interface-version
answer bootctl bootctl list --json=short --no-pager
if command -v bootctl > /dev/null; then
  timeout 10 bootctl status --no-pager 2>/dev/null |
    sed -n 's/^ *Secure Boot: */secure_boot=/p; s/^ *Product: */loader_product=/p' | head -n 4
fi
# It makes a file that is not there.
for env in /boot/grub/grubenv /boot/grub2/grubenv; do
  [ -f "$env" ] && command -v grub-editenv > /dev/null || continue
  echo grubenv=
  timeout 10 grub-editenv "$env" list 2>/dev/null |
    sed -n 's/^\(saved_entry\|next_entry\|prev_saved_entry\|boot_success\)=/grubenv.\1=/p'
done
wait
echo end=
"""

CHECK = f"{STATE}\n{LOOK}\n{SAID}"
"""All in one question. It is of what is there: nothing is written, made or locked."""

_SECONDS = 120.0
_LONGEST = 200

# What a version, a word or a name of a file may be made of; a space, where there are several.
_WORDS = re.compile(r"[A-Za-z0-9_(/][A-Za-z0-9 ._+~:@()*/,>=-]*")


@dataclass(frozen=True, slots=True)
class Bootctl:
    """What systemd's ``bootctl`` says beside what was read of the boot loader's files.

    Attributes:
        default: The id of the entry that it takes for the default; empty where it names none.
        system: What that entry starts, by its ``init=``.
        entries: How many it lists.
    """

    default: str
    system: OutPath | None
    entries: int


@dataclass(frozen=True, slots=True)
class Said:
    """What programs and files of a host say. What is not there is empty, or ``None``.

    Attributes:
        values: By the key in ``SAID``: a line each, of plain characters.
        odd: Keys of what was said and is not understood; nothing of that is repeated.
        boot_file: The boot loader's file that was read.
        boot_entry: The entry in it that was taken for the default.
        bootctl: ``None`` where there is no such program, or it does not answer in JSON.
        grubenv: GRUB's environment, where there is one and the program that reads it.
        trusted: Whether Nix trusts whoever logged in.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    odd: tuple[str, ...] = ()
    boot_file: str = ""
    boot_entry: str = ""
    bootctl: Bootctl | None = None
    grubenv: Mapping[str, str] | None = None
    trusted: bool | None = None


@dataclass(frozen=True, slots=True)
class HostCheck:
    """A host as it was found."""

    state: HostState
    facts: Facts
    said: Said
    login: Login


@dataclass(frozen=True, slots=True)
class CheckAnswer:
    """What one host said, or why it said nothing."""

    host: Host
    found: HostCheck | None = None
    error: StepError | None = None


async def check_all(setup: Setup, hosts: Sequence[Host]) -> tuple[CheckAnswer, ...]:
    """Look at hosts, each over one connection; one that does not answer keeps nobody waiting."""
    answers = await ask_each(setup, hosts, lambda host, executor: ask_check(executor, host))
    return tuple(
        CheckAnswer(each.host, error=each.said)
        if isinstance(each.said, StepError)
        else CheckAnswer(each.host, each.said)
        for each in answers
    )


async def ask_check(executor: Executor, host: Host) -> HostCheck:
    """Ask one host.

    Raises:
        UnreachableError: The connection was lost.
        StepError: It did not answer to the end, or not in this form.
        RefusedError: It is another machine than the inventory says; or root is not to be had.
    """
    argv = script(CHECK, "/run/current-system", executor.login.user)
    began = time.monotonic()
    done = await executor.run(argv, deadline=_SECONDS)
    if "end=" not in split_lines(done.out):
        raise StepError(
            f"the host did not say what it is (exit {done.rc}, after "
            f"{time.monotonic() - began:.0f} s)",
            hint="a login shell that prints text or replaces commands answers so; see what it "
            "says by hand",
            command=executor.repeat(("readlink", "-f", "/run/current-system")),
            stderr=done.err,
        )
    found = parse_check(done.out, executor.login)
    require_machine(host, found.state.machine_id)
    return found


def parse_check(text: str, login: Login) -> HostCheck:
    """Read what ``CHECK`` prints. A host may say anything.

    Raises:
        StepError: It does not say what every host says: it is no answer to this question.
    """
    state = parse_state(text)
    facts, _ = parse_facts(split_lines(text))
    return HostCheck(state, facts, _said(text, login), login)


def _said(text: str, login: Login) -> Said:
    values = values_of(text)
    odd: list[str] = []

    def word(key: str, value: str) -> str:
        """Take a value where it is plain words."""
        value = value.strip().strip('"')
        if value and (len(value) > _LONGEST or not _WORDS.fullmatch(value)):
            odd.append(key)
            return ""
        return value

    def taken(key: str) -> str:
        return word(key, values.get(key, ""))

    plain = {key: taken(key) for key in _PLAIN if key in values}
    plain |= {f"nixos.{key}": word("nixos", value) for key, value in _nixos(values, odd).items()}
    grubenv = {key: taken(f"grubenv.{key}") for key in _GRUBENV if f"grubenv.{key}" in values}
    default, system, entries = _bootctl(values, odd)
    return Said(
        values={key: value for key, value in plain.items() if value},
        boot_file=taken("boot_file"),
        boot_entry=taken("boot_entry"),
        bootctl=None if entries is None else Bootctl(word("bootctl", default), system, entries),
        grubenv=grubenv if "grubenv" in values else None,
        trusted=_trusted(values, login),
        odd=tuple(dict.fromkeys(odd)),
    )


_PLAIN = (
    *("os.ID", "os.VERSION_ID", "os.BUILD_ID", "kernel", "machine", "virt"),
    *("systemd", "systemd.state", "nix", "nix.sandbox", "nix.daemon", "nix.socket"),
    *("interface.running", "interface.profile", "secure_boot", "loader_product"),
)
_GRUBENV = ("saved_entry", "next_entry", "prev_saved_entry", "boot_success")


def _nixos(values: Mapping[str, str], odd: list[str]) -> dict[str, str]:
    """Read ``nixos-version --json``: the release, and the revisions where it knows them."""
    found = _json(values, "nixos", odd)
    if not isinstance(found, dict):
        return {}
    names = ("nixosVersion", "nixpkgsRevision", "configurationRevision")
    return {name: found[name] for name in names if isinstance(found.get(name), str)}


def _bootctl(values: Mapping[str, str], odd: list[str]) -> tuple[str, OutPath | None, int | None]:
    """Read ``bootctl list --json=short``: the default's id, what it starts, and how many are there.

    https://www.freedesktop.org/software/systemd/man/latest/bootctl.html
    """
    listed = _json(values, "bootctl", odd)
    if not isinstance(listed, list):
        return "", None, None
    entries = [one for one in listed if isinstance(one, dict)]
    for one in entries:
        if one.get("isDefault") is True:
            return str(one.get("id", "")), _init(str(one.get("options", ""))), len(entries)
    return "", None, len(entries)


def _init(options: str) -> OutPath | None:
    for option in options[:10_000].split():
        if option.startswith("init=") and option.endswith("/init"):
            with contextlib.suppress(ValueError):
                return OutPath.parse(option.removeprefix("init=").removesuffix("/init"))
    return None


def _json(values: Mapping[str, str], key: str, odd: list[str]) -> Any:
    text = values.get(key, "").strip()
    if not text:
        return None
    try:
        return parse_json(text)
    except ValueError:
        odd.append(key)
        return None


def _trusted(values: Mapping[str, str], login: Login) -> bool | None:
    """Whether ``trusted-users`` names the login, one of its groups (``@wheel``) or everybody."""
    if "nix.trusted-users" not in values:
        return None
    trusted = set(values["nix.trusted-users"].split())
    groups = {f"@{group}" for group in values.get("groups", "").split()}
    return bool(trusted & {"*", login.user, *groups})
