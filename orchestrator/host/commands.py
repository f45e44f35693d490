"""``status``, and the group ``host``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import (
    Target,
    fleet_option,
    fleet_options,
    host_argument,
    json_done_option,
    json_option,
    selectors_argument,
    target_options,
)
from orchestrator.core.errors import RefusedError, StepError, UnreachableError, UsageError
from orchestrator.render.output import clean

with lazily():
    from orchestrator.cli import console, opening
    from orchestrator.facts import commands as facts
    from orchestrator.host import check as host_check
    from orchestrator.host import draw as host_draw
    from orchestrator.host import draw_check
    from orchestrator.host import generations as host_generations
    from orchestrator.host import status as host_status
    from orchestrator.inventory import add_host, select
    from orchestrator.inventory import root as inventory_root
    from orchestrator.render import report
    from orchestrator.secrets.commands import check
    from orchestrator.ssh import trust as ssh_trust


if TYPE_CHECKING:
    from orchestrator.core.claims import Lock
    from orchestrator.core.host import Host
    from orchestrator.core.state import HostState
    from orchestrator.host.setup import Setup
    from orchestrator.ssh.trust import OfferedKey


def ask(selectors: Sequence[str], target: Target) -> tuple[host_status.HostAnswer, ...]:
    """Ask the hosts that are selected what they run."""
    setup = opening.open_setup(target)
    return console.run(host_status.ask_all(setup, select.select(setup.fleet, selectors)))


@click.command()
@selectors_argument()
@click.option("--locks", is_flag=True, help="Instead: who is at work on which host, and holds.")
@target_options
@json_option
def status(selectors: tuple[str, ...], locks: bool, target: Target, as_json: bool) -> int:
    """What each host runs and will boot, and who deployed it. Exit 1 where one does not answer.

    With --locks: each host's lock and hold, whose they are, since when, and why.
    """
    answers = ask(selectors, target)
    draw = host_draw.draw_locks if locks else host_draw.draw_status
    draw(answers, console.results(), console.words(), as_json=as_json)
    if not (locks or as_json):
        root = str(inventory_root.find_root(Path.cwd(), target.fleet))
        odd = console.run(host_status.histories(root, answers))
        host_generations.draw_histories(odd, console.results())
    return int(any(answer.error is not None for answer in answers))


@click.command()
@selectors_argument()
@target_options
@json_option
def ping(selectors: tuple[str, ...], target: Target, as_json: bool) -> int:
    """Which hosts let us in, and how fast. Exit 1 where one does not."""
    answers = ask(selectors, target)
    host_draw.draw_ping(answers, console.results(), console.words(), as_json=as_json)
    return int(any(answer.error is not None for answer in answers))


@click.command("check")
@selectors_argument()
@target_options
@json_option
def check_hosts(selectors: tuple[str, ...], target: Target, as_json: bool) -> int:
    """Look at hosts and change nothing: what they are, and what can be promised there.

    Boot loader, NixOS, Nix, systemd, sudo, free space, who activates a system now, how the last
    deployment ended; then what a deployment can prove on that host, and what it cannot. A bug
    report carries it: it has no keys, no ids of machines or disks, and no other host's name. Exit
    1 where a host does not answer.
    """
    setup = opening.open_setup(target)
    answers = console.run(host_check.check_all(setup, select.select(setup.fleet, selectors)))
    draw_check.draw_check(answers, console.results(), console.words(), as_json=as_json)
    return int(any(answer.error is not None for answer in answers))


@click.command("break")
@host_argument
@click.option("--reason", default="no reason given", help="Why; that deployment reports it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@target_options
@json_done_option
def break_lock(host: str, reason: str, yes: bool, target: Target, as_json: bool) -> int:
    """Break HOST's lock, whichever deployment has it.

    That deployment reports who broke it, and stops before it changes the host. One that has begun
    to change it goes on: its guard on the host finishes it, or rolls back. Afterwards the host
    is free, for that person too: to keep everybody from it, hold it.
    """
    setup = opening.open_setup(target)
    found = opening.one_host(setup.fleet, host)
    try:
        lock, broken = _break(setup, found, reason, yes=yes)
    except StepError as error:
        report.draw_step_error(found.name, error, console.words())
        if as_json:
            console.print_done(False, host=found.name, error=report.error_json(error))
        return error.exit_code
    if as_json:
        console.print_done(host=found.name, broken=broken, lock=host_draw.lock_json(lock))
    return 0


def _break(setup: Setup, host: Host, reason: str, *, yes: bool) -> tuple[Lock | None, bool]:
    """Give the lock that a host had, ``None`` where nobody has it, and whether it was broken."""
    state = _ask(setup, host)
    host_draw.draw_lock(host.name, state, console.words())
    if state.lock is None or not state.lock.is_live:
        return None, False
    _agree_to_break(host.name, yes=yes)
    done = console.run(host_status.steal(setup, host, state.lock, reason))
    host_draw.draw_stolen(host.name, state.lock, console.words(), done=done)
    return state.lock, done


def _ask(setup: Setup, host: Host) -> HostState:
    (answer,) = console.run(host_status.ask_all(setup, (host,)))
    if answer.state is None:
        assert answer.error is not None
        raise answer.error
    return answer.state


def _agree_to_break(name: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "a person must agree to it, and there is no terminal",
            hint=f"orchestrator host lock break {name} --yes",
        )
    click.confirm("Break it?", abort=True, err=True)


@click.command()
@selectors_argument(required=True)
@click.option("--reason", required=True, help="Why; whoever is refused reads it.")
@target_options
@json_option
def hold(selectors: tuple[str, ...], reason: str, target: Target, as_json: bool) -> int:
    """Keep everybody from deploying hosts until the hold is lifted.

    It outlives reboots, and counts for deploy --emergency as well. Who must deploy all the same
    names the hold: --override-hold ID. Exit 4 where a host is held already, 1 where one does not
    answer. For example: orchestrator host hold p620 --reason "disk swap"
    """
    if not reason.strip():
        raise click.UsageError("--reason: say why; whoever is refused will ask")
    setup = opening.open_setup(target)
    answers = console.run(
        host_status.hold(setup, select.select(setup.fleet, selectors), reason.strip())
    )
    host_draw.draw_placed(answers, console.results(), console.words(), as_json=as_json)
    if any(answer.error is not None for answer in answers):
        return 1
    return 0 if all(answer.done for answer in answers) else 4


@click.command()
@selectors_argument(required=True)
@target_options
@json_option
def unhold(selectors: tuple[str, ...], target: Target, as_json: bool) -> int:
    """Lift the holds of hosts, whoever placed them. Exit 1 where one does not answer.

    A lock is not lifted by this: see orchestrator host lock break.
    """
    setup = opening.open_setup(target)
    answers = console.run(host_status.lift(setup, select.select(setup.fleet, selectors)))
    host_draw.draw_lifted(answers, console.results(), console.words(), as_json=as_json)
    return int(any(answer.error is not None for answer in answers))


@click.command()
@click.argument("name")
@click.option("--address", help="A host name, an IP address or an alias of ~/.ssh/config.")
@click.option("--template", help="The kind of machine it is.")
@click.option("--profile", "profiles", multiple=True, help="What it is for. May be repeated.")
@click.option("--user", help="Whom to log in as.")
@click.option("--port", type=click.IntRange(1, 65535), help="SSH's port.")
@click.option("--fingerprint", help="Trust its key if it has this fingerprint, and do not ask.")
@fleet_option
@json_done_option
def add(
    name: str,
    address: str | None,
    template: str | None,
    profiles: tuple[str, ...],
    user: str | None,
    port: int | None,
    fingerprint: str | None,
    fleet: Path | None,
    as_json: bool,
) -> None:
    """Add the host NAME to the inventory, then show its key and ask whether to trust it.

    Lines are put below `hosts:`; all else in the file stays, comments too. It is done only if the
    inventory is then read as exactly what it was, and the host. Else the lines are printed. Once
    its key is trusted, it is asked what it is made of, and lines for `hardware:` are proposed.

    \b
      orchestrator host add web1 --address 10.0.0.5 --template server
    """  # noqa: D301 (click reads the mark)
    root = inventory_root.find_root(Path.cwd(), fleet)
    new = add_host.NewHost(name, address, template, profiles, user, port)
    made = add_host.draft(root, new)
    add_host.write(root, made)
    click.echo(f"{name}: added to {made.file}", err=True)
    # A host that was added is in no lab.
    target = Target(root, lab=False)
    opening.open_inventory(target)
    key = _offer_trust(name, fingerprint, target)
    if key is not None:
        facts.propose_hardware(opening.open_setup(target), made, new)
    if as_json:
        console.print_done(host=name, file=made.file, key=key and _key_json(key))


def _offer_trust(name: str, fingerprint: str | None, target: Target) -> OfferedKey | None:
    """Trust a new host's key where somebody can vouch for it; a host that is off may come later."""
    later = f"next: orchestrator host trust {name}"
    if fingerprint is None and not sys.stdin.isatty():
        click.echo(later, err=True)
        return None
    setup = opening.open_setup(target)
    try:
        key = _trust(setup, opening.one_host(setup.fleet, name), fingerprint)
    except UnreachableError as error:
        if fingerprint is not None:
            raise
        click.echo(f"{clean(error.message)}\n{later}", err=True)
        return None
    check.tell_needs(setup, name)
    return key


@click.command()
@host_argument
@click.option("--fingerprint", help="Trust the key if it has this fingerprint, and do not ask.")
@fleet_options
@json_done_option
def trust(host: str, fingerprint: str | None, target: Target, as_json: bool) -> None:
    """Show the fingerprint of HOST's key and ask whether to trust it.

    Compare it with what the host's own console says:
    ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub

    Where the fleet has a secrets.nix, it then tells which secrets the host cannot open with that
    key, what to add to secrets.nix, and which rekey that takes.
    """
    setup = opening.open_setup(target)
    found = opening.one_host(setup.fleet, host)
    key = _trust(setup, found, fingerprint)
    check.tell_needs(setup, found.name)
    if as_json:
        console.print_done(host=found.name, key=_key_json(key))


def _key_json(key: OfferedKey) -> dict[str, object]:
    """A key that is trusted as JSON; ``added`` says whether it was not known before."""
    return {
        "algorithm": key.algorithm,
        "fingerprint": key.fingerprint,
        "name": key.name,
        "known_hosts": key.file,
        "added": not key.known,
    }


def _trust(setup: Setup, found: Host, fingerprint: str | None) -> OfferedKey:
    """Have a host's key known, unless it is already."""
    host = found.name
    key = console.run(ssh_trust.offered_key(found, setup.ssh))
    if key.known:
        click.echo(f"{host}: {key.algorithm} {key.fingerprint} is known already", err=True)
        return key
    click.echo(f"{host} shows {key.algorithm} {key.fingerprint}", err=True)
    if key.conflicts:
        raise RefusedError(
            f"another key is known for {key.name}: {', '.join(key.conflicts)}. "
            "Either the host was reinstalled, or someone stands between",
            hint=f"if it was reinstalled: ssh-keygen -R {key.name!r} -f {key.file}",
        )
    _agree(key.fingerprint, fingerprint)
    ssh_trust.remember(key)
    click.echo(f"{host}: trusted; added to {key.file}", err=True)
    return key


def _agree(shown: str, expected: str | None) -> None:
    """Have a person, or the fingerprint given, vouch for the key."""
    if expected is not None:
        if expected != shown:
            raise RefusedError(f"the fingerprint is not the one given, {expected}")
    elif not sys.stdin.isatty():
        raise UsageError(
            "a person must compare the fingerprint, and there is no terminal",
            hint=f"give it: --fingerprint {shown}",
        )
    elif not click.confirm("Is that the host's key?", err=True):
        raise RefusedError("the key is not trusted; known_hosts is as it was")


@click.command()
@host_argument
@target_options
@json_option
def generations(host: str, target: Target, as_json: bool) -> None:
    """Which systems HOST has: its profile's generations, and what deployments recorded there.

    `orchestrator rollback HOST --to GENERATION` goes back to one of them. One whose files were
    collected as garbage is marked "gone".
    """
    setup = opening.open_setup(target)
    name = opening.one_host(setup.fleet, host).name
    known = console.run(host_status.systems_of(setup, setup.fleet.hosts[name]))
    if other := known.state.another_than(name):
        click.echo(f"{name}: this machine was deployed as {other}: is its address wrong?", err=True)
    host_generations.draw_systems(known, console.results(), as_json=as_json)
