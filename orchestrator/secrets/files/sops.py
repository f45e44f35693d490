"""Read ``.sops.yaml``, and of files that sops encrypted whom they are encrypted to.

Formats: https://getsops.io/docs/ and sops' ``stores``. Nothing is decrypted, and no value is kept.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.core.units import parse_json, split_lines
from orchestrator.secrets.age import keys
from orchestrator.secrets.plan.sops import SopsKey, SopsRule

CONFIG = ".sops.yaml"

_METADATA = 2**20
"""Bytes of a file's metadata, or of a ``.sops.yaml``: a key takes some 400."""

_MOST_RULES = 1000
_SECONDS = 20.0

# What says whom a key is for, by its kind, in a file's metadata and in a group of a rule.
_NAMED_BY = {
    "age": "recipient",
    "pgp": "fp",
    "kms": "arn",
    "gcp_kms": "resource_id",
    "azure_kv": "vault_url",
    "hc_vault": "vault_address",
    "hckms": "key_id",
}
_CLOUDS = ("kms", "gcp_kms", "azure_keyvault", "hc_vault_transit_uri", "hc_vault", "hckms")


class SopsError(Exception):
    """Why a file cannot be understood, as a fact about it."""


def parse_config(path: str, data: bytes) -> tuple[SopsRule, ...]:
    """Read the ``creation_rules`` of a ``.sops.yaml``, in their order.

    Args:
        path: Relative to the repository.
        data: The file.

    Raises:
        SopsError: It is no YAML, or not of that shape.
    """
    said = _yaml(data)
    listed = said.get("creation_rules") if isinstance(said, dict) else None
    if listed is None:
        return ()
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise SopsError("creation_rules is no list of rules")
    if len(listed) > _MOST_RULES:
        raise SopsError(f"it has more than {_MOST_RULES} creation rules")
    return tuple(_rule(path, number, one) for number, one in enumerate(listed, 1))


def _rule(path: str, number: int, said: Mapping[str, Any]) -> SopsRule:
    pattern = said.get("path_regex") or ""
    if not isinstance(pattern, str):
        raise SopsError(f"path_regex of creation rule {number} is no text")
    groups = said.get("key_groups")
    found = _of_groups(groups, number) if groups else _of_rule(said, number)
    unusable = [(key.text, why) for key in found if (why := _unusable(key))]
    texts = {text for text, _ in unusable}
    usable = tuple(dict.fromkeys(key for key in found if key.text not in texts))
    return SopsRule(path, number, pattern, usable, tuple(dict.fromkeys(unusable)))


def _of_rule(said: Mapping[str, Any], number: int) -> list[SopsKey]:
    """Keys that stand in the rule itself: a list, or a text with commas."""
    found = []
    for kind in ("age", "pgp", *_CLOUDS):
        value = said.get(kind) or []
        texts = value.split(",") if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
            raise SopsError(
                f"{kind} of creation rule {number} is neither a text nor a list of texts"
            )
        found += [SopsKey(kind, text.strip()) for text in texts if text.strip()]
    return found


def _of_groups(groups: Any, number: int, depth: int = 0) -> list[SopsKey]:
    """Keys of all groups: ``age`` may have commas there too, ``merge`` has further groups."""
    if not isinstance(groups, list) or depth > 10:
        raise SopsError(f"key_groups of creation rule {number} is no list")
    found: list[SopsKey] = []
    for group in groups:
        if not isinstance(group, dict):
            raise SopsError(f"key_groups of creation rule {number} has what is no group")
        found += _of_groups(group.get("merge") or [], number, depth + 1)
        for kind, listed in group.items():
            if kind == "merge" or not isinstance(listed, list):
                continue
            for one in listed:
                text = one if isinstance(one, str) else json.dumps(one, default=str)
                parts = text.split(",") if kind == "age" else [text]
                found += [SopsKey(str(kind), part.strip()) for part in parts if part.strip()]
    return found


def _unusable(key: SopsKey) -> str | None:
    if key.kind != "age":
        return None
    try:
        keys.parse(key.text)
    except ValueError as error:
        return str(error)
    return None


def _yaml(data: bytes) -> Any:
    """Read one document, by the loader that a deep one does not crash: the one in Python."""
    if len(data) > _METADATA:
        raise SopsError("it is larger than 1 MiB")
    try:
        return yaml.safe_load(data.decode())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise SopsError(f"it is not YAML{f' (line {mark.line + 1})' if mark else ''}") from None
    except (ValueError, RecursionError):  # no UTF-8, no date, too deep
        raise SopsError("it is not YAML that can be read") from None


def recipients(path: str, data: bytes) -> tuple[SopsKey, ...] | None:
    """Read whom a file is encrypted to, by the metadata that sops writes into it.

    Args:
        path: Its ending tells the format, as it tells sops.
        data: The whole file.

    Returns:
        ``None`` where sops has not encrypted it.

    Raises:
        SopsError: It has sops' metadata, and they cannot be understood.
    """
    metadata = _metadata(PurePosixPath(path).suffix, data)
    if metadata is None:
        return None
    found = tuple(dict.fromkeys(_keys(metadata)))
    if not found:
        raise SopsError("it has sops' metadata, which name no key")
    return found


def _metadata(suffix: str, data: bytes) -> Mapping[str, Any] | None:
    """Find sops' metadata, as one mapping; of flat formats each name is flat."""
    if suffix in (".yaml", ".yml"):
        return _in_yaml(data)
    if suffix in (".env", ".ini"):
        return _in_lines(data)
    # Whatever else it is, sops makes JSON of it: `{"data": …, "sops": …}`.
    if data.lstrip()[:1] == b"{" and b'"sops"' in data:
        try:
            said = parse_json(data)
        except ValueError:
            if suffix != ".json":
                return None
            raise SopsError("it is not JSON") from None
        found = said.get("sops") if isinstance(said, dict) else None
        return found if isinstance(found, dict) else None
    return None


_TOP = re.compile(rb"^sops:[ \t]*\r?$", re.MULTILINE)
_NEXT = re.compile(rb"^[^ \t\r\n#]", re.MULTILINE)


def _in_yaml(data: bytes) -> Mapping[str, Any] | None:
    """Read the key ``sops`` alone: the rest may have any tags, and is nobody's business."""
    if not (begin := _TOP.search(data)):
        return None
    end = _NEXT.search(data, begin.end())
    said = _yaml(data[begin.start() : end.start() if end else len(data)])
    found = said.get("sops") if isinstance(said, dict) else None
    # A file of somebody's may have a key of that name.
    return found if isinstance(found, dict) and {"mac", "version"} & found.keys() else None


def _in_lines(data: bytes) -> Mapping[str, Any] | None:
    """Read the lines ``sops_NAME=`` of a .env, or those of the section ``[sops]`` of an .ini."""
    found: dict[str, Any] = {}
    inside = False
    for line in split_lines(data.decode(errors="replace")):
        name, is_one, value = line.partition("=")
        name = name.strip()
        if line.startswith("["):
            inside = line.strip() == "[sops]"
        elif is_one and (inside or name.startswith("sops_")):
            found[name.removeprefix("sops_")] = value.strip()
    return found if {"mac", "version"} & found.keys() else None


_FLAT = re.compile(r"(?:key_groups__list_[0-9]+__map_)?([a-z_]+?)__list_[0-9]+__map_([a-z_]+)")


def _keys(metadata: Mapping[str, Any]) -> Iterator[SopsKey]:
    for name, value in metadata.items():
        if (flat := _FLAT.fullmatch(str(name))) and _NAMED_BY.get(flat[1]) == flat[2]:
            yield SopsKey(flat[1], str(value))
    yield from _of_group(metadata)
    groups = metadata.get("key_groups")
    for group in groups if isinstance(groups, list) else ():
        if isinstance(group, dict):
            yield from _of_group(group)


def _of_group(group: Mapping[str, Any]) -> Iterator[SopsKey]:
    for kind, named_by in _NAMED_BY.items():
        listed = group.get(kind)
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, dict) and isinstance(one.get(named_by), str):
                yield SopsKey(kind, one[named_by].strip())


# Go's regular expressions, RE2, are Python's but for these; Python's have what Go's refuse.
_FOREIGN = re.compile(r"\(\?[=!<>#(]|\(\?P[=>]|\\[1-9pPQECX]|\[\[?:|\\x\{|\(\?[a-z]*U|[*+?}]\+")

# Answers, for each list of patterns, which is the first that is found in each of its paths; -1
# where one before it is not known. An empty one takes every path. In a process of its own: whether
# it ends depends on who wrote the patterns.
_MATCH = """
import json, re, sys
def first(patterns, path):
    for number, pattern in enumerate(patterns):
        if pattern is None:
            return -1
        if not pattern or re.search(pattern, path):
            return number
answer = [[first(patterns, path) for path in paths] for patterns, paths in json.load(sys.stdin)]
json.dump(answer, sys.stdout)
"""


async def first_matches(
    asked: Sequence[tuple[Sequence[str], Sequence[str]]],
) -> list[list[int | None]]:
    """Find which pattern takes each path first.

    Args:
        asked: Patterns of ``path_regex`` in their order, and paths.

    Returns:
        For each pair, for each path: the pattern's place, ``None`` where none takes it, -1 where
        that cannot be known, since one is not understood here.

    Raises:
        SopsError: They did not end in time.
    """
    given = [([understood(one) for one in patterns], list(paths)) for patterns, paths in asked]
    argv = (sys.executable, "-I", "-S", "-c", _MATCH)
    try:
        done = await process.run(argv, deadline=_SECONDS, stdin=json.dumps(given).encode())
    except StepError:
        raise SopsError(f"its patterns did not end within {_SECONDS:.0f} s") from None
    if done.rc != 0:
        raise SopsError("its patterns cannot be carried out")
    answer: list[list[int | None]] = parse_json(done.stdout)
    return answer


def understood(pattern: str) -> str | None:
    """Give a pattern of Go's as one of Python's; ``None`` where it may be another one there."""
    if len(pattern) > 1000 or _FOREIGN.search(pattern):
        return None
    same = pattern.replace(r"\z", r"\Z")
    try:
        re.compile(same)
    except (re.error, RecursionError, OverflowError):
        return None
    return same
