"""``orchestrator security vulnerabilities``."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import Target, host_argument, json_option, target_options

with lazily():
    from orchestrator.cli import console, opening
    from orchestrator.deploy import vulnerabilities as known_vulnerabilities


@click.command()
@host_argument
@click.option(
    "--feed",
    "feeds",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    metavar="PATH",
    help="Advisories: a file or folder of JSON by OSV or NVD; repeatable.",
)
@target_options
@json_option
def vulnerabilities(host: str, feeds: tuple[Path, ...], target: Target, as_json: bool) -> int:
    """Known vulnerabilities that a deployment of HOST would fix, bring and leave.

    Builds what HOST should run, and compares both closures, by name and version, with files that
    you fetched. A patch of nixpkgs' that is named after a CVE counts as a correction, and is shown.
    What matches and what does not: docs/security-check.md

    Exit 1: it brings one that nobody accepted.
    """
    setup = opening.open_setup(target)
    found = console.run(
        known_vulnerabilities.known_of(setup, opening.one_host(setup.fleet, host), feeds)
    )
    if as_json:
        known_vulnerabilities.draw_known_json(found, console.results())
    else:
        known_vulnerabilities.draw_known(found, console.results())
    return int(found.brings)
