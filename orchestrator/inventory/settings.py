"""The settings that features take: the defaults of their schemas, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.inventory.root import schema_file, schema_files
from orchestrator.inventory.setting_schemas import read_schema, validator_of, way
from orchestrator.inventory.tree import (
    Fields,
    Items,
    Leaf,
    Mistakes,
    Origin,
    Position,
    Tree,
    as_json,
    flatten,
    one_of,
    plain,
    printable,
    quoted,
)

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

_TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}
_BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
}


@dataclass(slots=True)
class Schemas:
    """The schemas of a fleet's features, each read when a host has the feature.

    Attributes:
        root: The fleet's root.
        names: Of the features that have one.
        hosts: The names of its hosts.
        mistakes: Takes what is wrong with a schema, and with settings.
    """

    root: Path
    names: frozenset[str]
    hosts: frozenset[str]
    mistakes: Mistakes
    _read: dict[str, Mapping[str, Any] | None] = field(default_factory=dict)
    _right: set[str] = field(default_factory=set)
    _validators: dict[str, Validator] = field(default_factory=dict)

    @classmethod
    def find(cls, root: Path, hosts: Iterable[str], mistakes: Mistakes) -> Schemas:
        """Look once which features have one."""
        return cls(root, frozenset(schema_files(root)), frozenset(hosts), mistakes)

    def settings(self, feature: str, said: Fields, place: Position) -> Fields | None:
        """Fill in the defaults, and note what the schema does not allow.

        Args:
            feature: By its name.
            said: What the layers say.
            place: Where the host comes to the feature.

        Returns:
            ``None`` where the feature takes no settings.
        """
        if feature not in self.names:
            if first := next(flatten(said), None):
                found = f"a setting of the feature {quoted(feature)}, which takes none"
                expected = f"no settings, or a schema of them: {schema_file(feature)}"
                self.mistakes.add(first.origin.place or place, found, expected)
            return None
        if (schema := self._schema(feature)) is None:
            return None
        filled = _filled(schema, said, Origin(Position(schema_file(feature)), _DEFAULT))
        values = as_json(plain(filled))
        if (key := json.dumps([feature, values])) not in self._right:
            errors = list(self._validator(feature, schema).iter_errors(values))
            for error in errors:
                _note(self.mistakes, feature, error, filled, place, self.hosts)
            self._right |= set() if errors else {key}
        return filled

    def _validator(self, feature: str, schema: Mapping[str, Any]) -> Validator:
        if feature not in self._validators:
            self._validators[feature] = validator_of(schema, self.hosts)
        return self._validators[feature]

    def _schema(self, feature: str) -> Mapping[str, Any] | None:
        if feature not in self._read:
            file, self._read[feature] = schema_file(feature), None
            try:
                self._read[feature] = read_schema(self.root, feature)
            except OSError as error:
                found = f"unreadable ({error.strerror})"
                self.mistakes.add(Position(file), found, "a readable regular file")
            except ValueError as error:
                found = f"no JSON Schema of settings: {error}"
                self.mistakes.add(Position(file), found, f"one of draft 2020-12, of {_SUBSET}")
        return self._read[feature]


_DEFAULT = "default"
_SUBSET = "the keywords in docs/catalogue.md"


def defaults_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a host that says none."""
    found: dict[str, Any] = as_json(plain(_filled(schema, Fields(), Origin(None, _DEFAULT))))
    return found


def default_errors(schema: Mapping[str, Any], hosts: Iterable[str]) -> tuple[str, ...]:
    """What a schema says against its own defaults; what has none is a host's to say."""
    errors = validator_of(schema, frozenset(hosts)).iter_errors(defaults_of(schema))
    return tuple(
        f"{way(error.absolute_path)}: expected {_expected(error)}"
        for error in errors
        if error.validator != "required"
    )


def _filled(schema: Mapping[str, Any], said: Fields, origin: Origin) -> Fields:
    """Add the defaults of what is not said; of a mapping, those below it where it is there."""
    entries = dict(said.entries)
    for name, below in schema.get("properties", {}).items():
        if name not in entries and "default" in below:
            entries[name] = _tree(below["default"], origin)
        if isinstance(tree := entries.get(name), Fields):
            entries[name] = _filled(below, tree, origin)
    return Fields(entries)


def _tree(value: object, origin: Origin) -> Tree:
    match value:
        case dict():
            return Fields({name: _tree(below, origin) for name, below in value.items()})
        case list():
            return Items(tuple(Leaf(one, origin) for one in value))
        case _:
            return Leaf(value, origin)


def _note(
    mistakes: Mistakes,
    feature: str,
    error: ValidationError,
    filled: Fields,
    place: Position,
    hosts: Iterable[str],
) -> None:
    """Note what a schema says against settings, where the value stands."""
    name = ".".join([feature, *map(str, error.absolute_path)])
    here = _at(filled, error.absolute_path)
    at = _place_of(here, place)
    wrong: Any = error.instance
    limit: Any = error.validator_value
    schema: Any = error.schema
    found = f"the setting {name}: {printable(json.dumps(wrong, ensure_ascii=False))}"
    match error.validator:
        case "additionalProperties" if isinstance(wrong, dict):
            known = schema.get("properties", {})
            for key in sorted(wrong.keys() - known.keys()):
                where = _place_of(_at(here, (key,)), place)
                found = f"the unknown setting {quoted(key)} of {name}"
                mistakes.add(where, found, one_of(known, "none"), meant=(key, known))
        case "required" if isinstance(wrong, dict):
            for key in limit:
                if key not in wrong:
                    mistakes.add(at, f"{name} without the setting {quoted(key)}", "it")
        case "format" if limit == "host":
            mistakes.add(at, found, "the name of a host of the fleet", meant=(str(wrong), hosts))
        case _:
            mistakes.add(at, found, _expected(error))


def _expected(error: ValidationError) -> str:
    """Say what a schema asks for, in words."""
    limit: Any = error.validator_value
    match error.validator:
        case "type":
            kinds = limit if isinstance(limit, list) else [limit]
            return " or ".join(_TYPES[str(kind)] for kind in kinds)
        case "enum":
            return one_of(one if isinstance(one, str) else json.dumps(one) for one in limit)
        case "pattern":
            return f"a text that matches {printable(limit)}"
        case "format":
            return f"a text of the form {printable(limit)!r}"
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
            return f"{_BOUNDS[str(error.validator)]} {limit}"
        case _:
            return f"what its schema says: {printable(error.message, 200)}"


def _at(tree: Tree, path: Iterable[str | int]) -> Tree:
    """What is at a path, as far as that leads."""
    for step in path:
        match tree:
            case Fields(entries=entries) if step in entries:
                tree = entries[str(step)]
            case Items(items=items) if isinstance(step, int) and step < len(items):
                tree = items[step]
            case _:
                break
    return tree


def _place_of(tree: Tree, otherwise: Position) -> Position:
    """Where a value stands; of a mapping, what was said below it, and no default."""
    if isinstance(tree, Leaf):
        return tree.origin.place or otherwise
    places = (one.origin.place for one in flatten(tree) if one.origin.layer != _DEFAULT)
    return next((place for place in places if place), otherwise)
