"""``check``, ``format``, ``update``, ``doctor``, ``option``, ``inventory shared``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.group import say
from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import (
    Target,
    fleet_options,
    host_argument,
    json_done_option,
    json_option,
    selectors_argument,
    target_options,
    verbose_option,
)
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.values import replace

with lazily():
    from orchestrator.cli import console, opening
    from orchestrator.core import checks, run
    from orchestrator.deploy.commands import deploy
    from orchestrator.fleet import doctor as fleet_doctor
    from orchestrator.fleet import draw_option, draw_shared, files, modules
    from orchestrator.fleet import option as fleet_option
    from orchestrator.fleet import shared as fleet_shared
    from orchestrator.inventory import load, select
    from orchestrator.render import event_json, output
    from orchestrator.secrets import place as secrets_place
    from orchestrator.secrets.commands import check as commands_check


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.core.host import Host
    from orchestrator.core.run import Report
    from orchestrator.host.setup import Setup

_PARTS = {
    "inventory": "Every mistake in the inventory; refreshes fleet.json, unless --frozen.",
    "syntax": "Every Nix file that git tracks parses.",
    "secrets": "What can be proved of secrets without a private key.",
    "eval": "Every host's system evaluates.",
    "build": "Every host's system builds; not by default.",
    "modules": "Each template, profile and feature by itself; not by default.",
}
_NOT_BY_DEFAULT = ("build", "modules")


@click.command()
@selectors_argument()
@click.option("--inventory", is_flag=True, help=_PARTS["inventory"])
@click.option("--syntax", is_flag=True, help=_PARTS["syntax"])
@click.option("--secrets", is_flag=True, help=_PARTS["secrets"])
@click.option("--eval", is_flag=True, help=_PARTS["eval"])
@click.option("--build", is_flag=True, help=_PARTS["build"])
@click.option("--modules", is_flag=True, help=_PARTS["modules"])
@fleet_options
@json_option
@verbose_option
def check(
    selectors: tuple[str, ...], target: Target, as_json: bool, verbose: bool, **parts: bool
) -> int:
    """Check the fleet: inventory, syntax, secrets and evaluation, or only what is named.

    No host is contacted; SELECTOR limits evaluation, build and secrets. Exit 1 where something is
    wrong, 2 for mistakes in the inventory. In CI:

    orchestrator check --frozen --inventory --syntax --secrets --build
    """
    wanted = [name for name, is_wanted in parts.items() if is_wanted]
    wanted = wanted or [name for name in _PARTS if name not in _NOT_BY_DEFAULT]
    checked: list[fleet_doctor.Checked] = []
    error: OrchestratorError | None = None
    try:
        checked += _check(wanted, selectors, target, verbose=verbose, as_json=as_json)
    except OrchestratorError as found:
        error = found
    where = console.results() if as_json else console.words()
    fleet_doctor.draw_checks(checked, where, error, as_json=as_json)
    if error is not None:
        raise error
    return int(not all(one.is_right for one in checked))


def _check(
    wanted: list[str], selectors: tuple[str, ...], target: Target, *, verbose: bool, as_json: bool
) -> Iterator[fleet_doctor.Checked]:
    """Check one thing after the other; secrets last, which need to know whether hosts evaluate."""
    # Read also where it was read before: what is remembered is not looked through for mistakes.
    fleet = opening.open_inventory(target).fleet
    hosts = select.select(fleet, selectors)
    if "inventory" in wanted:
        yield fleet_doctor.Checked("inventory", {host.name: None for host in hosts})
    if wanted == ["inventory"]:
        return
    setup = opening.open_setup(target)
    if "syntax" in wanted:
        yield fleet_doctor.Checked("syntax", console.run(files.check_files(setup)))
    if "eval" in wanted:
        yield fleet_doctor.Checked("evaluation", console.run(files.check_evaluation(setup, hosts)))
    if "modules" in wanted:
        yield fleet_doctor.Checked("modules", console.run(modules.check_modules(setup)))
    evaluates = "eval" in wanted
    if "build" in wanted:
        built = _build(setup, hosts, verbose=verbose, as_json=as_json)
        evaluates = built.is_right
        yield built
    if "secrets" in wanted:
        chosen = hosts if selectors else ()
        found = console.run(commands_check.check_fleet(setup, chosen, configurations=evaluates))
        if found is None:
            why = "the fleet has neither secrets.nix nor .sops.yaml"
            rekey = secrets_place.uses_agenix_rekey(fleet)
            say(f"secrets: not checked: {secrets_place.AGENIX_REKEY if rekey else why}")
        yield fleet_doctor.Checked("secrets", {}, found)


def _build(
    setup: Setup, hosts: Sequence[Host], *, verbose: bool, as_json: bool
) -> fleet_doctor.Checked:
    report = deploy.build_hosts(setup, hosts, verbose=verbose, report=not as_json)
    problems = {name: output.problem_of(result.outcome) for name, result in report.hosts.items()}
    return fleet_doctor.Checked(
        "build", {name: it.message if it else None for name, it in problems.items()}
    )


@click.command("format")
@click.option("--check", is_flag=True, help="Change nothing; exit 1 where a file would change.")
@fleet_options
@json_done_option
def format_files(check: bool, target: Target, as_json: bool) -> int:
    """Format every Nix file that git tracks, with the formatter that is on the PATH."""
    fleet = opening.open_inventory(target).fleet
    changed = console.run(files.format_tracked(fleet.root, check=check))
    for file in changed:
        console.words().line(f"{'would change' if check else 'formatted'}: {file}")
    ok = not (check and changed)
    if as_json:
        console.print_done(ok, check=check, changed=list(changed))
    return int(not ok)


class Through(Enum):
    """How far an update goes."""

    EVALUATE = "evaluate"
    BUILD = "build"
    ALL = "all"


@click.command()
@click.argument("inputs", nargs=-1, metavar="[INPUT]...")
@click.option(
    "--through",
    type=click.Choice([stage.value for stage in Through]),
    default=Through.EVALUATE.value,
    show_default=True,
    help="What every host must do before the commit; all: build, then be deployed.",
)
@target_options
@json_done_option
@verbose_option
def update(
    inputs: tuple[str, ...], through: str, target: Target, as_json: bool, verbose: bool
) -> int:
    """Move the flake's pins, all or those of INPUT; commit them when every host still evaluates.

    Where a host does not evaluate, or not build, the lock file is put back as it was. With
    --through all what changed is deployed after the commit, as by: deploy --all-must-build
    """
    stage = Through(through)
    setup, moved = _move_pins(inputs, target, stage, verbose=verbose)
    console.words().line(_in_words(moved, stage))
    last, deployed = moved.build, None
    if stage is Through.ALL and moved.is_built:
        request = run.DeployRequest(all_must_build=True, title="update")
        options = {"as_json": False, "verbose": verbose, "report": not as_json}
        last = deployed = deploy.run_for_report(setup, target, request, **options)
    code = last.exit_code if last else 0
    if as_json:
        console.print_done(
            code == 0,
            committed=moved.committed,
            inputs=moved.inputs,
            build=moved.build and event_json.report_json(moved.build),
            deployment=deployed and event_json.report_json(deployed),
        )
    return code


@dataclass(frozen=True, slots=True)
class _Moved:
    """What became of pins.

    Attributes:
        said: What Nix said of it.
        inputs: Input → what it was locked to and is, where that differs; ``None``: not known.
        build: The run that built every host; ``None`` where none did.
        committed: Whether they moved, and are committed.
    """

    said: str
    inputs: Mapping[str, files.MovedInput] | None
    build: Report | None
    committed: bool

    @property
    def is_built(self) -> bool:
        """Whether every host was built, or none had to be."""
        return self.build is None or self.build.exit_code == 0


def _move_pins(
    inputs: tuple[str, ...], target: Target, stage: Through, *, verbose: bool
) -> tuple[Setup, _Moved]:
    """Move pins and commit them, where hosts do what they must; else they are put back."""
    # Pins come from the internet, which a lab's network has not; and they are not the lab's.
    outside = replace(target, lab=False, ask_sudo_password=False, sudo_password_for=())
    setup = opening.open_setup(outside)
    pins = files.Pins.of(setup)
    try:
        said, build = console.run(files.move_pins(setup, inputs)), None
        if stage is not Through.EVALUATE:
            setup = opening.open_setup(target)
            hosts = tuple(setup.fleet.hosts.values())
            build = deploy.build_hosts(setup, hosts, verbose=verbose, report=False)
        moved = _Moved(said, pins.moved(), build, committed=False)
        if moved.is_built:
            moved = replace(moved, committed=console.run(files.commit_pins(setup, inputs)))
    except BaseException:
        pins.put_back()
        raise
    if not moved.is_built:
        pins.put_back()
    return setup, moved


def _in_words(moved: _Moved, stage: Through) -> str:
    if not moved.is_built:
        return f"not every host was built; {files.LOCK} is put back as it was"
    if not moved.committed:
        return f"{files.LOCK}: nothing moved"
    does = "evaluates" if stage is Through.EVALUATE else "evaluates and builds"
    text = f"{moved.said}\n{files.LOCK} is committed; every host {does}".strip()
    return text if stage is Through.ALL else f"{text}. Next: orchestrator deploy"


@click.command()
@fleet_options
@json_option
def doctor(target: Target, as_json: bool) -> int:
    """Whether this machine has what deployments need, and what would make them faster.

    No host is contacted and nothing is changed. Exit 1 where something needed is missing.
    """
    findings = console.run(fleet_doctor.examine(opening.open_setup(target)))
    fleet_doctor.draw_findings(findings, console.results(), as_json=as_json)
    return int(any(finding.grade is checks.Grade.BAD for finding in findings))


@click.command()
@host_argument
@click.argument("path", metavar="PATH")
@fleet_options
@json_option
def option(host: str, path: str, target: Target, as_json: bool) -> None:
    """What stands behind option PATH of HOST: its value, and who defines it.

    Each definition with its priority, file and line, also those that do not count: mkForce goes
    before plain values, and these before mkDefault. A set of options is listed by their names.
    """
    setup = opening.open_setup(target)
    one = opening.one_host(setup.fleet, host)
    found = console.run(fleet_option.ask_option(setup, one, path))
    draw_option.draw_option(found, console.results(), as_json=as_json)


@click.command()
@selectors_argument()
@fleet_options
@json_option
def shared(selectors: tuple[str, ...], target: Target, as_json: bool) -> None:
    """How much of each host's configuration is its own, and what could stand in a template.

    Its own is what no other host of those that are compared has: lines of Nix files, definitions
    of options in them; of the inventory, what the host's section says.
    """
    setup = opening.open_setup(target)
    inventory = load.load(Path(setup.fleet.root))
    hosts = select.select(setup.fleet, selectors)
    found = console.run(fleet_shared.shared(setup, inventory, hosts))
    draw_shared.draw_shared(found, console.results(), console.words(), as_json=as_json)
