"""Ask a host what it runs: one question, one answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.executor import Executor
from orchestrator.core.foreign import split_lines
from orchestrator.core.host import Host
from orchestrator.core.state import BootSource, HostState
from orchestrator.core.store import OutPath
from orchestrator.host import scripts
from orchestrator.host.guard.orders import parse_attempt, parse_record
from orchestrator.host.lock_scripts import parse_hold, parse_lock

_MOST_UNITS = 1000
_MOST_NAMES = 100_000
"""Bytes of names: a command on Linux takes no argument of more than 128 KiB."""


async def ask_state(executor: Executor, host: Host) -> HostState:
    """Ask what runs, what the profile is, what boots, which units failed, who deployed last.

    Raises:
        StepError: The host did not answer, or not in this form.
        RefusedError: It is another machine than the inventory says.
    """
    argv = scripts.script(scripts.STATE)
    done = await executor.run(argv, deadline=host.deadlines.connect)
    if done.rc != 0:
        raise StepError(
            f"the host did not say what it runs (exit {done.rc})",
            command=executor.repeat(("readlink", "-f", "/run/current-system")),
            stderr=done.err,
        )
    state = parse_state(done.out)
    if host.machine_id is not None and state.machine_id != host.machine_id:
        raise RefusedError(
            f"another machine answered: its machine-id is {state.machine_id or 'empty'}, "
            f"the inventory says {host.machine_id}",
            hint="if it was reinstalled, put the new machine-id into the inventory",
        )
    return state


def parse_state(text: str) -> HostState:
    """Read what ``scripts.STATE`` prints.

    Raises:
        StepError: It is not of that form: an answer that says nothing is no state.
    """
    values: dict[str, str] = {}
    failed = []
    for line in split_lines(text):
        key, _, value = line.partition("=")
        if key == "failed":
            failed.append(value)
        else:
            values.setdefault(key, value)
    _refuse_many(failed)
    if not {"machine_id", "boot_id"} <= values.keys():
        raise StepError("the host's answer is not understood: its login shell may print text")
    profile = _path(values, "profile")
    boot_default = _path(values, "boot_default")
    source = _source(values) if boot_default else BootSource.PROFILE
    return HostState(
        machine_id=values["machine_id"],
        boot_id=values["boot_id"],
        running=_path(values, "running"),
        booted=_path(values, "booted"),
        profile=profile,
        boot_default=boot_default or profile,
        boot_source=source,
        failed_units=tuple(sorted(failed)),
        record=parse_record(values),
        attempt=parse_attempt(values),
        lock=parse_lock(values),
        hold=parse_hold(values),
    )


def _refuse_many(failed: Sequence[str]) -> None:
    """Refuse more failed units than can be written down with an attempt, in one argument."""
    if len(failed) > _MOST_UNITS or sum(map(len, failed)) + len(failed) > _MOST_NAMES:
        raise StepError(
            f"the host has more than {min(len(failed) - 1, _MOST_UNITS)} failed units: more than "
            "can be distinguished from those that fail next",
            hint="see which they are, fix them, then have systemd forget them: "
            "systemctl reset-failed",
        )


def _path(values: Mapping[str, str], key: str) -> OutPath | None:
    try:
        return OutPath.parse(values.get(key, ""))
    except ValueError:
        return None


def _source(values: Mapping[str, str]) -> BootSource:
    try:
        return BootSource(values.get("boot_source"))
    except ValueError:
        return BootSource.PROFILE
