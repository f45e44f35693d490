"""Events as JSON lines on standard output, for programs."""

from __future__ import annotations

import json

from orchestrator.core.event import Event, LogLine
from orchestrator.render.event_json import to_json
from orchestrator.render.output import Output
from orchestrator.render.renderer import Renderer


class JsonLines(Renderer):
    """Writes one event a line; the last one is the report.

    Args:
        output: Where to. Nothing else may write there.
        verbose: Whether the hosts' log lines are written too.
    """

    def __init__(self, output: Output, *, verbose: bool = False) -> None:
        self._output = output
        self._verbose = verbose

    def handle(self, event: Event) -> None:
        """Write an event."""
        if self._verbose or not isinstance(event, LogLine):
            # All in ASCII: a control character in a host's text is escaped by JSON itself.
            self._output.line(json.dumps(to_json(event)))

    def close(self) -> None:
        """Nothing is held open."""
