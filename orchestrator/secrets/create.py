"""Make a secret, and its rule where there is none yet and it can be added without harm."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.core.errors import UsageError
from orchestrator.secrets.age import recipients
from orchestrator.secrets.age.keyring import Keyring
from orchestrator.secrets.edit import Change, require_content
from orchestrator.secrets.files.candidate import candidate
from orchestrator.secrets.files.places import place
from orchestrator.secrets.files.rules import RulesError, evaluate
from orchestrator.secrets.model.recipient import Recipient
from orchestrator.secrets.model.rules import Rule
from orchestrator.secrets.plan.add_rule import expression_of, is_one_more, line, list_of, with_rule
from orchestrator.secrets.plan.severity import quoted
from orchestrator.secrets.sealing import seal, write
from orchestrator.secrets.vault import Vault, require_usable


@dataclass(frozen=True, slots=True)
class Created:
    """A secret that was made.

    Attributes:
        changed: The paths that changed.
        opened: Whether a key at hand opens it.
    """

    changed: tuple[str, ...]
    opened: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A secret that is to be made.

    Attributes:
        rule: Whom it is encrypted to.
        rules_text: ``secrets.nix`` with the rule; ``None`` where it has one already.
    """

    rule: Rule
    rules_text: bytes | None = None


async def plan_rule(
    vault: Vault, name: str, folder: Path, keys: Sequence[str], like: Rule | None
) -> Plan:
    """Find the rule of a new secret, or make one; nothing is written.

    Args:
        vault: Where.
        name: The secret's path, as typed.
        folder: Where the person is.
        keys: Public keys for a new rule.
        like: A rule that the new one shall be like.

    Raises:
        UsageError: There is no rule, and it is not said whom it shall be for, or it has to be
            added by hand; the hint is the line.
    """
    found = vault.find(name, folder)
    if found is not None:
        if keys or like:
            raise UsageError(
                f"{found.path} has a rule already", hint="without --recipient and --like, then"
            )
        require_usable(found)
        return Plan(found)
    path = _path(vault, name)
    if like is not None:
        keys = like.keys
    if not keys:
        raise UsageError(
            f"{vault.place.name} has no rule for {path}",
            hint="say whom it is for: --recipient KEY, or --like SECRET\n"
            f"or add a rule by hand: {line(_written(vault, path), '[ … ]')}",
        )
    rule = Rule(path, tuple(keys), tuple(_recipient(key) for key in keys))
    return Plan(rule, await _rules_text(vault, rule, like))


async def create(vault: Vault, plan: Plan, keyring: Keyring, change: Change) -> Created:
    """Make a secret.

    Args:
        vault: Where.
        plan: Its rule.
        keyring: What proves that it opens.
        change: An editor, or what came on standard input.

    Raises:
        UsageError: It is there already, was left empty, or its path leads out.
        RefusedError: Somebody else changed the rules, or made it, meanwhile.
        StepError: It could not be edited or written.
    """
    rule = plan.rule
    require_usable(rule)
    place(vault.place.root, rule.path)
    if vault.ciphertext(rule) is not None:
        raise UsageError(
            f"{rule.path} is there already",
            hint=f"change it: orchestrator secrets edit {quoted(rule.path)}",
        )
    sealed = await seal(rule, require_content(rule.path, change(b"")), keyring)
    also = {} if plan.rules_text is None else {vault.place.name: plan.rules_text}
    return Created(await write(vault, "create", (sealed,), {rule.path: None}, also), sealed.opened)


async def _rules_text(vault: Vault, rule: Rule, like: Rule | None) -> bytes:
    """Add a rule to the text, and believe it only once Nix reads exactly the rules that it should.

    Raises:
        UsageError: It cannot be done so; the hint is the line to add.
        StepError: The folder cannot be written.
    """
    text = vault.place.file.read_bytes().decode(errors="surrogateescape")
    literal = list_of(rule.keys)
    borrowed = expression_of(text, _written(vault, like.path)) if like else None
    for expression in (borrowed, literal):
        said = expression and with_rule(text, line(_written(vault, rule.path), expression))
        after = said.encode(errors="surrogateescape") if said else b""
        if after and await _evaluates_to_one_more(vault, after, rule):
            return after
    raise UsageError(
        f"{vault.place.name} is not so plain that the rule of {rule.path} can be added to it",
        hint=f"add it by hand: {line(_written(vault, rule.path), borrowed or literal)}",
    )


async def _evaluates_to_one_more(vault: Vault, text: bytes, rule: Rule) -> bool:
    """Whether Nix reads, from a text in the place of ``secrets.nix``, the rules and one more."""
    try:
        with candidate(vault.place.file, text) as tried:
            after = await evaluate(tried, vault.place.root)
    except RulesError:
        return False
    return is_one_more(vault.rules, replace(after, file=vault.rules.file), rule)


def _path(vault: Vault, name: str) -> str:
    """A new secret's path: as ``secrets.nix`` has it, so relative to that; it ends with .age."""
    path = vault.place.beside(name if name.endswith(".age") else f"{name}.age")
    place(vault.place.root, path)
    return path


def _written(vault: Vault, path: str) -> str:
    """A path as ``secrets.nix`` has it."""
    return posixpath.relpath(path, vault.place.folder)


def _recipient(key: str) -> Recipient:
    try:
        return recipients.parse(key)
    except ValueError as error:
        raise UsageError(f"the key {key[:40]!r} {error}") from None
