"""``secrets create``, ``edit``, ``show``, ``rekey``, ``recover``."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import fleet_option, json_done_option, json_option
from orchestrator.core.errors import UsageError
from orchestrator.secrets.commands.repository import (
    identity_option,
    open_keyring,
    place_named,
    rules_option,
    without_me_option,
)

with lazily():
    from orchestrator.cli import console
    from orchestrator.render import output
    from orchestrator.secrets import draw, manage, sealing
    from orchestrator.secrets import rekey as secrets_rekey
    from orchestrator.secrets import vault as secrets_vault
    from orchestrator.secrets.commands import repository
    from orchestrator.secrets.files import editor
    from orchestrator.secrets.model import repository as model_repository


if TYPE_CHECKING:
    from orchestrator.secrets.place import SecretsRepository
    from orchestrator.secrets.vault import Vault


def say(text: str) -> None:
    """Write a line to standard error, made fit for a terminal: names are anybody's."""
    click.echo(output.clean(text), err=True)


async def tell_git(place: SecretsRepository, paths: Sequence[str]) -> None:
    """Say which files a flake does not see yet, and offer to keep git from changing them.

    Raises:
        StepError: git refused, or ``.gitattributes`` cannot be written.
    """
    unknown = await sealing.untold(place, paths)
    added = list(unknown.untracked)
    if unknown.as_text:
        said = "git may take encrypted files for text, and damage them: "
        said += f"{sealing.LINE} in {sealing.ATTRIBUTES}"
        if _is_answered() and _agrees(f"{said} keeps it from that. Add it?"):
            sealing.mark_binary(place)
            added.append(sealing.ATTRIBUTES)
        else:
            by_hand = f"echo '{sealing.LINE}' >>{shlex.quote(str(place.root / sealing.ATTRIBUTES))}"
            say(f"hint: {said} keeps it from that: {by_hand}")
    if added:
        argv = ("git", "-C", str(place.root), "add", "--", *added)
        say(f"hint: a flake does not see new files before: {shlex.join(argv)}")


async def _open_vault(rules: Path | None, fleet: Path | None) -> Vault:
    return await secrets_vault.open_vault(await place_named(rules, fleet))


def _agrees(question: str) -> bool:
    """Ask; what was written is written, so that Ctrl-C is a no."""
    try:
        with repository.interruptible():
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
    if not sys.stdin.isatty():
        return lambda _: _read(name)
    editor.editor_of(os.environ)
    return lambda old: editor.edit(old, name, os.environ, warn=_warn)


def _read(name: str) -> bytes:
    with repository.interruptible():
        content = sys.stdin.buffer.read(editor.MOST + 1)
    if len(content) > editor.MOST:
        raise UsageError(f"{name}: more than {editor.MOST >> 20} MiB on standard input")
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
@json_done_option
@rules_option
@fleet_option
def create(
    name: str,
    keys: tuple[str, ...],
    like: str | None,
    identity: tuple[str, ...],
    as_json: bool,
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
    if keys and like:
        raise UsageError("--recipient and --like are two ways to say the same", hint="give one")
    keyring, change, here = open_keyring(identity), source(name), Path.cwd()

    async def work() -> tuple[str, manage.Created]:
        vault = await _open_vault(rules, fleet)
        example = vault.rule(like, here) if like else None
        vault = vault.for_new(name, here)
        plan = await manage.plan_rule(vault, name, here, keys, example)
        created = await manage.create(vault, plan, keyring, change)
        say(f"{plan.rule.path} is made")
        await tell_git(vault.place, created.changed)
        return plan.rule.path, created

    path, made = console.run(work())
    if not made.opened:
        say("warning: none of your private keys opens it; its readers can")
    if as_json:
        console.print_done(secret=path, changed=list(made.changed), opened=made.opened)
    return 0


@click.command()
@click.argument("name", metavar="NAME")
@identity_option
@without_me_option
@json_done_option
@rules_option
@fleet_option
def edit(
    name: str,
    identity: tuple[str, ...],
    without_me: bool,
    as_json: bool,
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
    keyring, change = open_keyring(identity), source(name)

    async def work() -> tuple[str, Sequence[str]]:
        vault = await _open_vault(rules, fleet)
        rule = vault.rule(name, Path.cwd())
        changed = await manage.edit(vault, rule, keyring, change, without_me=without_me)
        said = "is written" if changed else "is as it was; nothing was written"
        say(f"{rule.path} {said}")
        await tell_git(vault.place, changed)
        return rule.path, changed

    path, changed = console.run(work())
    if as_json:
        console.print_done(secret=path, changed=list(changed))
    return 0


@click.command()
@click.argument("name", metavar="NAME")
@identity_option
@rules_option
@fleet_option
def show(name: str, identity: tuple[str, ...], rules: Path | None, fleet: Path | None) -> int:
    """Decrypt a secret to standard output, byte for byte."""
    keyring = open_keyring(identity)

    async def work() -> bytes:
        vault = await _open_vault(rules, fleet)
        return (await manage.show(vault, vault.rule(name, Path.cwd()), keyring))[1]

    plaintext = console.run(work())
    try:
        sys.stdout.buffer.write(plaintext)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        output.silence(sys.stdout)
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
    """Encrypt secrets to whom secrets.nix names now: all of them, or none.

    Only those that are not right are written; with --all every one. Each is decrypted again before
    anything is written. Exit 1 where a file is damaged, which no rekey cures.

    \b
      orchestrator secrets rekey
      orchestrator secrets rekey db-password api-token --all
    """  # noqa: D301 (click reads the mark)
    keyring = open_keyring(identity)

    async def work() -> secrets_rekey.Rekeyed:
        vault = await _open_vault(rules, fleet)
        here = Path.cwd()
        chosen = [vault.rule(name, here) for name in names] or vault.rules.rules
        done = await secrets_rekey.rekey(vault, chosen, keyring, every=every, without_me=without_me)
        await tell_git(vault.place, done.done)
        return done

    done = console.run(work())
    draw.draw_rekeyed(done, console.results(), console.words(), as_json=as_json)
    return int(bool(done.damaged))


@click.command()
@rules_option
@json_option
@fleet_option
def recover(rules: Path | None, as_json: bool, fleet: Path | None) -> int:
    """Bring an interrupted change to its end: forward where it was committed, else back."""

    async def work() -> tuple[model_repository.Journal | None, tuple[str, ...]]:
        place = await place_named(rules, fleet)
        return await sealing.recover(place), sealing.remove_leftovers(place)

    ended, left = console.run(work())
    draw.draw_recovered(ended, left, console.results(), console.words(), as_json=as_json)
    return 0
