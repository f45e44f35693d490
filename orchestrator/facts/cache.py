"""What was asked last, in the fleet's state folder: ``facts/HOST.json``, beside ``machines/``.

It has serials and addresses, so that only its owner may read it, and it is never committed.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core import files
from orchestrator.core.errors import StepError, cause_of
from orchestrator.core.facts import Fact, Facts
from orchestrator.core.host import Host
from orchestrator.core.stored import DamagedError, NewerError, check_times
from orchestrator.core.values import replace
from orchestrator.facts.model import BY_NAME, fits
from orchestrator.host.setup import Setup

FORMAT = 1
"""Of these files; one of a newer format is left as it is."""


@dataclass(frozen=True, slots=True)
class _Kept:
    facts: Facts
    format: int = FORMAT


def folder_of(setup: Setup) -> Path:
    """Where facts of the hosts of a setup are kept: a lab's hosts are other machines."""
    real, lab = places(setup.state)
    return lab if setup.in_lab else real


def places(state: Path) -> tuple[Path, Path]:
    """Where facts are kept below a fleet's state folder: of its hosts, and of its lab's."""
    return state, state / "lab"


def known(folder: Path, host: str) -> Facts | None:
    """What is known of a host; ``None`` where nothing is, or it cannot be read.

    Args:
        folder: The fleet's state folder, or the one in it that is its lab's.
        host: Its name.
    """
    with contextlib.suppress(OSError, DamagedError):
        return _load(folder, host)
    return None


def known_of(folder: Path, host: Host) -> Facts | None:
    """What is known of a host, unless it is of another machine than the inventory means."""
    facts = known(folder, host.name)
    return facts if facts and is_of(facts, host) else None


def is_of(facts: Facts, host: Host) -> bool:
    """Whether facts are of the machine that the inventory means; a report does not say of which."""
    return not facts.machine_id or host.machine_id in (None, facts.machine_id)


def _load(folder: Path, host: str) -> Facts:
    facts = files.load(folder, f"facts/{host}.json", _Kept, FORMAT).facts
    try:
        check_times(facts.at)
    except ValueError as error:
        raise DamagedError(str(error)) from None
    if facts.at.tzinfo is None:
        raise DamagedError("a time without a zone")
    kept = {key: fact for key, fact in facts.facts.items() if _fits(key, fact)}
    return replace(facts, facts=kept)


def _fits(key: str, fact: Fact) -> bool:
    return key in BY_NAME and (fact.value is None or fits(BY_NAME[key], fact.value))


def remember(folder: Path, host: str, facts: Facts) -> None:
    """Keep what is known of a host.

    Raises:
        StepError: It cannot be written; or what is there is of a newer orchestrator.
    """
    try:
        _load(folder, host)
    except NewerError as error:
        raise StepError(
            f"its facts were not kept: facts/{host}.json in {folder}: {error}",
            hint="use that version, or remove the file",
        ) from None
    except (OSError, DamagedError):
        pass
    try:
        place = folder / "facts"
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.save(place / f"{host}.json", _Kept(facts))
    except OSError as error:
        raise StepError(f"its facts were not kept: {cause_of(error, named=True)}") from error
