"""``orchestrator init``: an inventory for a fleet that is there already."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.group import say
from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import fleet_option, json_done_option
from orchestrator.core.errors import UsageError
from orchestrator.core.values import replace
from orchestrator.init.model import TEMPLATES, NewHost, Way

with lazily():
    from orchestrator.cli import console
    from orchestrator.init import draw, places, plan, reports, survey, write
    from orchestrator.inventory import load, references
    from orchestrator.inventory import root as inventory_root
    from orchestrator.nix import verbs as nix

if TYPE_CHECKING:
    from orchestrator.core.host import Host

_MOST_LINES = 200
"""Lines of each file that are shown before it is asked whether to write them."""

_MOST_QUESTIONS = 8
"""Hosts of which one thing is asked; of more than that it is asked once, or left to an editor."""


_HELP = """Make an inventory for a fleet that is there already; none of its files is changed.

Hosts are the names below nixosConfigurations; none is evaluated. What deploy-rs, Colmena, clan,
~/.ssh/config and known_hosts say of them is taken over, and a comment says where each value
is from; so is what a facter.json in hosts/NAME says of hardware. Images and installers are left
out. What nothing says is asked, or guessed with --yes.

\b
  orchestrator init               look, ask, show, write
  orchestrator init --yes         in a script
  orchestrator init --dry-run     only show it
  orchestrator init --from colmena

It writes inventory/hosts.yaml, and AGENTS.md: the fleet in one page. Of hive.nix, colmenaHive,
or folders of hosts with npins or niv it writes inventory/flake.nix, too, which makes
nixosConfigurations of them. No file is ever overwritten: where there is an inventory, it shows
what the flake has besides, and adds that in a new file.
"""


@click.command(help=_HELP)
@click.option(
    "--from",
    "way",
    type=click.Choice([way.value for way in Way]),
    default=Way.AUTO.value,
    show_default=True,
    help="Where hosts are looked for.",
)
@click.option("--yes", is_flag=True, help="Ask nothing: write what is found and guessed.")
@click.option("--dry-run", is_flag=True, help="Print the files; write nothing, ask nothing.")
@fleet_option
@json_done_option
def init(way: str, yes: bool, dry_run: bool, fleet: Path | None, as_json: bool) -> int:
    """See ``_HELP``."""
    asks = not (yes or dry_run)
    if asks and not sys.stdin.isatty():
        raise UsageError(
            "init asks questions, and there is no terminal",
            hint="orchestrator init --yes writes what it finds; --dry-run only shows it",
        )
    found = _look(Way(way), fleet)
    hosts = reports.with_hardware(found.place.own, found.proposal.hosts)
    proposal = replace(found.proposal, hosts=_asked(hosts) if asks else hosts)
    files = _files(found, proposal)
    if not as_json:
        draw.draw_proposal(proposal, console.words(), console.results())
    if files is None:
        say(f"nothing is new: {inventory_root.FOLDER}/ has every host of the flake")
    elif dry_run and not as_json:
        draw.draw_texts(files, console.results())
    written = files is not None and not dry_run and (yes or _agreed(files))
    if files is not None and written:
        write.write(found.place, files)
        draw.draw_next(found.place, files, wrapped=found.is_wrapped, words=console.words())
    if as_json:
        console.print_done(
            **draw.as_json(proposal, files, found.place, wrapped=found.is_wrapped, written=written)
        )
    return 0


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is, and what is to become of it.

    Attributes:
        flake: What the inventory is to say of the fleet's flake.
        wrapper: The text of a flake that has to be written.
        declared: The templates that the inventory has already.
    """

    place: places.Place
    proposal: plan.Proposal
    flake: str | None = None
    wrapper: str | None = None
    declared: tuple[str, ...] = ()

    @property
    def is_wrapped(self) -> bool:
        """Whether a flake has to be written."""
        return self.wrapper is not None


def _look(way: Way, fleet: Path | None) -> _Found:
    environment = os.environ.get(inventory_root.VARIABLE)
    place = places.find_place(Path.cwd(), fleet, environment)
    if place.is_known:
        return _look_again(place, way)
    found = console.run(survey.survey(place, way))
    taken, proposal = plan.Taken(), plan.Proposal((), (), ())
    for number, one in enumerate(found):
        more = plan.of_flake(_proposed(one, way, taken), one.flake or "." if number else None)
        proposal = plan.joined(proposal, more)
        taken = plan.with_all_of(taken, more, references.spelled)
    return _Found(place, proposal, found[0].flake, found[0].wrapper)


def _look_again(place: places.Place, way: Way) -> _Found:
    """What the flakes of an inventory have that it has not."""
    known = load.load(place.root).fleet
    hosts = known.hosts.values()
    flake = nix.Flake.at(known.flake, known.root)
    flakes = {host.flake: flake.of(host) if host.flake else flake for host in hosts}
    taken = plan.Taken(frozenset(known.hosts), ways=frozenset(map(_way, hosts)))
    proposal = plan.Proposal((), (), ())
    for one in console.run(survey.more_of({None: flake, **flakes}, way)):
        of_it = [host for host in hosts if host.flake == one.flake]
        attrs = frozenset(host.attr for host in of_it)
        more = _proposed(one, way, replace(taken, attrs=attrs))
        gone = [host for host in of_it if host.attr not in one.attrs]
        notices = [f"{it.name}: the flake has no nixosConfigurations.{it.attr}" for it in gone]
        more = replace(more, notices=(*notices, *more.notices))
        named = one.flake and _named(place, one.flake)
        proposal = plan.joined(proposal, plan.of_flake(more, named))
        taken = plan.with_all_of(taken, more, references.spelled)
    declared = tuple(host.template for host in hosts if host.template)
    return _Found(place, proposal, declared=declared)


def _way(host: Host) -> tuple[str, int, str]:
    connect = host.connect
    return references.spelled(connect.address), connect.port or 22, connect.jump or ""


def _named(place: places.Place, flake: str) -> str:
    return place.relative(Path(flake)) if flake.startswith("/") else flake


def _proposed(found: survey.Survey, way: Way, taken: plan.Taken) -> plan.Proposal:
    attrs = found.attrs
    if way in (Way.COLMENA, Way.DEPLOY_RS, Way.SSH_CONFIG):
        attrs = plan.only(found.sources[0], attrs)
    proposal = plan.propose(attrs, found.sources, write.problem, references.spelled, taken)
    unknown = [one for source in found.sources for one in plan.strangers(source, found.attrs)]
    return replace(
        proposal,
        left_out=(*proposal.left_out, *unknown),
        notices=(*found.notices, *proposal.notices),
    )


def _files(found: _Found, proposal: plan.Proposal) -> write.Files | None:
    if not proposal.hosts and found.place.is_known:
        return None
    if not proposal.hosts:
        raise UsageError(
            "no host is left: every configuration is an image, or has a name that cannot be used",
            hint="orchestrator host add NAME adds one by hand",
        )
    return write.files_of(found.place, found.flake, proposal.hosts, found.wrapper, found.declared)


def _asked(hosts: tuple[NewHost, ...]) -> tuple[NewHost, ...]:
    """Ask what nothing says: where hosts answer, and what they are. Ctrl-C ends it all."""
    found = {host.name: host for host in hosts}
    unknown = [host for host in hosts if host.values["address"].guessed]
    if len(unknown) > _MOST_QUESTIONS:
        say(f"nothing says where {len(unknown)} hosts answer: they are reached by their names")
        unknown = []
    for host in unknown:
        text = _prompt(f"{host.name}: where does it answer?", "address", host.address)
        if text != host.address:
            found[host.name] = plan.answered(host, "address", text)
    kinds = [host for host in hosts if "template" not in host.values]
    if len(kinds) > _MOST_QUESTIONS:
        say(f"nothing says what {len(kinds)} hosts are: they get no template")
        kinds = []
    for host in kinds:
        choice = click.Choice([*TEMPLATES, "none"])
        kind = click.prompt(f"{host.name}: what is it?", type=choice, default="none", err=True)
        if kind != "none":
            found[host.name] = plan.answered(found[host.name], "template", kind)
    return tuple(found.values())


def _prompt(question: str, key: str, default: str) -> str:
    while True:
        text: str = click.prompt(question, default=default, err=True).strip()
        expected = write.problem(key, text)
        if expected is None:
            return text
        click.echo(f"that is not {expected}", err=True)


def _agreed(files: write.Files) -> bool:
    draw.draw_texts(files, console.words(), _MOST_LINES)
    names = ", ".join(files.texts)
    return click.confirm(f"Write {names}?", default=True, err=True)
