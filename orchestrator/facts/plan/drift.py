"""What became of a machine since it was asked last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.core.facts import Facts
from orchestrator.core.units import listing, size_text, whole_number
from orchestrator.facts.model import KEYS, Key, Kind, without_identity
from orchestrator.facts.plan.processor import BLOCKS

OUTER = ("container", "wsl")
"""Where a machine is one of these, what it sees of hardware is another's."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        fact: The key.
        text: What it is, in a sentence without what identifies the machine.
        serious: Whether a person should know before the machine is deployed.
    """

    fact: str
    text: str
    serious: bool = False


def changes(before: Facts, now: Facts) -> tuple[Change, ...]:
    """Compare what was known with what was said now; what was or is unknown is no difference."""
    if before.machine_id and now.machine_id and before.machine_id != now.machine_id:
        text = f"another machine answers than at {before.at:%Y-%m-%d %H:%M} (its machine-id)"
        return (Change("machine-id", text, serious=True),)
    found = [
        *_smaller(before, now),
        *_failing(now),
        *_disks(*_things(before, now, "disks")),
        *_nics(*_things(before, now, "nics")),
        *_gpus(*_things(before, now, "gpus")),
        *_lost(before, now),
    ]
    told = {one.fact for one in found}
    found += [one for key in KEYS if key.name not in told for one in _other(key, before, now)]
    return tuple(found)


def drift(before: Facts, now: Facts) -> tuple[Change, ...]:
    """What of it a person should know before the machine is deployed."""
    if now.value("virtualisation") in OUTER:
        return ()
    return tuple(one for one in changes(before, now) if one.serious)


_Things = list[dict[str, Any]]


def _things(before: Facts, now: Facts, key: str) -> tuple[_Things, _Things]:
    """The things of one kind then and now; none where they are not known of both in one way."""
    was, is_ = before.fact(key), now.fact(key)
    if was.source != is_.source or not isinstance(was.value, list):
        return [], []
    return (was.value, is_.value) if isinstance(is_.value, list) else ([], [])


def _smaller(before: Facts, now: Facts) -> Iterator[Change]:
    """Memory and processors; a size that was read elsewhere is another measure."""
    was, is_ = before.fact("memory.installed"), now.fact("memory.installed")
    if (
        was.source == is_.source
        and _both(was.value, is_.value)
        and abs(is_.value - was.value) > _unsure(was.source, was.value)
    ):
        shrank = is_.value < was.value
        text = f"memory {'shrank' if shrank else 'grew'} from {size_text(was.value)} to "
        yield Change("memory.installed", text + size_text(is_.value), serious=shrank)
    old, new = before.value("cpu.threads"), now.value("cpu.threads")
    if _both(old, new) and old != new:
        text = f"{new} logical processors are online; there were {old}"
        yield Change("cpu.threads", text, serious=new < old)


def _unsure(source: str, memory: int) -> float:
    """How many bytes of memory are no difference: of a share, or of a block that is not full."""
    if source.startswith(BLOCKS):
        return (whole_number(source.removeprefix(BLOCKS).removesuffix(" MiB")) or 0) << 20
    return 0.05 * memory if "meminfo" in source else 0.0  # another kernel keeps another share


def _both(old: object, new: object) -> bool:
    return isinstance(old, int) and isinstance(new, int)


def _failing(now: Facts) -> Iterator[Change]:
    for one in now.value("disks") or ():
        if one.get("smart") == "failed":
            text = f"SMART says that disk {_disk(one)} is failing"
            yield Change("disks", text, serious=True)


def _disks(before: _Things, now: _Things) -> Iterator[Change]:
    gone, new = _apart(_by(before, _disk_key), _by(now, _disk_key))
    for one in list(gone):
        if other := next((each for each in new if _is_same_disk(one, each)), None):
            gone.remove(one)
            new.remove(other)
    for one in gone:
        fixed = not one.get("removable") and one.get("transport") != "usb"
        yield Change("disks", f"disk {_disk(one)} is gone", serious=fixed)
    yield from (Change("disks", f"disk {_disk(one)} is new") for one in new)


def _disk(one: Mapping[str, Any]) -> str:
    size = one.get("size")
    said = [one.get("model"), size_text(size) if isinstance(size, int) else None]
    return f"{one.get('name')} ({', '.join(text for text in said if text)})"


def _disk_key(one: Mapping[str, Any]) -> object:
    return one.get("serial") or one.get("id") or (one.get("name"), one.get("size"))


def _is_same_disk(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two may be one disk, of which it was not said both times by what it is known."""
    said = [(one.get(part), other.get(part)) for part in ("serial", "id")]
    pairs = [(this, that) for this, that in said if this and that]
    if pairs:
        return any(this == that for this, that in pairs)
    return one.get("name") == other.get("name") and one.get("size") == other.get("size")


def _nics(before: _Things, now: _Things) -> Iterator[Change]:
    """A wireless device may have another address each time."""
    gone, new = _apart(_by(before, _nic_key), _by(now, _nic_key))
    there = {one.get("name") for one in new}
    for one in gone:
        other = one.get("name") in there
        fate = "has another MAC: it was replaced, or given one" if other else "is gone"
        yield Change("nics", f"network device {_nic(one)} {fate}", serious=True)
    told = {one.get("name") for one in gone}
    yield from (
        Change("nics", f"network device {_nic(one)} is new")
        for one in new
        if one.get("name") not in told
    )


def _nic(one: Mapping[str, Any]) -> str:
    return f"{one.get('name')} ({one.get('driver') or 'no driver'})"


def _nic_key(one: Mapping[str, Any]) -> object:
    return one.get("name") if one.get("wireless") else one.get("mac")


def _gpus(before: _Things, now: _Things) -> Iterator[Change]:
    gone, new = _apart(_by(before, _gpu_key), _by(now, _gpu_key))
    yield from (Change("gpus", f"graphics by {one.get('vendor')} is gone", True) for one in gone)
    yield from (Change("gpus", f"graphics by {one.get('vendor')} is new") for one in new)


def _gpu_key(one: Mapping[str, Any]) -> object:
    return one.get("vendor"), one.get("pci")


def _by(things: Iterable[Mapping[str, Any]], key: Any) -> dict[object, Mapping[str, Any]]:
    """Things by what each is known by; of equal ones by how many came before, too."""
    found: dict[object, Mapping[str, Any]] = {}
    for one in things:
        count = 0
        while (key(one), count) in found:
            count += 1
        found[key(one), count] = one
    return found


def _apart(
    before: dict[object, Mapping[str, Any]], now: dict[object, Mapping[str, Any]]
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    gone = [one for key, one in before.items() if key not in now]
    return gone, [one for key, one in now.items() if key not in before]


def _lost(before: Facts, now: Facts) -> Iterator[Change]:
    """Capabilities that are known to be there no more."""
    held = set(now.value("capabilities") or ()) | set(now.value("capabilities.unknown") or ())
    lost = sorted(set(before.value("capabilities") or ()) - held)
    if lost and now.value("capabilities") is not None:
        yield Change("capabilities", f"no longer there: {listing(lost, 20)}", serious=True)


_TOLD = {"memory.usable", "gpu.vendors", "cpu.flags", "capabilities.unknown", "disk.largest"}
"""What follows from what is told already."""


def _other(key: Key, before: Facts, now: Facts) -> Iterator[Change]:
    old, new = (without_identity(key, one.value(key.name)) for one in (before, now))
    if key.changes or key.name in _TOLD or None in (old, new) or old == new:
        return
    if key.kind in (Kind.THINGS, Kind.WORDS):
        yield Change(key.name, f"{key.name} changed")
    else:
        yield Change(key.name, f"{key.name}: {old} → {new}")
