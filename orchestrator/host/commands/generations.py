"""``generations``: the systems that a host may go back to."""

from __future__ import annotations

import click

from orchestrator.cli.options import Target, host_argument, json_option, target_options


@click.command()
@host_argument
@target_options
@json_option
def generations(host: str, target: Target, as_json: bool) -> None:
    """Which systems HOST has: its profile's generations, and what deployments recorded there.

    `orchestrator rollback HOST --to GENERATION` goes back to one of them. One whose files were
    collected as garbage is marked "gone".
    """
    from orchestrator.cli.fleet import one_host, open_setup
    from orchestrator.cli.loop import run
    from orchestrator.cli.output import results
    from orchestrator.host.ask_generations import systems_of
    from orchestrator.host.draw.generations import draw_systems

    setup = open_setup(target)
    name = one_host(setup.fleet, host).name
    known = run(systems_of(setup, setup.fleet.hosts[name]))
    if other := known.state.another_than(name):
        click.echo(f"{name}: this machine was deployed as {other}: is its address wrong?", err=True)
    draw_systems(known, results(), as_json=as_json)
