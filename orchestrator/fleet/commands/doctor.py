"""``doctor``: whether this machine has what deployments need."""

from __future__ import annotations

import asyncio

import click

from orchestrator.cli.options import Target, json_option, target_options


@click.command()
@target_options
@json_option
def doctor(target: Target, as_json: bool) -> int:
    """Whether this machine has what deployments need, and what would make them faster.

    No host is contacted and nothing is changed. Exit 1 where something needed is missing.
    """
    from orchestrator.cli.fleet import open_setup
    from orchestrator.cli.output import results
    from orchestrator.core.finding import Grade
    from orchestrator.fleet.doctor import examine
    from orchestrator.fleet.draw_doctor import draw_findings

    findings = asyncio.run(examine(open_setup(target)))
    draw_findings(findings, results(), as_json=as_json)
    return int(any(finding.grade is Grade.BAD for finding in findings))
