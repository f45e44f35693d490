"""``secrets create``, ``edit``, ``show``, ``rekey``, ``recover``."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import fleet_option, json_option
from orchestrator.secrets.commands.repository import (
    identity_option,
    open_keyring,
    rules_file,
    rules_option,
    without_me_option,
)

if TYPE_CHECKING:
    from orchestrator.secrets.place import SecretsRepository


def say(text: str) -> None:
    """Write a line to standard error, made fit for a terminal: names are anybody's."""
    from orchestrator.render.output import clean

    click.echo(clean(text), err=True)


async def tell_git(place: SecretsRepository, paths: Sequence[str]) -> None:
    """Say which files a flake does not see yet, and offer to keep git from changing them.

    Raises:
        StepError: git refused, or ``.gitattributes`` cannot be written.
    """
    from orchestrator.secrets.sealing import ATTRIBUTES, LINE, mark_binary, untold

    unknown = await untold(place, paths)
    added = list(unknown.untracked)
    if unknown.as_text:
        said = f"git may take encrypted files for text, and damage them: {LINE} in {ATTRIBUTES}"
        if _is_answered() and _agrees(f"{said} keeps it from that. Add it?"):
            mark_binary(place)
            added.append(ATTRIBUTES)
        else:
            by_hand = f"echo '{LINE}' >>{shlex.quote(str(place.root / ATTRIBUTES))}"
            say(f"hint: {said} keeps it from that: {by_hand}")
    if added:
        argv = ("git", "-C", str(place.root), "add", "--", *added)
        say(f"hint: a flake does not see new files before: {shlex.join(argv)}")


def _agrees(question: str) -> bool:
    """Ask; what was written is written, so that Ctrl-C is a no."""
    from orchestrator.secrets.commands.repository import interruptible

    try:
        with interruptible():
            return click.confirm(question, err=True)
    except click.Abort:
        click.echo(err=True)
        return False


def _is_answered() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def source(name: str) -> Callable[[bytes], bytes]:
    """Give what makes a new plaintext of the old one.

    Raises:
        UsageError: It is to be an editor, and there is none.
    """
    from orchestrator.secrets.files.editor import edit, editor_of

    if not sys.stdin.isatty():
        return lambda _: _read(name)
    editor_of(os.environ)
    return lambda old: edit(old, name, os.environ, warn=_warn)


def _read(name: str) -> bytes:
    from orchestrator.core.errors import UsageError
    from orchestrator.secrets.commands.repository import interruptible
    from orchestrator.secrets.files.editor import MOST

    with interruptible():
        content = sys.stdin.buffer.read(MOST + 1)
    if len(content) > MOST:
        raise UsageError(f"{name}: more than {MOST >> 20} MiB on standard input")
    return content


def _warn(text: str) -> None:

    say(f"warning: {text}")


@click.command()
@click.argument("name", metavar="NAME")
@click.option(
    "--recipient",
    "keys",
    multiple=True,
    metavar="KEY",
    help="A public key that reads it. May be repeated.",
)
@click.option("--like", metavar="SECRET", help="For whom another secret is.")
@identity_option
@rules_option
@fleet_option
def create(
    name: str,
    keys: tuple[str, ...],
    like: str | None,
    identity: tuple[str, ...],
    rules: Path | None,
    fleet: Path | None,
) -> int:
    """Make a secret, in $EDITOR or from standard input.

    Where secrets.nix has no rule for it, say whom it is for: the rule is added, if Nix then reads
    exactly the old rules and the new one; else the line to add is printed, and nothing is made.

    \b
      orchestrator secrets create db-password --like api-token
      pwgen 32 1 | orchestrator secrets create db-password --recipient "ssh-ed25519 AAAA…"
    """  # noqa: D301 (click reads the mark)
    from orchestrator.core.errors import UsageError
    from orchestrator.secrets.manage import Created, plan_rule
    from orchestrator.secrets.manage import create as make
    from orchestrator.secrets.place import open_vault, place_of

    if keys and like:
        raise UsageError("--recipient and --like are two ways to say the same", hint="give one")
    keyring, change, here = open_keyring(identity), source(name), Path.cwd()

    async def work() -> Created:
        vault = await open_vault(await place_of(rules_file(rules, fleet)))
        example = vault.rule(like, here) if like else None
        plan = await plan_rule(vault, name, here, keys, example)
        created = await make(vault, plan, keyring, change)
        say(f"{plan.rule.path} is made")
        await tell_git(vault.place, created.changed)
        return created

    if not asyncio.run(work()).opened:
        say("warning: none of your private keys opens it; its readers can")
    return 0


@click.command()
@click.argument("name", metavar="NAME")
@identity_option
@without_me_option
@rules_option
@fleet_option
def edit(
    name: str,
    identity: tuple[str, ...],
    without_me: bool,
    rules: Path | None,
    fleet: Path | None,
) -> int:
    """Change a secret, in $EDITOR or from standard input.

    The plaintext is in memory only. Nothing is written where the editor fails, where it leaves the
    secret empty or as it was, or where somebody else changed the file meanwhile.

    \b
      orchestrator secrets edit db-password
      pwgen 32 1 | orchestrator secrets edit db-password --identity ~/.ssh/id_work
    """  # noqa: D301 (click reads the mark)
    from orchestrator.secrets.manage import edit as change_secret
    from orchestrator.secrets.place import open_vault, place_of

    keyring, change = open_keyring(identity), source(name)

    async def work() -> None:
        vault = await open_vault(await place_of(rules_file(rules, fleet)))
        rule = vault.rule(name, Path.cwd())
        changed = await change_secret(vault, rule, keyring, change, without_me=without_me)
        said = "is written" if changed else "is as it was; nothing was written"
        say(f"{rule.path} {said}")
        await tell_git(vault.place, changed)

    asyncio.run(work())
    return 0


@click.command()
@click.argument("name", metavar="NAME")
@identity_option
@rules_option
@fleet_option
def show(name: str, identity: tuple[str, ...], rules: Path | None, fleet: Path | None) -> int:
    """Decrypt a secret to standard output, byte for byte."""
    from orchestrator.render.output import silence
    from orchestrator.secrets.manage import show as decrypt
    from orchestrator.secrets.place import open_vault, place_of

    keyring = open_keyring(identity)

    async def work() -> bytes:
        vault = await open_vault(await place_of(rules_file(rules, fleet)))
        return (await decrypt(vault, vault.rule(name, Path.cwd()), keyring))[1]

    plaintext = asyncio.run(work())
    try:
        sys.stdout.buffer.write(plaintext)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        silence(sys.stdout)
    return 0


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "every", is_flag=True, help="Those that are right already, too.")
@identity_option
@without_me_option
@json_option
@rules_option
@fleet_option
def rekey(
    names: tuple[str, ...],
    every: bool,
    identity: tuple[str, ...],
    without_me: bool,
    as_json: bool,
    rules: Path | None,
    fleet: Path | None,
) -> int:
    """Encrypt secrets anew to whom secrets.nix names now: all of them, or none.

    Only those that are not right are written; with --all every one. Each is decrypted again before
    anything is written. Exit 1 where a file is damaged, which no rekey cures.

    \b
      orchestrator secrets rekey
      orchestrator secrets rekey db-password api-token --all
    """  # noqa: D301 (click reads the mark)
    from orchestrator.cli.run import results, words
    from orchestrator.secrets.draw import draw_rekeyed
    from orchestrator.secrets.place import open_vault, place_of
    from orchestrator.secrets.rekey import Rekeyed
    from orchestrator.secrets.rekey import rekey as encrypt_anew

    keyring = open_keyring(identity)

    async def work() -> Rekeyed:
        vault = await open_vault(await place_of(rules_file(rules, fleet)))
        here = Path.cwd()
        chosen = [vault.rule(name, here) for name in names] or vault.rules.rules
        done = await encrypt_anew(vault, chosen, keyring, every=every, without_me=without_me)
        await tell_git(vault.place, done.done)
        return done

    done = asyncio.run(work())
    draw_rekeyed(done, results(), words(), as_json=as_json)
    return int(bool(done.damaged))


@click.command()
@rules_option
@json_option
@fleet_option
def recover(rules: Path | None, as_json: bool, fleet: Path | None) -> int:
    """Bring an interrupted change to its end: forward where it was committed, else back."""
    from orchestrator.cli.run import results, words
    from orchestrator.secrets.draw import draw_recovered
    from orchestrator.secrets.model.repository import Journal
    from orchestrator.secrets.place import place_of
    from orchestrator.secrets.sealing import recover as end
    from orchestrator.secrets.sealing import remove_leftovers

    async def work() -> tuple[Journal | None, tuple[str, ...]]:
        place = await place_of(rules_file(rules, fleet))
        return await end(place), remove_leftovers(place)

    ended, left = asyncio.run(work())
    draw_recovered(ended, left, results(), words(), as_json=as_json)
    return 0
