"""Nix's own protocol, over the open connection or over an ssh of Nix's own."""

from __future__ import annotations

from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.store import OutPath
from orchestrator.nix import verbs as nix
from orchestrator.nix.verbs import OnLine


async def over_connection(
    executor: Executor, out: OutPath, *, deadline: float, by_hand: str, on_stderr: OnLine
) -> None:
    """Copy a closure over the open connection.

    Args:
        executor: The way to the host.
        out: The closure's root.
        deadline: Seconds.
        by_hand: A store URL for the command that a person repeats it by: ours is gone by then.
        on_stderr: Called with each line of Nix's.

    Raises:
        StepError: The copy failed.
    """
    async with executor.nix_store() as store:
        try:
            await nix.copy(out, to=store, deadline=deadline, on_stderr=on_stderr)
        except StepError as error:
            _explain(error)
            error.command = (error.command or "").replace(store, by_hand)
            raise


async def over_ssh_ng(
    executor: Executor, out: OutPath, *, deadline: float, by_hand: str, on_stderr: OnLine
) -> None:
    """Copy a closure over an ssh that Nix starts; see :func:`over_connection`.

    Raises:
        StepError: The copy failed, or Nix's ssh could not be root there.
    """
    async with executor.ssh_ng() as way:
        env = {"NIX_SSHOPTS": way.options}
        try:
            await nix.copy(out, to=way.url, deadline=deadline, env=env, on_stderr=on_stderr)
        except StepError as error:
            _explain(error)
            error.command = (error.command or "").replace(way.url, by_hand)
            raise


def _explain(error: StepError) -> None:
    if "protocol mismatch" in error.stderr:
        error.hint = (
            "the login shell prints text where Nix is to speak: "
            "have its start-up files print for interactive shells only"
        )
