"""The catalogue, a feature, a host's features and what is wrong, drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.catalogue.change import HostChange, value_text
from orchestrator.catalogue.check import Finding
from orchestrator.catalogue.status import HasFeature, State, Status
from orchestrator.core.catalogue import Feature, Needs
from orchestrator.core.commit import Commit
from orchestrator.core.host import Fleet
from orchestrator.core.resolution import resolve
from orchestrator.core.stored import plain
from orchestrator.core.units import listing, size_text
from orchestrator.core.values import replace
from orchestrator.render.output import Colour, Output, clean
from orchestrator.render.report import Cell, Column, print_json, print_table

_COLOURS = {
    State.PENDING: Colour.WARN,
    State.CHANGED: Colour.WARN,
    State.TO_GO: Colour.WARN,
    State.APPLIED: Colour.GOOD,
}


_MOST = 5
"""Hosts that a line names."""


def needs_text(needs: Needs) -> str:
    """Say what is needed in one line."""
    said = [
        size_text(needs.memory) if needs.memory else "",
        f"{needs.cpus} CPUs" if needs.cpus else "",
        f"{size_text(needs.disk)} disk" if needs.disk else "",
        f"GPU {needs.gpu}" if needs.gpu else "",
        *needs.capability,
    ]
    return ", ".join(one for one in said if one)


def draw_list(fleet: Fleet, results: Output, *, as_json: bool) -> None:
    """Draw all features, and the tiers."""
    users = {
        name: [host.name for host in fleet.hosts.values() if name in host.features]
        for name in fleet.features
    }
    if as_json:
        features = [plain(one) | {"hosts": users[one.name]} for one in fleet.features.values()]
        print_json(results, {"features": features, "tiers": plain(list(fleet.tiers.values()))})
        return
    columns = ("feature", "hosts", "requires", "needs", "risk", "description")
    print_table(
        results,
        [Column(one, right=one == "hosts", flexible=one == "description") for one in columns],
        [_row(one, len(users[one.name])) for one in fleet.features.values()],
    )
    for tier in fleet.tiers.values():
        needs = f" (needs {needs_text(tier.needs)})" if tier.needs != Needs() else ""
        results.line(f"tier {tier.name}: {', '.join(tier.features) or 'nothing'}{needs}")


def _row(feature: Feature, hosts: int) -> tuple[str | Cell, ...]:
    return (
        feature.name,
        str(hosts),
        ", ".join(feature.requires),
        needs_text(feature.needs),
        feature.risk.value if feature.risk else "",
        " ".join(feature.description.split()),
    )


def draw_feature(
    fleet: Fleet,
    feature: Feature,
    hosts: Mapping[str, str],
    schema: Mapping[str, Any] | None,
    results: Output,
    *,
    as_json: bool,
) -> None:
    """Draw one feature: what the catalogue says of it, and who has it.

    Args:
        fleet: The fleet.
        feature: The feature.
        hosts: Those that have it, and where it comes from there.
        schema: Of its settings, where it takes some.
        results: Standard output.
        as_json: For a program.
    """
    by = [one.name for one in fleet.features.values() if feature.name in one.requires]
    if as_json:
        more = {"required_by": by, "schema": schema, "hosts": dict(hosts)}
        print_json(results, plain(feature) | more)
        return
    chains = resolve(fleet.features, (feature.name,)).chains
    for title, text in (
        ("", feature.description),
        ("requires", ", ".join(_with_reason(name, way) for name, way in chains.items() if way[1:])),
        ("required by", ", ".join(by)),
        ("conflicts", ", ".join(_conflicts(fleet, feature))),
        ("one of", feature.one_of or ""),
        ("needs", needs_text(feature.needs)),
        ("risk", _risk(feature)),
        *(("mitigation", one) for one in feature.mitigations),
    ):
        if text:
            results.line(clean(f"{title}: {text}" if title else " ".join(text.split())))
    _draw_schema(schema or {}, results)
    by_reason: dict[str, list[str]] = {}
    for host, reason in hosts.items():
        by_reason.setdefault(reason, []).append(host)
    for reason, names in by_reason.items():
        results.line(f"{listing(names, _MOST)}: {clean(reason)}")
    if not hosts:
        results.line("no host has it")


def _with_reason(name: str, way: Sequence[str]) -> str:
    return f"{name} (by {', by '.join(way[-2:0:-1])})" if way[2:] else name


def _conflicts(fleet: Fleet, feature: Feature) -> Iterator[str]:
    for other in fleet.features.values():
        if other.name in feature.conflicts or feature.name in other.conflicts:
            yield other.name


def _risk(feature: Feature) -> str:
    risk = feature.risk.value if feature.risk else ""
    return f"{risk}: {feature.because}" if risk and feature.because else risk


def _draw_schema(schema: Mapping[str, Any], results: Output) -> None:
    rows = [
        (name, _type(said), json.dumps(said["default"]) if "default" in said else "", _about(said))
        for name, said in schema.get("properties", {}).items()
    ]
    if rows:
        columns = ("setting", "is", "default", "what")
        print_table(results, [Column(one, flexible=one == "what") for one in columns], rows)


def _type(said: Mapping[str, Any]) -> str:
    if "enum" in said:
        return " or ".join(map(str, said["enum"]))
    return str(said.get("format") or said.get("type", "any"))


def _about(said: Mapping[str, Any]) -> str:
    return " ".join(str(said.get("description", "")).split())


def draw_status(status: Status, results: Output, *, as_json: bool) -> None:
    """Draw what a host has."""
    if as_json:
        print_json(results, _status_json(status))
        return
    results.line(f"{status.host}: {_tier(status)}")
    columns = ("feature", "state", "because", "last change")
    print_table(
        results,
        [Column(one, flexible=one == "last change") for one in columns],
        [_feature_row(one) for one in status.features],
    )
    for one in status.features:
        for key, value in one.settings.items():
            results.line(clean(f"  {one.name}.{key} = {json.dumps(value, ensure_ascii=False)}"))
    for line in _machine(status):
        results.line(clean(line))


def _tier(status: Status) -> str:
    own = f"tier {status.tier}" if status.tier else "no tier"
    return f"{own}; its machine carries {status.carries}" if status.carries else own


def _feature_row(one: HasFeature) -> tuple[str | Cell, ...]:
    state = Cell(one.state.value, _COLOURS.get(one.state))
    return (one.name, state, one.reason, _commit(one.changed))


def _commit(commit: Commit | None) -> str:
    if commit is None:
        return ""
    if not commit.id:
        return "not committed"
    return f"{commit.id[:7]} {commit.date}: {commit.subject}"


def _machine(status: Status) -> Iterator[str]:
    """Say how its needs stand to its machine, and what is not known."""
    if status.running.features is None:
        yield f"what runs is not known: {status.running.why}"
    if status.fit.skipped:
        yield f"needs: not compared: it is a guest ({status.fit.skipped})"
    for gap in status.fit.gaps:
        yield f"needs: {gap.text}"
    if status.nearest:
        yield f"the nearest tier that fits is {status.nearest}"
    for key, fact in status.machine.overridden.items():
        counts = status.machine.facts.fact(key)
        yield (
            f"hardware: {key} is {_value(counts.value)} (inventory); "
            f"the machine said {_value(fact.value)} ({fact.source})"
        )


def _value(value: object) -> str:
    if isinstance(value, int) and value >= 1 << 20:
        return size_text(value)
    return listing([str(one) for one in value], 12) if isinstance(value, list) else str(value)


def _status_json(status: Status) -> dict[str, Any]:
    return {
        "host": status.host,
        "tier": status.tier,
        "carries": status.carries,
        "nearest_tier": status.nearest,
        "features": plain(status.features),
        "running": plain(status.running),
        "needs": {
            "skipped": status.fit.skipped or None,
            "gaps": plain(status.fit.gaps),
        },
        "overridden": plain(status.machine.overridden),
    }


def draw_findings(findings: Sequence[Finding], output: Output) -> None:
    """Draw what is wrong with a catalogue, and what is odd."""
    for one in findings:
        kind = Colour.BAD if one.wrong else Colour.WARN
        word = output.paint("wrong:" if one.wrong else "notice:", kind)
        output.line(f"{word} {clean(one.name)}: {clean(one.text)}")


def draw_changes(changes: Sequence[HostChange], output: Output) -> None:
    """Draw how hosts change once a feature is turned on or off; those alike at once."""
    alike: list[tuple[HostChange, list[str]]] = []
    for one in changes:
        found = (names for other, names in alike if replace(other, host=one.host) == one)
        if (names := next(found, None)) is None:
            alike.append((one, [one.host]))
        else:
            names.append(one.host)
    for one, names in alike:
        output.line(output.paint(listing(names, _MOST), Colour.STRONG))
        for line in _change_lines(one, output):
            output.line(f"  {line}")


def _change_lines(one: HostChange, output: Output) -> Iterator[str]:
    for name, reason in one.added.items():
        yield f"{output.paint(f'+ {name}', Colour.GOOD)}  {clean(reason)}"
    for name in one.removed:
        yield output.paint(f"- {name}", Colour.BAD)
    for key, (before, after) in one.settings.items():
        yield clean(f"{key}: {value_text(before)} → {value_text(after)}")
    if not (one.added or one.removed or one.settings):
        yield "nothing changes"
    before_risk, after_risk = (risk.value if risk else "none" for risk in one.risk)
    if before_risk != after_risk or one.risky:
        yield f"declared risk: {before_risk} → {after_risk}"
    for feature in one.risky:
        yield clean(f"risk of {feature.name}: {_risk(feature)}")
        yield from (clean(f"  mitigation: {text}") for text in feature.mitigations)
    if one.fit.skipped:
        yield f"needs: not compared: it is a guest ({one.fit.skipped})"
    for gap in one.fit.lacks:
        yield output.paint(clean(f"needs: {gap.text}"), Colour.BAD)
    if unknown := dict.fromkeys(gap.need for gap in one.fit.gaps if not gap.known):
        yield f"needs: not known: {', '.join(unknown)} (orchestrator host facts {one.host})"
    if one.nearest:
        yield f"the nearest tier that fits is {one.nearest}"
