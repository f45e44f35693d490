"""Questions put to a host's evaluated configuration, as functions of Nix's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from orchestrator.core.bounds import ANSWER
from orchestrator.nix.verbs import Flake, OnLine, failed, nix_argv, run_on


def nix_string(text: str) -> str:
    """Write a string of Nix's: https://nix.dev/manual/nix/latest/language/string-literals."""
    escaped = re.sub(r'(["\\$])', r"\\\1", text)
    return f'"{escaped}"'


def nix_list(texts: Iterable[str]) -> str:
    """Write a list of strings of Nix's."""
    return f"[ {' '.join(map(nix_string, texts))} ]"


async def ask(
    flake: Flake,
    attr: str,
    function: str,
    failure: str,
    *,
    deadline: float,
    env: Mapping[str, str | None] | None = None,
    on_stderr: OnLine | None = None,
    on_start: Callable[[int], None] | None = None,
) -> bytes:
    """Apply a function to what a host's configuration evaluates to, and give its answer as JSON.

    Args:
        flake: Where the host's configuration is.
        attr: The attribute below ``nixosConfigurations``.
        function: The function, in Nix's language.
        failure: What is not known where it cannot be evaluated, in a few words.
        deadline: Seconds after which Nix is stopped.
        env: Set on top of this process's environment.
        on_stderr: Called with each line that Nix says.
        on_start: Called with the process id.

    Raises:
        StepError: It does not evaluate, or the answer is longer than anybody takes.
    """
    argv = (
        *nix_argv("eval", "--json", "--apply", function),
        *flake.evaluating,
        flake.configuration(attr),
    )
    done = await run_on(
        flake,
        argv,
        deadline=deadline,
        env=env,
        on_stderr=on_stderr,
        on_start=on_start,
        bound=ANSWER,
    )
    if done.rc != 0:
        shown = tuple(map(flake.by_hand, argv))
        raise failed(done, shown, failure, flake.folder)
    return done.stdout
