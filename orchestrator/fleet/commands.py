"""``validate``, ``check-syntax``, ``format``, ``update``, ``doctor``."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import click

from orchestrator.cli.options import Target, json_option, selectors_argument, target_options


@click.command()
@selectors_argument()
@click.option("--quick", is_flag=True, help="Evaluate no host.")
@target_options
def validate(selectors: tuple[str, ...], quick: bool, target: Target) -> int:
    """Check inventory, syntax and secrets, evaluate every host. Exit 1 on any error."""
    from orchestrator.cli.fleet import open_setup
    from orchestrator.cli.run import words
    from orchestrator.fleet.draw import draw_mistakes
    from orchestrator.fleet.files import check_evaluation, check_files
    from orchestrator.inventory.select import select
    from orchestrator.secrets.commands.check import check_fleet

    setup = open_setup(target)
    hosts = select(setup.fleet, selectors)

    async def work() -> int:
        wrong = draw_mistakes("syntax", await check_files(setup), words())
        if not quick:
            wrong += draw_mistakes("evaluation", await check_evaluation(setup, hosts), words())
        chosen = hosts if selectors else ()
        unsafe = await check_fleet(setup, chosen, configurations=not quick)
        return int(wrong > 0 or unsafe)

    return asyncio.run(work())


@click.command("check-syntax")
@target_options
def check_syntax(target: Target) -> int:
    """Parse every Nix file that git tracks. Exit 1 where one does not parse."""
    from orchestrator.cli.fleet import open_setup
    from orchestrator.cli.run import words
    from orchestrator.fleet.draw import draw_mistakes
    from orchestrator.fleet.files import check_files

    setup = open_setup(target)
    return int(draw_mistakes("syntax", asyncio.run(check_files(setup)), words()) > 0)


@click.command("format")
@click.option("--check", is_flag=True, help="Change nothing; exit 1 where a file would change.")
@target_options
def format_files(check: bool, target: Target) -> int:
    """Format every Nix file that git tracks, with the formatter that is on the PATH."""
    from orchestrator.cli.fleet import open_inventory
    from orchestrator.cli.run import words
    from orchestrator.fleet.files import format_tracked

    fleet = open_inventory(target).fleet
    changed = asyncio.run(format_tracked(fleet.root, check=check))
    for file in changed:
        words().line(f"{'would change' if check else 'formatted'}: {file}")
    return int(check and bool(changed))


@click.command()
@click.argument("inputs", nargs=-1, metavar="[INPUT]...")
@target_options
def update(inputs: tuple[str, ...], target: Target) -> int:
    """Move the flake's pins, all or those of INPUT; commit them when every host still evaluates.

    Where a host does not, the lock file is put back as it was.
    """
    from orchestrator.cli.fleet import open_setup
    from orchestrator.cli.run import words
    from orchestrator.fleet.files import update_flake

    # Pins come from the internet, which a lab's network has not; and they are not the lab's.
    setup = open_setup(replace(target, lab=False))
    words().line(asyncio.run(update_flake(setup, inputs)))
    return 0


@click.command()
@target_options
@json_option
def doctor(target: Target, as_json: bool) -> int:
    """Whether this machine has what deployments need, and what would make them faster.

    No host is contacted and nothing is changed. Exit 1 where something needed is missing.
    """
    from orchestrator.cli.fleet import open_setup
    from orchestrator.cli.run import results
    from orchestrator.core.checks import Grade
    from orchestrator.fleet.doctor import examine
    from orchestrator.fleet.draw import draw_findings

    findings = asyncio.run(examine(open_setup(target)))
    draw_findings(findings, results(), as_json=as_json)
    return int(any(finding.grade is Grade.BAD for finding in findings))
