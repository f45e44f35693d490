"""The schemas of settings, as they stand beside the features' modules: read, and refused.

They are of draft 2020-12 (https://json-schema.org/draft/2020-12), of the keywords below.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.core import beneath
from orchestrator.core.units import parse_json
from orchestrator.inventory.kinds import MAX_INTEGER, NOT_FOR_NIX
from orchestrator.inventory.root import schema_file
from orchestrator.inventory.tree import printable, quoted

if TYPE_CHECKING:
    from jsonschema import FormatChecker
    from jsonschema.protocols import Validator

MAX_BYTES = 64 << 10
MAX_DEPTH = 100
# Without `$ref`: a schema is one file, and nothing is fetched for it.
_KEYWORDS = frozenset(
    [
        *("$schema", "$comment", "title", "description", "examples", "deprecated", "default"),
        *("type", "enum", "const", "format", "anyOf", "pattern", "minLength", "maxLength"),
        *("properties", "required", "additionalProperties"),
        *("items", "minItems", "maxItems", "uniqueItems"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    ]
)
# Those that are checked without a further library.
_FORMATS = ("date", "email", "ipv4", "ipv6", "regex", "uuid")


def read_schema(root: Path, feature: str) -> Mapping[str, Any]:
    """Read and check the schema of a feature's settings.

    Raises:
        OSError: It cannot be read.
        ValueError: It is none, or says what is not understood; the message says where.
    """
    import jsonschema

    schema = parse_json(beneath.read(root, schema_file(feature), MAX_BYTES))
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise ValueError('expected "type": "object" at the top')
    _check_values(schema)
    _check_keywords(schema, "")
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(f"{way(error.absolute_path)}: {printable(error.message)}") from None
    return _closed(schema)


def _check_values(said: object, depth: int = 0) -> None:
    """Refuse what Nix could not read of a default, and what is deeper than anything meant."""
    match said:
        case dict() | list() if depth >= MAX_DEPTH:
            raise ValueError(f"it has more than {MAX_DEPTH} levels")
        case dict() | list():
            for one in (*said, *said.values()) if isinstance(said, dict) else said:
                _check_values(one, depth + 1)
        case float() if not abs(said) < float("inf"):
            raise ValueError(f"the number {said}: expected a finite one")
        case int() if abs(said) > MAX_INTEGER:
            raise ValueError("a whole number of more than 64 bits")
        case str() if NOT_FOR_NIX.search(said):
            raise ValueError(f"the text {quoted(said)}: expected one without NUL")


def _check_keywords(schema: object, way: str) -> None:
    if not isinstance(schema, dict):
        raise ValueError(f"{way or 'it'}: expected a mapping")
    for keyword, below in schema.items():
        if keyword not in _KEYWORDS:
            raise ValueError(f"{way or 'it'}: the keyword {quoted(keyword)} is not understood")
        if keyword == "format" and str(below) not in _checker(frozenset()).checkers:
            raise ValueError(f"{way}: the format {quoted(str(below))} is not understood")
        for name, one in _below(keyword, below):
            _check_keywords(one, f"{way}.{name}".lstrip("."))


def _below(keyword: str, said: object) -> Iterator[tuple[str, object]]:
    """The schemas below a keyword."""
    match keyword, said:
        case "properties", dict():
            yield from said.items()
        case "anyOf", list():
            yield from ((keyword, one) for one in said)
        case ("items", _) | ("additionalProperties", dict()):
            yield keyword, said
        case _:
            pass


def _closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse what is not named, wherever nothing is said of it."""
    closed = dict(schema)
    if "properties" in schema:
        below = {name: _closed(one) for name, one in schema["properties"].items()}
        closed |= {
            "properties": below,
            "additionalProperties": schema.get("additionalProperties", False),
        }
    if isinstance(others := schema.get("additionalProperties"), dict):
        closed["additionalProperties"] = _closed(others)
    if "items" in schema:
        closed["items"] = _closed(schema["items"])
    if "anyOf" in schema:
        closed["anyOf"] = [_closed(one) for one in schema["anyOf"]]
    return closed


def validator_of(schema: Mapping[str, Any], hosts: frozenset[str]) -> Validator:
    """What checks settings; to it 1.0 is no whole number, since to Nix it is none."""
    import jsonschema

    whole = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    strict: type[Validator] = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
        jsonschema.Draft202012Validator, type_checker=whole
    )
    return strict(schema, format_checker=_checker(hosts))


def _checker(hosts: frozenset[str]) -> FormatChecker:
    import jsonschema

    checker = jsonschema.FormatChecker(formats=_FORMATS)
    checker.checks("host")(lambda value: not isinstance(value, str) or value in hosts)
    return checker


def way(path: Iterable[str | int]) -> str:
    """A path in a schema or settings, for people."""
    return ".".join(map(str, path)) or "it"
