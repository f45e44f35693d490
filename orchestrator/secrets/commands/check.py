"""``secrets check`` and ``secrets explain``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from orchestrator.cli.options import Target, json_option, selectors_argument, target_options
from orchestrator.core.errors import StepError, UsageError
from orchestrator.secrets.commands.place import open_rules, rules_option


@click.command()
@selectors_argument()
@click.option("--strict", is_flag=True, help="A warning is an error.")
@click.option("--no-configurations", is_flag=True, help="Evaluate no host's configuration.")
@click.option(
    "-i",
    "--identity",
    multiple=True,
    metavar="FILE",
    help="A private key, of SSH or age: what it can open is decrypted, and looked for in the clear "
    "in the repository and in the hosts' systems. May be repeated.",
)
@rules_option
@json_option
@target_options
def check(
    selectors: tuple[str, ...],
    strict: bool,
    no_configurations: bool,
    identity: tuple[str, ...],
    rules: Path | None,
    as_json: bool,
    target: Target,
) -> int:
    """Prove what can be proved about secrets, all or some hosts', without a private key.

    Nothing is changed and no host is asked. What hosts' configurations say of secrets is evaluated,
    where it is not known from before. Each line is a fact, what comes of it, and how to cure it;
    `orchestrator secrets explain ID` tells more. Exit 1 where there is an error.

    \b
      orchestrator secrets check
      orchestrator secrets check p620 --strict
      orchestrator secrets check --rules ~/dotfiles/secrets/secrets.nix
    """  # noqa: D301 (click reads the mark)
    from orchestrator.cli.output import results, words
    from orchestrator.render.errors import draw_step_error
    from orchestrator.secrets.check import Checked, check_secrets
    from orchestrator.secrets.commands.keys import open_keyring
    from orchestrator.secrets.configurations import with_configurations
    from orchestrator.secrets.draw.findings import draw_findings
    from orchestrator.secrets.place import place_of

    file, context = open_rules(rules, target, selectors)
    if identity:
        context = replace(context, keyring=open_keyring(identity))

    async def work() -> tuple[Checked, Mapping[str, StepError]]:
        place = await place_of(file)
        asked, failed = (context, {}) if no_configurations else await with_configurations(context)
        return await check_secrets(place, asked, strict=strict), failed

    found, failed = asyncio.run(work())
    _require_known(found.strangers)
    draw_findings(found.findings, found.count, results(), as_json=as_json)
    for host, error in failed.items():
        draw_step_error(host, error, words())
    return int(found.failed or bool(failed))


def _require_known(strangers: Sequence[str]) -> None:
    """To find nothing of a host of which nothing is known would look like a proof."""
    if strangers:
        raise UsageError(
            f"no secret is known to be for {', '.join(strangers)}: no rule has its key",
            hint=f"orchestrator host trust {strangers[0]} makes its key known; "
            "without a host's name every secret is checked",
        )


@click.command()
@click.argument("check_id", metavar="[ID]", required=False)
def explain(check_id: str | None) -> None:
    """Tell what a finding's ID means and how to cure it; without an ID, of all of them."""
    from orchestrator.cli.output import results
    from orchestrator.secrets.draw.findings import draw_explanation
    from orchestrator.secrets.plan.explain import EXPLANATIONS

    if check_id is not None and check_id.upper() not in EXPLANATIONS:
        raise UsageError(f"there is no check {check_id}", hint="orchestrator secrets explain")
    for name, one in EXPLANATIONS.items():
        if check_id is None or name == check_id.upper():
            draw_explanation(name, one.severity, one.verifies, one.effect, one.cure, results())
