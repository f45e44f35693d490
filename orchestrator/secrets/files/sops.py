"""Files of sops: whom they are encrypted to and the names of their values; ``.sops.yaml``.

Formats: https://getsops.io/docs/ and sops' own ``stores`` and ``config``. Nothing is decrypted.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.core.units import parse_json, split_lines
from orchestrator.inventory import compose
from orchestrator.inventory.tree import Mistakes
from orchestrator.secrets.model.sops import SopsContent, SopsKey, SopsRule

_MOST_RULES = 1000
_MOST_KEYS = 1000
_MOST_GROUPS = 255
"""Shamir's secret sharing has no more."""

# What says whom a key is for, by its kind: in a file's metadata and in a group of a rule.
_NAMED_BY = {
    "age": "recipient",
    "pgp": "fp",
    "kms": "arn",
    "gcp_kms": "resource_id",
    "azure_kv": "vault_url",
    "hc_vault": "vault_address",
    "hckms": "key_id",
}
_CLOUDS_OF_RULE = (
    *("kms", "gcp_kms", "azure_keyvault", "hc_vault", "hc_vault_transit_uri", "hckms"),
)


class SopsError(Exception):
    """Why a file is none that sops can use, as a fact about it."""


class SopsUnreadError(Exception):
    """Why nothing can be said of a file, which sops may read nevertheless; as a fact about it."""


def read_config(path: str, data: bytes) -> tuple[SopsRule, ...]:
    """Read the ``creation_rules`` of a ``.sops.yaml``, in their order.

    Args:
        path: Relative to the repository.
        data: The whole file.

    Raises:
        SopsError: It is not YAML, or not of that shape.
        SopsUnreadError: It has what is not read here, such as a merge key.
    """
    mistakes = Mistakes()
    said = _yaml(data, mistakes)
    if mistakes.kept:
        raise SopsUnreadError(f"has {mistakes.kept[0].found}, which is not read here")
    listed = said.get("creation_rules") if isinstance(said, dict) else None
    if listed is None:
        return ()
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise SopsError("has creation_rules that are no list of rules")
    if len(listed) > _MOST_RULES:
        raise SopsUnreadError(f"has more than {_MOST_RULES} creation rules")
    return tuple(_rule(path, number, one) for number, one in enumerate(listed, 1))


def _rule(path: str, number: int, said: Mapping[str, Any]) -> SopsRule:
    pattern, threshold = said.get("path_regex") or "", said.get("shamir_threshold") or 0
    if not isinstance(pattern, str) or not isinstance(threshold, int):
        raise SopsError(
            f"has a creation rule, {number}, with no text as path_regex or no number as "
            "shamir_threshold"
        )
    listed = said.get("key_groups")
    groups = _groups_of_rule(listed, number) if listed else (_of_rule(said, number),)
    return SopsRule(path, number, pattern, groups, threshold)


def _of_rule(said: Mapping[str, Any], number: int) -> tuple[SopsKey, ...]:
    """Keys that stand in the rule itself: a list, or a text with commas."""
    found: dict[SopsKey, None] = {}
    for kind in ("age", "pgp", *_CLOUDS_OF_RULE):
        value = said.get(kind) or []
        texts = value.split(",") if isinstance(value, str) else value
        if not isinstance(texts, list):
            raise SopsError(f"has a creation rule, {number}, whose {kind} is neither text nor list")
        found |= dict.fromkeys(key for text in texts for key in _keys_in(kind, text))
    return tuple(found)


def _groups_of_rule(listed: Any, number: int) -> tuple[tuple[SopsKey, ...], ...]:
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise SopsError(f"has a creation rule, {number}, whose key_groups is no list of groups")
    if len(listed) > _MOST_GROUPS:
        raise SopsError(f"has a creation rule, {number}, of more than {_MOST_GROUPS} key groups")
    return tuple(tuple(dict.fromkeys(_in_group(group, number))) for group in listed)


def _in_group(group: Mapping[str, Any], number: int) -> list[SopsKey]:
    """Keys of a group: ``age`` may have commas there too, ``merge`` has further groups."""
    merged = group.get("merge") or []
    found = [key for one in _groups_of_rule(merged, number) for key in one] if merged else []
    for kind in ("age", "pgp", *_CLOUDS_OF_RULE):
        texts = group.get(kind) or []
        if not isinstance(texts, list):
            raise SopsError(
                f"has a creation rule, {number}, whose key_groups have a {kind} that is no list"
            )
        found += [key for text in texts for key in _keys_in(kind, text)]
    return found


def _keys_in(kind: str, said: Any) -> list[SopsKey]:
    text = said if isinstance(said, str) else json.dumps(said)
    parts = text.split(",") if kind == "age" else [text]
    return [SopsKey(kind, part.strip()) for part in parts if part.strip()]


_Plain = Any
"""What JSON has: mappings, lists, texts, numbers, truth and nothing."""


def _yaml(data: bytes, mistakes: Mistakes) -> _Plain:
    """Read one document: as deep and as large, with its aliases, as an inventory may be."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise SopsError("is not YAML: it is no UTF-8") from None
    if (node := compose.compose(text, "", mistakes)) is not None:
        return _plain(node)
    # The rest was not read: it is wrong, or more than is read here.
    last = mistakes.kept[-1]
    if last.found.startswith("not YAML"):
        raise SopsError(f"is not YAML (line {last.place.line})")
    raise SopsUnreadError(f"has {last.found}, which is not read here")


def _plain(node: compose.Node) -> _Plain:
    match node:
        case compose.Mapping(entries=entries):
            return {key: _plain(one) for key, one in entries.items()}
        case compose.Sequence(items=items):
            return [_plain(one) for one in items]
        case compose.Scalar(value=compose.Ambiguous(text=text)):
            return text
        case compose.Scalar(value=value):
            return value


def format_of(path: str) -> str:
    """The format that sops takes a file for, by its name."""
    by_ending = {"yaml": "yaml", "yml": "yaml", "json": "json", "env": "dotenv", "ini": "ini"}
    _, dot, ending = path.rpartition(".")
    return by_ending.get(ending, "binary") if dot else "binary"


def read_content(form: str, data: bytes) -> SopsContent | None:
    """Read whom a file is encrypted to, and the names of its values; never a value.

    Args:
        form: Its format, as :func:`format_of` and ``sops.secrets.NAME.format`` have it.
        data: The whole file.

    Returns:
        ``None`` where sops has not encrypted it.

    Raises:
        SopsError: It is not of that format, or has metadata that sops cannot use.
        SopsUnreadError: It has what is not read here.
    """
    mistakes = Mistakes()
    match form:
        case "yaml":
            said = _yaml(data, mistakes)
        case "dotenv" | "ini":
            return _of_lines(data)
        case _:
            said = _json(data)
    if not isinstance(said, dict) or "sops" not in said:
        return None
    metadata = said.pop("sops")
    if not isinstance(metadata, dict) or "mac" not in metadata:
        raise SopsError("has a key sops that is none of sops' metadata")
    listed = metadata.get("key_groups") or [metadata]
    if not isinstance(listed, list) or len(listed) > _MOST_GROUPS:
        raise SopsError("has key groups in its metadata that are none")
    groups = tuple(_of_metadata(one) for one in listed)
    return _content(groups, metadata.get("shamir_threshold"), said, whole=not mistakes.kept)


def _json(data: bytes) -> _Plain:
    try:
        return parse_json(data)
    except ValueError:
        raise SopsError("is not JSON, as sops writes this format") from None


def _of_metadata(group: Any) -> tuple[SopsKey, ...]:
    found: dict[SopsKey, None] = {}
    for kind, named_by in _NAMED_BY.items():
        listed = group.get(kind) if isinstance(group, dict) else None
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, dict) and isinstance(one.get(named_by), str):
                found[SopsKey(kind, one[named_by].strip())] = None
    return tuple(found)


def _content(
    groups: tuple[tuple[SopsKey, ...], ...], threshold: Any, clear: Any, *, whole: bool
) -> SopsContent:
    if not all(groups):
        raise SopsError("has metadata of sops' in which a key group has no key")
    if sum(map(len, groups)) > _MOST_KEYS:
        raise SopsUnreadError(f"is encrypted to more than {_MOST_KEYS} keys")
    # Where there are several groups and no number, all are needed.
    given = threshold if isinstance(threshold, int) and threshold > 0 else len(groups)
    return SopsContent(groups, min(given, len(groups)), clear, whole)


_FLAT = re.compile(
    r"(?:key_groups__list_([0-9]{1,3})__map_)?([a-z_]+?)__list_[0-9]+__map_([a-z_]+)"
)


def _of_lines(data: bytes) -> SopsContent | None:
    """Read the lines ``sops_NAME=`` of a .env, or those of the section ``[sops]`` of an .ini."""
    flat: dict[str, str] = {}
    inside = False
    for line in split_lines(data.decode(errors="replace")):
        name, is_one, value = line.partition("=")
        name = name.strip()
        if line.startswith("["):
            inside = line.strip() == "[sops]"
        elif is_one and (inside or name.startswith("sops_")):
            flat[name.removeprefix("sops_")] = value.strip()
    if "mac" not in flat:
        return None
    groups: dict[int, dict[SopsKey, None]] = {}
    for name, value in flat.items():
        if (found := _FLAT.fullmatch(name)) and _NAMED_BY.get(found[2]) == found[3]:
            groups.setdefault(int(found[1] or 0), {})[SopsKey(found[2], value)] = None
    threshold = flat.get("shamir_threshold", "")
    in_order = tuple(tuple(groups[number]) for number in sorted(groups)) or ((),)
    return _content(in_order, int(threshold[:3]) if threshold.isdecimal() else 0, {}, whole=True)


# Go's regular expressions, RE2, are Python's but for these; Python's have what Go's refuse.
_FOREIGN = re.compile(r"\(\?[=!<>#(]|\(\?P[=>]|\\[1-9pPQECXZ]|\[\[?:|\\x\{|\(\?[a-z]*U|[*+?}]\+")

_SECONDS = 20.0
_LONGEST = 1000
"""Characters of a pattern."""

# Answers, for each list of patterns, which is the first that is found in each of its paths; -1
# where one before it is not known. An empty one takes every path. In a process of its own: whether
# it ends depends on who wrote the patterns.
_MATCH = """
import json, re, sys
def first(patterns, path):
    for number, pattern in enumerate(patterns):
        if pattern is None:
            return -1
        if not pattern or re.search(pattern, path, re.ASCII):
            return number
answer = [[first(patterns, path) for path in paths] for patterns, paths in json.load(sys.stdin)]
json.dump(answer, sys.stdout)
"""


async def first_matches(
    asked: Sequence[tuple[Sequence[str], Sequence[str]]],
) -> list[list[int | None]]:
    """Find which pattern takes each path first.

    Args:
        asked: Patterns of ``path_regex`` in their order, and paths; one pair for each file of them.

    Returns:
        For each pair, for each path: the pattern's place, ``None`` where none takes it, -1 where
        that cannot be known, since one is not understood here.

    Raises:
        SopsUnreadError: They did not end in time.
    """
    given = [([understood(one) for one in patterns], list(paths)) for patterns, paths in asked]
    argv = (sys.executable, "-I", "-S", "-c", _MATCH)
    try:
        done = await process.run(argv, deadline=_SECONDS, stdin=json.dumps(given).encode())
    except StepError:
        raise SopsUnreadError(f"has patterns that did not end within {_SECONDS:.0f} s") from None
    if done.rc != 0:
        raise SopsUnreadError("has patterns that cannot be carried out here")
    answer: list[list[int | None]] = parse_json(done.stdout)
    return answer


def understood(pattern: str) -> str | None:
    """Give a pattern of Go's as one of Python's; ``None`` where it may be another one there."""
    if len(pattern) > _LONGEST or _FOREIGN.search(pattern):
        return None
    same = re.sub(r"\\(.)", lambda found: r"\Z" if found[1] == "z" else found[0], pattern)
    try:
        re.compile(same, re.ASCII)
    except (re.error, RecursionError, OverflowError):
        return None
    return same
