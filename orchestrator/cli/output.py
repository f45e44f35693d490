"""The streams of a command, as the renderers want them."""

from __future__ import annotations

import os
import sys

from orchestrator.render.choose import choose
from orchestrator.render.output import Output
from orchestrator.render.renderer import Renderer


def renderer(*, as_json: bool, verbose: bool) -> Renderer:
    """Choose how a run is drawn: a terminal, plain lines, JSON lines."""
    return choose(
        json=as_json, stdout=sys.stdout, stderr=sys.stderr, env=os.environ, verbose=verbose
    )


def results() -> Output:
    """Standard output, for results."""
    return Output.of(sys.stdout, os.environ)


def words() -> Output:
    """Standard error, for people."""
    return Output.of(sys.stderr, os.environ)
