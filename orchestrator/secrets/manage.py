"""Create, edit and show a secret."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.errors import StepError, UsageError
from orchestrator.core.values import replace
from orchestrator.secrets.age import crypt
from orchestrator.secrets.age import keys as age_keys
from orchestrator.secrets.age.crypt import Keyring
from orchestrator.secrets.age.file import ClosedError, DamagedError
from orchestrator.secrets.files.files import digest_of, place
from orchestrator.secrets.files.rules import RulesError, candidate, evaluate
from orchestrator.secrets.model.ciphertext import Recipient
from orchestrator.secrets.model.repository import Rule, Rules
from orchestrator.secrets.plan.evidence import quoted
from orchestrator.secrets.sealing import look, require_openable, seal, write
from orchestrator.secrets.vault import Vault, require_usable


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


async def show(vault: Vault, rule: Rule, keyring: Keyring) -> tuple[bytes, bytes]:
    """Decrypt a secret.

    Returns:
        The encrypted file as it was read, and what is in it.

    Raises:
        UsageError: There is no such file.
        StepError: The file is damaged, or none of the keys at hand opens it.
    """
    content = vault.ciphertext(rule)
    if content is None:
        raise UsageError(
            f"{rule.path} is not there yet",
            hint=f"make it: orchestrator secrets create {quoted(rule.path)}",
        )
    return content, await unseal(rule, content, keyring)


async def unseal(rule: Rule, content: bytes, keyring: Keyring) -> bytes:
    """Decrypt an encrypted file.

    Raises:
        StepError: It is damaged, or none of the keys at hand opens it.
    """
    seen = look(rule.path, content)
    if seen.fault is not None:
        raise StepError(
            f"{rule.path} {seen.detail}",
            hint="take it from git again; what is wrong: orchestrator secrets check",
        )
    try:
        return await crypt.decrypt(content, keyring)
    except DamagedError as error:
        raise StepError(f"{rule.path} {error}", hint="take it from git again") from None
    except ClosedError:
        raise StepError(
            f"none of your private keys opens {rule.path}",
            hint="name another with --identity FILE; who can: orchestrator secrets status",
        ) from None


Change = Callable[[bytes], bytes]
"""What a person makes of a plaintext."""


async def edit(
    vault: Vault, rule: Rule, keyring: Keyring, change: Change, *, without_me: bool
) -> tuple[str, ...]:
    """Change a secret.

    Args:
        vault: Where it is.
        rule: Whom it is encrypted to.
        keyring: What opens it.
        change: An editor, or what came on standard input.
        without_me: Whether it may end unreadable with these keys.

    Returns:
        The paths that changed; none where the plaintext did not.

    Raises:
        UsageError: It was left empty, or the rule cannot be carried out.
        RefusedError: The file changed meanwhile, or nobody here could read it any more.
        StepError: It could not be decrypted, edited or written.
    """
    require_usable(rule)
    content, plaintext = await show(vault, rule, keyring)
    changed = require_content(rule.path, change(plaintext))
    if changed == plaintext:
        return ()
    sealed = (await seal(rule, changed, keyring),)
    if not without_me:
        require_openable(sealed)
    return await write(vault, "edit", sealed, {rule.path: digest_of(content)})


def require_content(path: str, plaintext: bytes) -> bytes:
    """Refuse an empty secret: a host fails to activate one.

    Raises:
        UsageError: There is nothing in it but white space.
    """
    if not plaintext.strip():
        raise UsageError(f"{path} was left empty; nothing was written")
    return plaintext


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
            after = await evaluate(tried, vault.place.root, vault.place.fetch)
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
        return age_keys.parse(key)
    except ValueError as error:
        raise UsageError(f"the key {key[:40]!r} {error}") from None
