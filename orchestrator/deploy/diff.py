"""What a deployment would change on a host, and that drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.catalogue.status import ask_running, changes_of
from orchestrator.changes.knowledge import KnownSystems
from orchestrator.changes.source import Source
from orchestrator.core.changed import Foreseen, Note, PackageChange
from orchestrator.core.contents import Contents
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.host import Host
from orchestrator.core.state import HostState
from orchestrator.core.store import Evaluated, OutPath
from orchestrator.core.together import together
from orchestrator.core.units import split_lines
from orchestrator.core.values import replace
from orchestrator.deploy.changing.encrypted import encrypted
from orchestrator.deploy.changing.foretelling import Change, foretell
from orchestrator.deploy.changing.forwards import Offer, look_ahead
from orchestrator.deploy.copy.closure import lacking
from orchestrator.deploy.delivering.batches import Member
from orchestrator.deploy.delivering.building import Builds
from orchestrator.deploy.history import revision_of
from orchestrator.deploy.plan.decide import PARTS
from orchestrator.deploy.plan.difference import diff
from orchestrator.host import scripts
from orchestrator.host.contents import contents_here
from orchestrator.host.setup import Gates, Setup, reach, whoami
from orchestrator.host.specialisations import runs_in_words, specialisation_here
from orchestrator.host.status import ask_state
from orchestrator.inventory.load import load
from orchestrator.nix import verbs as nix
from orchestrator.nix.asker import Quiet
from orchestrator.nix.evaluation import Evaluations
from orchestrator.render.foreseen import draw_rows, foreseen_json, rows
from orchestrator.render.output import Output, clean
from orchestrator.render.report import Column, print_json, print_table
from orchestrator.risk.assess import assess, system_of
from orchestrator.risk.kept import System


@dataclass(frozen=True, slots=True)
class HostDiff:
    """A host's system against the one wanted.

    Attributes:
        live: What it would run: the wanted system, or the specialisation of that which is to run.
        changes: Packages that differ.
        foreseen: What else is known of the change; ``None`` where there is none.
        warnings: What a deployment's preflight would find, as a plan says it.
    """

    host: Host
    state: HostState
    wanted: OutPath
    live: OutPath
    changes: tuple[PackageChange, ...]
    foreseen: Foreseen | None = None
    warnings: tuple[str, ...] = ()

    @property
    def variant(self) -> str:
        """The specialisation that is to run, where the wanted system has it; else empty."""
        return self.host.specialisation.of(self.state.specialisation)


async def diff_host(setup: Setup, host: Host) -> HostDiff:
    """Build the wanted system here and compare its closure with the host's running one.

    Raises:
        StepError: The host does not answer, or its configuration does not evaluate or build.
    """
    async with together() as group:
        building = group.create_task(build_wanted(setup, host))
        asking = group.create_task(ask_running_closure(setup, host))
    (wanted, revision), (state, running) = building.result(), asking.result()
    name = host.specialisation.of(state.specialisation)
    live = specialisation_here(wanted.out, name) or wanted.out
    closure = await nix.requisites(live)
    found = HostDiff(host, state, wanted.out, live, diff(running, closure))
    if state.running in (None, live):
        return found
    gone, new = set(running) - set(closure), set(closure) - set(running)
    async with reach(setup, host) as executor:
        offer = Offer(setup, host, state, wanted.out, revision, whoami())
        return replace(
            found,
            foreseen=await _foretold(setup, found, executor, frozenset(gone), frozenset(new)),
            warnings=await look_ahead(offer, executor),
        )


async def _foretold(
    setup: Setup,
    found: HostDiff,
    executor: Executor,
    gone: frozenset[OutPath],
    new: frozenset[OutPath],
) -> Foreseen:
    host, running = found.host, found.state.running
    assert running is not None

    async def read(system: OutPath) -> Contents:
        return await contents_here(system, PARTS)

    lacks = (await lacking(executor, found.live)).load
    change = Change(
        executor=executor,
        running=running,
        system=found.wanted,
        live=found.live,
        there=lacks.paths == 0,
        built=True,
        activates=True,
        seconds=host.deadlines.activate,
    )
    told = await foretell(change, await encrypted(gone, new), read)
    return replace(
        told,
        budget=host.preflight.closure_budget,
        copy_size=lacks.size,
        copy_paths=lacks.paths,
        notes=await _notes(setup, found, executor),
    )


async def _notes(setup: Setup, found: HostDiff, executor: Executor) -> tuple[Note, ...]:
    """Say which features come and go, where the host says what it has; and how its risk moves."""
    origins = load(Path(setup.fleet.root)).origins(found.host.name)
    features = changes_of(found.host, origins, await ask_running(executor))
    return (*features, Note("risk", await _risk(setup, found)))


async def _risk(setup: Setup, found: HostDiff) -> str:
    variant = "" if found.live == found.wanted else found.variant
    try:
        async with Source(setup.flake) as source:
            evaluations = Evaluations(source, setup.fleet.limits, setup.state, 1)
            system, running = System(found.wanted, variant), system_of(found.state)
            change = await assess(setup, evaluations, Quiet(found.host), system, running)
    except StepError as error:
        return f"not known: {error.message}"
    return change.sentence


async def build_wanted(setup: Setup, host: Host) -> tuple[Evaluated, str | None]:
    """Build what a host should run, here, and keep it.

    Returns:
        It, and the commit that this is of.

    Raises:
        StepError: It does not evaluate or build.
    """
    async with Source(setup.flake) as source:
        evaluations = Evaluations(source, setup.fleet.limits, setup.state, 1)
        known = KnownSystems(setup, (host,), source)
        wanted, _ = await known.system(Quiet(host), evaluations, here=True)
        revision = await revision_of(setup, known, host)
    roots = Path(setup.state, "roots")
    roots.mkdir(parents=True, exist_ok=True, mode=0o700)
    builds = Builds.of(setup, Gates.of(setup.fleet.limits))
    quiet = Member(host.name, lambda _: None, lambda _: None, host.nix)
    root = roots / host.name
    await builds.build(wanted, root=root, deadline=host.deadlines.build, member=quiet)
    return wanted, revision


async def ask_running_closure(setup: Setup, host: Host) -> tuple[HostState, tuple[OutPath, ...]]:
    """Ask a host for its state, and for all paths of what it runs.

    Raises:
        StepError: It does not answer, or not in this form.
    """
    async with reach(setup, host) as executor:
        state = await ask_state(executor, host)
        done = await executor.run(scripts.script(scripts.CLOSURE), deadline=host.deadlines.copy)
        if done.rc != 0:
            raise StepError("the host did not list its running system's closure", stderr=done.err)
        return state, _closure(done.out)


def _closure(text: str) -> tuple[OutPath, ...]:
    try:
        return tuple(OutPath.parse(line) for line in split_lines(text))
    except ValueError as error:
        raise StepError(f"the host's answer is not understood: {error}") from None


_COLUMNS = (Column("package"), Column("runs now"), Column("would run", flexible=True))


def draw_diff(
    found: HostDiff, results: Output, words: Output, *, as_json: bool, verbose: bool = False
) -> None:
    """Draw the packages that differ, and what else is known of the change."""
    if as_json:
        print_json(results, _to_json(found))
        return
    name, running = found.host.name, found.state.running
    if other := found.state.another_than(name):
        words.line(f"{name}: this machine was deployed as {other}: is its address wrong?")
    of = "" if found.live == found.wanted else f"specialisation {found.variant!r} of "
    if running == found.live:
        words.line(f"{name}: runs {of}{found.wanted.short}, which is what is wanted")
        return
    words.line(f"{name}: runs {runs_in_words(found.state)}")
    words.line(f"{name}: would run {of}{found.wanted.short}")
    print_table(results, _COLUMNS, [_row(change) for change in found.changes])
    if found.foreseen is not None:
        results.line()
        draw_rows(rows(None, found.foreseen), results, verbose=verbose)
    for warning in found.warnings:
        words.line(f"warning: {name}: {clean(warning)}")


def _row(change: PackageChange) -> tuple[str, str, str]:
    if change.before == change.after:
        # The same versions, built from something else.
        return (change.package, _versions(change.before), "rebuilt")
    return (change.package, _versions(change.before), _versions(change.after))


def _versions(versions: tuple[str, ...]) -> str:
    return ", ".join(version or "yes" for version in versions) or "-"


def _to_json(found: HostDiff) -> dict[str, object]:
    return {
        "host": found.host.name,
        "running": None if found.state.running is None else found.state.running.path,
        "wanted": found.wanted.path,
        "live": found.live.path,
        "changes": [
            {"package": change.package, "before": change.before, "after": change.after}
            for change in found.changes
        ],
        "foreseen": found.foreseen and foreseen_json(found.foreseen),
        "warnings": found.warnings,
    }
