"""The risk of what hosts run: asked of them, and evaluated at the commit that they say."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from orchestrator.changes.tree.place import flake_folder, repository
from orchestrator.core import git
from orchestrator.core.errors import StepError
from orchestrator.core.host import Host
from orchestrator.core.risk import Assessment
from orchestrator.core.state import HostState
from orchestrator.core.store import Evaluated
from orchestrator.core.values import replace
from orchestrator.host.setup import Setup, ask_each
from orchestrator.host.status import ask_state
from orchestrator.nix import verbs as nix
from orchestrator.nix.asker import Quiet
from orchestrator.nix.evaluation import Evaluations
from orchestrator.nix.flake import Flake
from orchestrator.risk.assess import assessment, recalled, system_of


async def assess_running(setup: Setup, hosts: Sequence[Host]) -> dict[str, Assessment | StepError]:
    """Say the risk of what hosts run; what is not known is its own host's error.

    It is recalled where it was assessed on this machine; else the commit that the host was
    deployed from is evaluated, and counts only where it makes the very system that runs.
    """
    nix.require()
    answers = await ask_each(setup, hosts, lambda host, executor: ask_state(executor, host))
    with tempfile.TemporaryDirectory(prefix="orchestrator-") as folder:
        commits = _Commits(setup.flake, Path(folder))
        evaluations = Evaluations(commits, setup.fleet.limits, setup.state, len(hosts))

        async def of(host: Host, said: HostState | StepError) -> Assessment | StepError:
            try:
                if isinstance(said, StepError):
                    return said
                return await _assessed(setup, evaluations, commits, host, said)
            except StepError as error:
                return error

        async with asyncio.TaskGroup() as group:
            tasks = {one.host.name: group.create_task(of(one.host, one.said)) for one in answers}
        return {name: task.result() for name, task in tasks.items()}


async def _assessed(
    setup: Setup, evaluations: Evaluations, commits: _Commits, host: Host, state: HostState
) -> Assessment:
    running = system_of(state)
    if running is None:
        raise StepError("it does not say what it runs")
    if (known := recalled(setup, running)) is not None:
        return known
    commits.of[host.name] = commit = _commit(state)
    made = await commits.evaluated(host, evaluations)
    if made.out != running.out:
        raise StepError(
            f"its commit {commit[:10]} makes {made.out.short}, and it runs {running.out.short}",
            hint="it was deployed from other files, or with other settings of Nix's",
        )
    return await assessment(setup, evaluations, Quiet(host), running)


def _commit(state: HostState) -> str:
    """The commit that a host was deployed from.

    Raises:
        StepError: It does not say, or there is none that makes what it runs.
    """
    record = state.record
    if record is None or not state.runs(record.out_path, state.specialisation):
        raise StepError("nothing there says which commit it was deployed from")
    if record.revision is None or record.revision.endswith("-dirty"):
        raise StepError("it was deployed from files that were not committed")
    return record.revision


class _Commits:
    """The fleet's flakes as commits have them, each checked out once.

    Args:
        flake: The fleet's.
        folder: Where they are checked out.

    Attributes:
        of: By the host's name, the commit that it is evaluated at.
    """

    def __init__(self, flake: Flake, folder: Path) -> None:
        self.of: dict[str, str] = {}
        self._flake = flake
        self._folder = folder
        self._made: dict[tuple[Path, str], Path] = {}
        self._alone = asyncio.Lock()

    async def evaluated(self, host: Host, evaluations: Evaluations) -> Evaluated:
        """What a host's commit makes: evaluated once for all that are one attribute of it.

        Raises:
            StepError: It does not evaluate.
        """
        key = (self._flake.of(host), host.attr, self.of[host.name])
        return await evaluations.once.of(key, lambda: evaluations.evaluate(Quiet(host)))

    async def flake(self, host: Host, /) -> Flake:
        """A host's flake at its commit.

        Raises:
            StepError: It is in no repository here, or that has no such commit.
        """
        flake = self._flake.of(host)
        if flake.reference != ".":
            raise StepError("its flake is not in a folder of this machine")
        root = repository(flake.folder)
        inside = flake_folder(root, flake.folder)
        async with self._alone:
            made = await self._checked_out(root, self.of[host.name])
        return replace(flake, folder=str(made / inside))

    async def _checked_out(self, root: Path, commit: str) -> Path:
        key = (root, commit)
        if key not in self._made:
            into = self._folder / str(len(self._made))
            await git.check_out(str(root), commit, str(into))
            self._made[key] = into
        return self._made[key]
