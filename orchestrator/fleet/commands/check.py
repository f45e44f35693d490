"""``validate``, ``check-syntax``, ``format``: checks that change no host, with true exit codes."""

from __future__ import annotations

import asyncio

import click

from orchestrator.cli.options import Target, selectors_argument, target_options


@click.command()
@selectors_argument()
@click.option("--quick", is_flag=True, help="Evaluate no host.")
@target_options
def validate(selectors: tuple[str, ...], quick: bool, target: Target) -> int:
    """Check inventory, syntax and secrets, evaluate every host. Exit 1 on any error."""
    from orchestrator.cli.fleet import open_setup
    from orchestrator.cli.output import words
    from orchestrator.fleet.check import check_evaluation, check_files
    from orchestrator.fleet.draw_check import draw_mistakes
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
    from orchestrator.cli.output import words
    from orchestrator.fleet.check import check_files
    from orchestrator.fleet.draw_check import draw_mistakes

    setup = open_setup(target)
    return int(draw_mistakes("syntax", asyncio.run(check_files(setup)), words()) > 0)


@click.command("format")
@click.option("--check", is_flag=True, help="Change nothing; exit 1 where a file would change.")
@target_options
def format_files(check: bool, target: Target) -> int:
    """Format every Nix file that git tracks, with the formatter that is on the PATH."""
    from orchestrator.cli.fleet import open_inventory
    from orchestrator.cli.output import words
    from orchestrator.fleet.format import format_tracked

    fleet = open_inventory(target).fleet
    changed = asyncio.run(format_tracked(fleet.root, check=check))
    for file in changed:
        words().line(f"{'would change' if check else 'formatted'}: {file}")
    return int(check and bool(changed))
