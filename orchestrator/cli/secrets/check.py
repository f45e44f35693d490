"""``secrets check`` and ``secrets explain``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from orchestrator.cli.options import Target, json_option, selectors_argument, target_options
from orchestrator.cli.secrets.place import open_rules, rules_option
from orchestrator.errors import UsageError


@click.command()
@selectors_argument()
@click.option("--strict", is_flag=True, help="A warning is an error.")
@rules_option
@json_option
@target_options
def check(
    selectors: tuple[str, ...], strict: bool, rules: Path | None, as_json: bool, target: Target
) -> int:
    r"""Prove what can be proved about secrets, all or some hosts', without a private key.

    Nothing is changed and no host is asked. Each line is a fact, what comes of it, and how to cure
    it; `orchestrator secrets explain ID` tells more. Exit 1 where there is an error.

    \b
      orchestrator secrets check
      orchestrator secrets check p620 --strict
      orchestrator secrets check --rules ~/dotfiles/secrets/secrets.nix
    """
    from orchestrator.cli.output import results
    from orchestrator.engine.secrets.check import Checked, check_secrets
    from orchestrator.engine.secrets.place import place_of
    from orchestrator.render.secrets.findings import draw_findings

    file, context = open_rules(rules, target, selectors)

    async def work() -> Checked:
        return await check_secrets(await place_of(file), context, strict=strict)

    found = asyncio.run(work())
    draw_findings(found.findings, found.count, results(), as_json=as_json)
    return int(found.failed)


@click.command()
@click.argument("check_id", metavar="[ID]", required=False)
def explain(check_id: str | None) -> None:
    """Tell what a finding's ID means and how to cure it; without an ID, of all of them."""
    from orchestrator.cli.output import results
    from orchestrator.plan.secrets.explain import EXPLANATIONS
    from orchestrator.render.secrets.findings import draw_explanation

    if check_id is not None and check_id.upper() not in EXPLANATIONS:
        raise UsageError(f"there is no check {check_id}", hint="orchestrator secrets explain")
    for name, one in EXPLANATIONS.items():
        if check_id is None or name == check_id.upper():
            draw_explanation(name, one.severity, one.verifies, one.effect, one.cure, results())
