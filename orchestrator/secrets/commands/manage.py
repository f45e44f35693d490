"""``secrets create``, ``edit``, ``show``, ``rekey`` and ``recover``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from orchestrator.cli.options import fleet_option, json_option
from orchestrator.secrets.commands.keys import identity_option, open_keyring, without_me_option
from orchestrator.secrets.commands.place import rules_option
from orchestrator.secrets.commands.rules_file import rules_file
from orchestrator.secrets.commands.source import source


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
    from orchestrator.secrets.commands.told import say, tell_git
    from orchestrator.secrets.create import Created, plan_rule
    from orchestrator.secrets.create import create as make
    from orchestrator.secrets.place import place_of
    from orchestrator.secrets.vault import open_vault

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
    from orchestrator.secrets.commands.told import say, tell_git
    from orchestrator.secrets.edit import edit as change_secret
    from orchestrator.secrets.place import place_of
    from orchestrator.secrets.vault import open_vault

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
    from orchestrator.secrets.place import place_of
    from orchestrator.secrets.show import show as decrypt
    from orchestrator.secrets.vault import open_vault

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
    from orchestrator.cli.output import results, words
    from orchestrator.secrets.commands.told import tell_git
    from orchestrator.secrets.draw.management import draw_rekeyed
    from orchestrator.secrets.place import place_of
    from orchestrator.secrets.rekey import Rekeyed
    from orchestrator.secrets.rekey import rekey as encrypt_anew
    from orchestrator.secrets.vault import open_vault

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
    from orchestrator.cli.output import results, words
    from orchestrator.secrets.draw.management import draw_recovered
    from orchestrator.secrets.model.journal import Journal
    from orchestrator.secrets.place import place_of
    from orchestrator.secrets.recover import recover as end
    from orchestrator.secrets.recover import remove_leftovers

    async def work() -> tuple[Journal | None, tuple[str, ...]]:
        place = await place_of(rules_file(rules, fleet))
        return await end(place), remove_leftovers(place)

    ended, left = asyncio.run(work())
    draw_recovered(ended, left, results(), words(), as_json=as_json)
    return 0
