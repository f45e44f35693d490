"""``secrets check``, ``explain``, ``status``, ``recipients``; the checks within other commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import Target, fleet_options, json_option, selectors_argument
from orchestrator.core.errors import OrchestratorError, StepError, UsageError
from orchestrator.core.host import Host
from orchestrator.core.values import replace
from orchestrator.host.setup import Setup
from orchestrator.render.output import clean
from orchestrator.secrets.commands.repository import open_rules, rules_option

with lazily():
    from orchestrator.cli import console
    from orchestrator.render import report
    from orchestrator.secrets import check as secrets_check
    from orchestrator.secrets import draw, gather
    from orchestrator.secrets import place as secrets_place
    from orchestrator.secrets import status as secrets_status
    from orchestrator.secrets.commands import repository
    from orchestrator.secrets.plan import explain as plan_explain


if TYPE_CHECKING:
    from orchestrator.secrets.check import SecretCheck
    from orchestrator.secrets.model.ciphertext import RecipientStatus, SecretStatus


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
@fleet_options
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

    Those of agenix, and those of sops-nix where the fleet has a .sops.yaml. Nothing is changed and
    no host is asked. What hosts' configurations say of secrets is evaluated, where it is not known
    from before. Each line is a fact, what comes of it, and how to cure it; `orchestrator secrets
    explain ID` tells more. Exit 1 where there is an error.

    \b
      orchestrator secrets check
      orchestrator secrets check p620 --strict
      orchestrator secrets check --rules ~/dotfiles/secrets/secrets.nix
    """  # noqa: D301 (click reads the mark)
    given, context = open_rules(rules, target, selectors)
    if identity:
        context = replace(context, keyring=repository.open_keyring(identity))
    only_sops = rules is None and context.setup is not None and _has_only_sops(context.setup)

    async def work() -> tuple[SecretCheck, Mapping[str, StepError]]:
        place = None if only_sops else await secrets_place.place_of(*given, fleet=context.fleet)
        asked, failed = (
            (context, {}) if no_configurations else await secrets_check.with_configurations(context)
        )
        return await secrets_check.check_secrets(place, asked, strict=strict), failed

    found, failed = console.run(work())
    _require_known(found.strangers)
    draw.draw_findings(
        found.findings, found.count, console.results(), sops=found.sops, as_json=as_json
    )
    for host, error in failed.items():
        report.draw_step_error(host, error, console.words())
    return int(found.failed or bool(failed))


def _has_only_sops(setup: Setup) -> bool:
    fleet = setup.fleet
    return not secrets_place.rules_of(fleet) and secrets_place.uses_sops(Path(fleet.root))


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
@json_option
def explain(check_id: str | None, as_json: bool) -> None:
    """Tell what a finding's ID means and how to cure it; without an ID, of all of them."""
    if check_id is not None and check_id.upper() not in plan_explain.EXPLANATIONS:
        raise UsageError(f"there is no check {check_id}", hint="orchestrator secrets explain")
    wanted = plan_explain.EXPLANATIONS if check_id is None else (check_id.upper(),)
    found = [plan_explain.EXPLANATIONS[name] for name in wanted]
    draw.draw_explanations(found, console.results(), as_json=as_json)


async def check_fleet(
    setup: Setup, hosts: Sequence[Host] = (), *, configurations: bool
) -> SecretCheck | None:
    """Check a fleet's secrets; ``None`` without a ``secrets.nix`` and a ``.sops.yaml``.

    A configuration that does not evaluate is left out: whoever evaluates the hosts tells of it.

    Args:
        setup: The fleet.
        hosts: Whose secrets; none means every one.
        configurations: Whether to ask the hosts' configurations, too.

    Raises:
        UsageError: There is no Nix, or ``secrets.lock.json`` cannot be used.
        StepError: git refused.
    """
    given = secrets_place.rules_of(setup.fleet)
    if not given and not secrets_place.uses_sops(Path(setup.fleet.root)):
        return None

    names = tuple(host.name for host in hosts)
    context = gather.Context(setup.fleet, setup.ssh, names, setup=setup)
    if configurations:
        context, _ = await secrets_check.with_configurations(context)
    place = await secrets_place.place_of(*given, fleet=setup.fleet) if given else None
    return await secrets_check.check_secrets(place, context)


@click.command()
@selectors_argument()
@rules_option
@json_option
@fleet_options
def status(selectors: tuple[str, ...], rules: Path | None, as_json: bool, target: Target) -> None:
    """Each secret, or those of some hosts: who can read it, its size, and what is wrong.

    Who can read it is what the file says, and not what secrets.nix declares. A name with a
    question mark is declared, and the file does not tell. The size is that of the plaintext.
    """
    given, context = open_rules(rules, target, selectors)

    async def work() -> tuple[SecretStatus, ...]:
        return await secrets_status.status(
            await secrets_place.place_of(*given, fleet=context.fleet), context
        )

    draw.draw_status(console.run(work()), console.results(), as_json=as_json)


@click.command()
@rules_option
@json_option
@fleet_options
def recipients(rules: Path | None, as_json: bool, target: Target) -> None:
    """Each key that secrets are encrypted to: whose it is, and how many secrets it reads."""
    given, context = open_rules(rules, target)

    async def work() -> tuple[RecipientStatus, ...]:
        return await secrets_status.recipients(
            await secrets_place.place_of(*given, fleet=context.fleet), context
        )

    draw.draw_recipients(console.run(work()), console.results(), as_json=as_json)


def tell_needs(setup: Setup, host: str) -> None:
    """Tell what a host needs of the fleet's secrets; without a ``secrets.nix`` there is nothing.

    It comes after what was asked for, so what cannot be found out is told and is no failure.
    """
    given = secrets_place.rules_of(setup.fleet)
    if not given:
        return

    click.echo("looking at which secrets it needs …", err=True)
    try:
        _find_and_draw(setup, host, given)
    except OrchestratorError as error:
        click.echo(f"which secrets {host} needs is not known: {clean(error.message)}", err=True)
        click.echo(f"hint: once that is fixed: orchestrator host trust {host}", err=True)


def _find_and_draw(setup: Setup, host: str, given: Sequence[Path]) -> None:
    async def work() -> tuple[str, secrets_status.FoundNeeds]:
        place = await secrets_place.place_of(*given, fleet=setup.fleet)
        found = await secrets_status.needs_of(place, setup, host)
        lacking = (one.path for one in found.needs.secrets if one.lacks)
        rules = dict.fromkeys((place.nearest(path) or place).name for path in lacking)
        return ", ".join(rules) or place.name, found

    rules, found = console.run(work())
    if found.failed is not None:
        draw.draw_unevaluated(host, found.failed.message, console.words())
    draw.draw_needs(found.needs, rules, console.words())
