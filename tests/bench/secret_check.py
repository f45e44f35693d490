"""The check of secrets: rules evaluated by Nix, headers read, git asked, recipients compared."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.secrets.files import rules
from orchestrator.secrets.gather import Context, gather
from orchestrator.secrets.place import SecretsRepository, place_of
from orchestrator.secrets.plan.checks import check
from tests.bench.benchmark import Options
from tests.bench.table import Table, spread
from tests.bench.timing import Ran, Series, run
from tests.lab.fleet_bench import ORCHESTRATOR
from tests.nix.secret_fleet import Repository, sound

SIZES = (10, 100, 1000)


@dataclass(frozen=True, slots=True)
class Checks:
    """What it took, for one number of secrets.

    Attributes:
        rules: ``secrets.nix``, evaluated.
        rest: Everything after it: files, git, the comparison.
        process: ``orchestrator secrets check``, its start included.
    """

    rules: Series
    rest: Series
    process: Series


def lacks_nix(_: Options) -> str:
    """Why no rules can be evaluated."""
    return "" if shutil.which("nix-instantiate") else "no Nix on the PATH"


async def measure(repeat: int, sizes: Sequence[int] = SIZES) -> dict[int, Checks]:
    """Measure for several numbers of secrets, for 40 recipients of three kinds."""
    return {size: await _one_size(size, repeat) for size in sizes}


async def _one_size(size: int, repeat: int) -> Checks:
    found = Checks(Series(), Series(), Series())
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-secrets-") as folder:
        made = sound(Path(folder, "repository"), size)
        made.write()
        place = await place_of(made.root / "secrets.nix")
        command = (str(ORCHESTRATOR), "secrets", "check", "--rules", str(place.file))
        for _ in range(repeat):
            await _timed(made, place, found)
            found.process.add(run(command, cwd=made.root, env=os.environ))
    return found


async def _timed(made: Repository, place: SecretsRepository, found: Checks) -> None:
    began = time.perf_counter()
    await rules.evaluate(place.file, place.root)
    evaluated = time.perf_counter() - began
    found.rules.add(Ran(evaluated, 0, ""))
    fleet, ssh = made.fleet()
    began = time.perf_counter()
    findings = check(await gather(place, Context(fleet, ssh)))
    seconds = time.perf_counter() - began
    # The rules are evaluated within: once more, as beside it.
    problem = f"{len(findings)} findings in a sound repository"
    found.rest.add(Ran(max(seconds - evaluated, 0), int(bool(findings)), problem))


def table(found: dict[int, Checks]) -> Table:
    """A row for each number of secrets."""
    rows = [
        (str(size), spread(one.rules), spread(one.rest), spread(one.process))
        for size, one in found.items()
    ]
    problems = [
        f"{size} secrets: {series.failure}"
        for size, one in found.items()
        for series in (one.rules, one.rest, one.process)
        if series.failure
    ]
    columns = ("secrets", "`secrets.nix` evaluated", "all the rest", "a whole process")
    return Table(columns, tuple(rows), tuple(problems))
