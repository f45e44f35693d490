"""Questions put to a host's evaluated configuration, as functions of Nix's."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.core.bounds import ANSWER, OUTPUT, Bound
from orchestrator.core.errors import StepError
from orchestrator.core.host import Host
from orchestrator.core.process import CommandResult
from orchestrator.nix.verbs import Flake, failed, nix_argv, run_on


def nix_string(text: str) -> str:
    """Write a string of Nix's: https://nix.dev/manual/nix/latest/language/string-literals."""
    escaped = re.sub(r'(["\\$])', r"\\\1", text)
    return f'"{escaped}"'


def nix_list(texts: Iterable[str]) -> str:
    """Write a list of strings of Nix's."""
    return f"[ {' '.join(map(nix_string, texts))} ]"


class Evaluable(Protocol):
    """Gives what is to be evaluated."""

    async def flake(self, host: Host, /) -> Flake:
        """A host's flake, where no edit reaches it, and with the host's settings."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """A host's configuration, and how Nix is asked about it: all questions within one deadline.

    Attributes:
        flake: Where it is.
        attr: The attribute below ``nixosConfigurations``.
        host: The host's name.
        until: By the running loop's clock, when Nix is stopped.
        env: Set on top of this process's environment.
        on_start: Called with the id of each process.
    """

    flake: Flake
    attr: str
    host: str
    until: float = math.inf
    env: Mapping[str, str | None] = field(default_factory=dict)
    on_start: Callable[[int], None] | None = None

    @property
    def left(self) -> float:
        """Seconds until Nix is stopped."""
        return self.until - asyncio.get_running_loop().time()

    async def run(
        self, argv: Sequence[str], *, most: float = math.inf, bound: Bound = OUTPUT
    ) -> CommandResult:
        """Run a command of Nix's on the flake, for so many seconds at the most."""
        return await run_on(
            self.flake,
            argv,
            deadline=min(self.left, most),
            env=self.env,
            on_start=self.on_start,
            bound=bound,
        )

    async def ask(self, function: str, failure: str) -> bytes:
        """Apply a function to what the configuration evaluates to, and give its answer as JSON.

        Args:
            function: The function, in Nix's language.
            failure: What is not known where it cannot be evaluated, in a few words.

        Raises:
            StepError: It does not evaluate, or the answer is longer than anybody takes.
        """
        words = nix_argv("eval", "--json", "--apply", function)
        argv = (*words, *self.flake.evaluating, self.flake.configuration(self.attr))
        done = await self.run(argv, bound=ANSWER)
        if done.rc != 0:
            raise self.failed(done, argv, failure)
        return done.stdout

    def failed(self, done: CommandResult, argv: Sequence[str], failure: str) -> StepError:
        """Say why a command did not end well, and how to repeat it by hand."""
        return failed(done, tuple(map(self.flake.by_hand, argv)), failure, self.flake.folder)
