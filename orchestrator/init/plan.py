"""Which hosts an inventory is to have, of what sources say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.values import replace
from orchestrator.init.model import (
    Evidence,
    LeftOut,
    NewHost,
    Said,
    Source,
    is_image,
    template_of,
)

Problem = Callable[[str, object], str | None]
"""What an inventory expects at a key, where a value is not that: of a name, an address, a tag."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")

Spelled = Callable[[str], str]
"""An address in one spelling."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What an inventory has already.

    Attributes:
        names: Its hosts' names.
        attrs: Their attributes below ``nixosConfigurations``.
        ways: Where they answer, in one spelling: address, port, jump.
    """

    names: frozenset[str] = frozenset()
    attrs: frozenset[str] = frozenset()
    ways: frozenset[tuple[str, int, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is to be written, before anybody is asked.

    Attributes:
        hosts: New ones, by name.
        left_out: What is none of them.
        notices: What is worth knowing.
    """

    hosts: tuple[NewHost, ...]
    left_out: tuple[LeftOut, ...]
    notices: tuple[str, ...]


def propose(
    attrs: Sequence[str],
    sources: Sequence[Source],
    problem: Problem,
    spelled: Spelled,
    taken: Taken | None = None,
) -> Proposal:
    """Make hosts of configurations.

    Args:
        attrs: The names below ``nixosConfigurations``.
        sources: What says more of them; the first that says something of a key counts.
        problem: What an inventory takes.
        spelled: Addresses in one spelling.
        taken: What the inventory has already.
    """
    taken = taken or Taken()
    new = [attr for attr in attrs if attr not in taken.attrs]
    images = [attr for attr in new if is_image(attr)]
    odd = [attr for attr in new if attr not in images and problem("attr", attr)]
    left_out = [LeftOut(attr, "an image, by its name") for attr in images]
    left_out += [LeftOut(attr, f"its name is not {problem('attr', attr)}") for attr in odd]
    others = {attr: why for attr in new if (why := _no_machine(attr, sources))}
    left_out += [LeftOut(attr, why) for attr, why in others.items() if attr not in {*images, *odd}]
    real = [attr for attr in new if attr not in {*images, *odd, *others}]
    notices: list[str] = []
    hosts: list[NewHost] = []
    ways = dict.fromkeys(taken.ways, "a host of the inventory")
    for attr, name in _named(real, taken.names, problem):
        host = NewHost(name, attr, _values(attr, name, sources, problem, notices))
        way = _way(host, spelled)
        if (other := ways.setdefault(way, name)) != name:
            where = f"{host.address}, which is {other}'s address: an inventory has a machine once"
            left_out.append(LeftOut(attr, f"it answers at {where}"))
        else:
            hosts.append(host)
    return Proposal(tuple(hosts), tuple(left_out), tuple(dict.fromkeys(notices)))


def of_flake(proposal: Proposal, flake: str | None) -> Proposal:
    """The same, of a flake that is not the fleet's own; ``None``: of that one."""
    return replace(proposal, hosts=tuple(replace(host, flake=flake) for host in proposal.hosts))


def joined(first: Proposal, second: Proposal) -> Proposal:
    """What is to be written of two flakes."""
    return Proposal(
        first.hosts + second.hosts,
        first.left_out + second.left_out,
        tuple(dict.fromkeys(first.notices + second.notices)),
    )


def with_all_of(taken: Taken, proposal: Proposal, spelled: Spelled) -> Taken:
    """What an inventory has once a proposal is written."""
    return Taken(
        taken.names | {host.name for host in proposal.hosts},
        taken.attrs,
        taken.ways | {_way(host, spelled) for host in proposal.hosts},
    )


def _no_machine(attr: str, sources: Sequence[Source]) -> str:
    """Why a configuration is none that a machine of its own has: a container on another's, say."""
    known = (source.hosts[attr].no_machine for source in sources if attr in source.hosts)
    return next(filter(None, known), "")


def _named(
    attrs: Iterable[str], taken: Iterable[str], problem: Problem
) -> Iterator[tuple[str, str]]:
    """Give each configuration a host's name: its own, as far as a name may have such characters."""
    used = set(taken)
    attrs = list(attrs)
    # Those whose name is one already have it, whatever comes before them.
    plain = {attr for attr in attrs if problem("name", attr) is None and attr not in used}
    used |= plain
    for attr in attrs:
        name = attr if attr in plain else _free(attr, used, problem)
        used.add(name)
        yield attr, name


def _free(attr: str, used: set[str], problem: Problem) -> str:
    label, _, _ = attr.partition(".")
    for text in (label, attr):
        name = re.sub(r"[^a-z0-9]+", "-", text.lower())[:50].strip("-")
        if name not in used and problem("name", name) is None:
            return name
    stem = re.sub(r"[^a-z0-9]+", "-", attr.lower())[:50].strip("-") or "host"
    number = 2
    while f"{stem}-{number}" in used:
        number += 1
    return f"{stem}-{number}"


def _values(
    attr: str,
    name: str,
    sources: Sequence[Source],
    problem: Problem,
    notices: list[str],
) -> Mapping[str, Said]:
    values: dict[str, Said] = {}
    tags: dict[str, str] = {}
    for source in sources:
        said = source.hosts.get(attr, Evidence())
        notices += said.notices
        # An address's user and port are those of the source that has it.
        skip = {"user", "port", "jump"} if "address" in values else set()
        for key, value in said.values.items():
            if key == "tags":
                tags |= dict.fromkeys(_tags(attr, value, problem, notices), value.origin)
            elif key in values or key in skip:
                continue
            elif expected := problem(key, value.value):
                notices.append(f"{attr}: {value.origin} is not carried over: not {expected}")
            else:
                values[key] = value
    if tags:
        origin = ", ".join(dict.fromkeys(tags.values()))
        values["tags"] = Said(tuple(tags), origin)
    if _is_here(values):
        here = values.pop("address")
        why = f"{here.origin} is {here.value}, whichever machine one sits on"
        notices.append(f"{attr}: {why}; it is reached by its name")
    values.setdefault("address", _address(attr, name, problem))
    if kind := template_of(attr, tags):
        values.setdefault("template", kind)
    return values


def _is_here(values: Mapping[str, Said]) -> bool:
    """Whether the address is that of whoever deploys: of a port that is forwarded it is not."""
    is_loopback = "address" in values and values["address"].value in _LOOPBACK
    return (
        is_loopback
        and "jump" not in values
        and ("port" not in values or values["port"].value == 22)
    )


def _tags(attr: str, said: Said, problem: Problem, notices: list[str]) -> list[str]:
    assert isinstance(said.value, tuple)
    wrong = [tag for tag in said.value if problem("tags", tag)]
    if wrong:
        notices.append(f"{attr}: tags that are no {problem('tags', wrong[0])} are not carried over")
    return [tag for tag in said.value if tag not in wrong]


def _address(attr: str, name: str, problem: Problem) -> Said:
    if "." in attr and problem("address", attr) is None:
        return Said(attr, "its name below nixosConfigurations", guessed=True)
    return Said(name, "its name: nothing says where it answers", guessed=True)


def _way(host: NewHost, spelled: Spelled) -> tuple[str, int, str]:
    port, jump = host.values.get("port"), host.values.get("jump")
    number = port.value if port and isinstance(port.value, int) else 22
    return spelled(host.address), number, str(jump.value) if jump else ""


def only(source: Source, attrs: Iterable[str]) -> tuple[str, ...]:
    """The configurations of which a source says something, in their order."""
    return tuple(attr for attr in attrs if attr in source.hosts)


def strangers(source: Source, attrs: Iterable[str]) -> tuple[LeftOut, ...]:
    """The hosts of a source of which there is no configuration."""
    unknown = sorted(source.hosts.keys() - set(attrs))
    why = f"{source.name} has it, and there is no such nixosConfigurations"
    return tuple(LeftOut(name, why) for name in unknown)


def answered(host: NewHost, key: str, value: str) -> NewHost:
    """A host with what a person said of it."""
    return replace(host, values={**host.values, key: Said(value, "you")})
