"""Hosts that are one attribute of one flake are one evaluation."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from copy import copy

from orchestrator.core.errors import StepError
from orchestrator.core.event import Phase
from orchestrator.core.store import Evaluated
from orchestrator.nix.evaluation import Asker, Evaluations
from orchestrator.nix.flake import Flake
from orchestrator.nix.verbs import is_here


class Once:
    """The evaluations of one run, each made for the first host that asks and told to all of them.

    Where the first one is interrupted, the next one evaluates.
    """

    def __init__(self) -> None:
        self._turns: defaultdict[tuple[Flake, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._known: dict[tuple[Flake, str], Evaluated | StepError] = {}

    async def evaluate(
        self, flake: Flake, asker: Asker, evaluations: Evaluations, why: str
    ) -> Evaluated:
        """Evaluate a host, unless an equal one was; see :meth:`Evaluations.evaluate`.

        Args:
            flake: The host's, with its settings.
            asker: Who asks.
            evaluations: Where it is evaluated, if it must be.
            why: The reason, in words.

        Raises:
            StepError: It does not evaluate.
        """
        key = (flake, asker.host.attr)
        turn = self._turns[key]
        if turn.locked():
            with asker.step(Phase.EVALUATE):
                asker.doing("with an equal host")
        async with turn:
            known = self._known.get(key)
            if isinstance(known, StepError):
                with asker.step(Phase.EVALUATE):
                    # A copy: each host notes its own step in it.
                    raise copy(known)
            if known is not None and is_here(known.drv):
                return known
            return await self._evaluate(key, asker, evaluations, why)

    async def _evaluate(
        self, key: tuple[Flake, str], asker: Asker, evaluations: Evaluations, why: str
    ) -> Evaluated:
        try:
            self._known[key] = evaluated = await evaluations.evaluate(asker, why)
        except StepError as error:
            self._known[key] = error
            raise
        return evaluated
