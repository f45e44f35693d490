"""From the files below ``inventory/`` to a fleet, or every mistake in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.core.errors import UsageError
from orchestrator.core.host import Cache, Fleet, Limits, User
from orchestrator.core.rollout import RolloutPolicy, Stage, WhenSpent
from orchestrator.inventory.addresses import check_addresses
from orchestrator.inventory.declaration import HOST
from orchestrator.inventory.kinds import Reading
from orchestrator.inventory.mistake import Mistakes, nearest, quoted
from orchestrator.inventory.references import check_extends, check_references
from orchestrator.inventory.resolve import Resolver, to_host
from orchestrator.inventory.sections import read_sections
from orchestrator.inventory.suites import SECTION, Suites, check_suites
from orchestrator.inventory.tree import Fields, Resolved, flatten, plain

# https://nix.dev/manual/nix/latest/command-ref/new-cli/nix3-flake#url-like-syntax
_URL = re.compile(r"[a-z][a-z0-9+.-]*:.*")


@dataclass(frozen=True, slots=True)
class Inventory:
    """A fleet, and where everything that is said of its hosts was said.

    Attributes:
        declared_name: The fleet's name as the files say it, whatever its folder is called.
        resolved: Each host's values with their origins.
        suites: What is named as a verification suite; all of it exists.
    """

    fleet: Fleet
    declared_name: str | None
    resolved: Mapping[str, Fields]
    suites: tuple[str, ...] = ()

    def origins(self, host: str) -> tuple[Resolved, ...]:
        """Each value of a host and where it came from, in the order of the declaration.

        Raises:
            UsageError: There is no such host.
        """
        if host not in self.resolved:
            near = nearest(host, self.resolved)
            raise UsageError(
                f"there is no host {quoted(host)}" + (f"; did you mean {near!r}?" if near else ""),
                hint=f"hosts: {', '.join(self.resolved)}",
            )
        order = {key.name: index for index, key in enumerate(HOST.keys)}
        values = flatten(self.resolved[host])
        return tuple(sorted(values, key=lambda value: order[value.key.partition(".")[0]]))


def load(root: Path, drafts: Mapping[str, str] | None = None) -> Inventory:
    """Read the inventory of the fleet at ``root``.

    Args:
        root: The fleet's root.
        drafts: Texts to read in the place of files, by their names relative to ``root``.

    Raises:
        InventoryError: It has mistakes; all of them are told.
    """
    root = root.absolute()
    reading = Reading(Mistakes())
    sections, complete = read_sections(root, reading, drafts or {})
    if complete:
        # Names may stand in a file that could not be read: only then would these be noise.
        check_references(sections, reading)
        check_suites(root, reading)
    check_extends(sections, reading.mistakes)
    reading.mistakes.settle()
    resolver = Resolver(sections, Suites.find(root))
    hosts = sections.get("hosts")
    resolved = {name: resolver.resolve(name) for name in hosts.keys}
    check_addresses(hosts, resolved, reading.mistakes)
    reading.mistakes.settle()
    name = sections.get("fleet").leaf("name")
    declared = str(name.value) if name else None
    suites = sorted({one.name for one in reading.references if one.section == SECTION})
    return Inventory(_fleet(root, sections, resolved), declared, resolved, tuple(suites))


def _fleet(root: Path, sections: Fields, resolved: Mapping[str, Fields]) -> Fleet:
    values: dict[str, Any] = plain(sections)
    said: dict[str, Any] = values.get("fleet", {})
    caches = {name: _cache(root, name, cache) for name, cache in values.get("caches", {}).items()}
    return Fleet(
        name=said.get("name", _name(root)),
        root=str(root),
        flake=_flake(root, said.get("flake", ".")),
        hosts={name: to_host(name, tree, caches) for name, tree in resolved.items()},
        users={name: _user(name, user) for name, user in values.get("users", {}).items()},
        limits=Limits(**values.get("limits", {})),
        builders=values.get("builders", ()),
        caches=caches,
        rollout=_rollout(values.get("rollout", {})),
    )


def _name(root: Path) -> str:
    """The folder's name, as far as a fleet's name may have such characters."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", root.name).strip("-") or "fleet"


def _flake(root: Path, flake: str) -> str:
    return flake if _URL.fullmatch(flake) else str((root / flake).resolve())


def _cache(root: Path, name: str, values: Mapping[str, Any]) -> Cache:
    said = {key: values[key] for key in values if key != "description"}
    if "secret_key" in said:
        said["secret_key"] = str(root / Path(said["secret_key"]).expanduser())
    return Cache(name, **said)


def _rollout(values: dict[str, Any]) -> RolloutPolicy:
    said = dict(values)
    if "when_spent" in said:
        said["when_spent"] = WhenSpent(said["when_spent"])
    if "stages" in said:
        said["stages"] = tuple(_stage(name, stage) for name, stage in said["stages"].items())
    return RolloutPolicy(**said)


def _stage(name: str, values: Mapping[str, Any]) -> Stage:
    return Stage(name, **{key: values[key] for key in values if key != "description"})


def _user(name: str, values: Mapping[str, Any]) -> User:
    return User(name, **{key: values[key] for key in values if key != "description"})
