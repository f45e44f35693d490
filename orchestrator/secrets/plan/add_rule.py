"""The text of a ``secrets.nix`` with one more rule.

Nix is not parsed here: the text is a guess, and who made it has Nix evaluate it and compares.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.secrets.model.rules import Rule, Rules


def line(name: str, expression: str) -> str:
    """Write a rule: ``"a.age".publicKeys = [ … ];``."""
    return f"{_quoted(name)}.publicKeys = {expression};"


def list_of(keys: Sequence[str]) -> str:
    """Write keys as a list."""
    return f"[ {' '.join(_quoted(key) for key in keys)} ]"


def expression_of(text: str, name: str) -> str | None:
    """Find what is written as another rule's keys, such as ``admins ++ [ p620 ]``."""
    found = re.search(rf"{re.escape(_quoted(name))}\.publicKeys\s*=\s*([^;]*[^;\s])\s*;", text)
    return found[1] if found else None


def with_rule(text: str, rule: str) -> str | None:
    """Put a rule before the last closing brace; ``None`` where there is none."""
    before, brace, after = text.rpartition("}")
    if not brace:
        return None
    indents = re.findall(r"^([ \t]+)\S", before, re.MULTILINE)
    indent = indents[-1] if indents and "\n" in before.strip() else "  "
    end = "\r\n" if "\r\n" in text else "\n"
    return f"{before.rstrip()}{end}{indent}{rule}{end}}}{after}"


def is_one_more(before: Rules, after: Rules, added: Rule) -> bool:
    """Whether the rules are exactly what they were, and the new one."""
    wanted = {rule.path: rule for rule in (*before.rules, added)}
    return {rule.path: rule for rule in after.rules} == wanted


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")
    return f'"{escaped.replace(chr(10), chr(92) + "n")}"'
