"""What a copy to a host will take: how much of its system it lacks, and its boot files."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core.checks import BootFiles, boot_name
from orchestrator.core.errors import StepError
from orchestrator.core.run import Load
from orchestrator.core.store import OutPath
from orchestrator.deploy.copy import closure as closures
from orchestrator.deploy.work import HostWork
from orchestrator.host.preflight import PreflightAnswer


async def closure_here(out: OutPath) -> list[str]:
    """The target's paths, where it is in the store here; a builder's is not."""
    if not Path(out.path).exists():
        return []
    try:
        return await closures.closure_of(out)
    except StepError:
        return []


async def load_of(work: HostWork, answer: PreflightAnswer, closure: list[str]) -> Load | None:
    """How much will be copied; what was asked is kept for the copy."""
    if answer.has_target:
        work.lacks = closures.Lacking((), ())
        return work.lacks.load
    if not closure or not answer.complete:
        return None
    work.lacks = await closures.sized(*closures.understood(answer.lines, closure))
    return work.lacks.load


def boot_files_here(out: OutPath) -> BootFiles | None:
    """The target's kernel and initrd, where it is in the store here."""
    sizes = {}
    for part in ("kernel", "initrd"):
        file = Path(out.path, part)
        if file.exists():
            sizes[boot_name(str(file.resolve()))] = file.stat().st_size
    return BootFiles(sizes) if sizes or Path(out.path).exists() else None
