"""Which renderers a command gets: that depends on where its streams lead."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import TextIO

from orchestrator.render.fanout import Fanout
from orchestrator.render.jsonlines import JsonLines
from orchestrator.render.output import Output, is_terminal
from orchestrator.render.plain import PlainLines
from orchestrator.render.renderer import Renderer
from orchestrator.render.report import ReportTable
from orchestrator.render.runlog import RunLog
from orchestrator.render.terminal import Terminal


def choose(
    json: bool,
    stdout: TextIO,
    stderr: TextIO,
    env: Mapping[str, str],
    verbose: bool = False,
    *,
    record: bool = True,
) -> Fanout:
    """Put a command's renderers together.

    Args:
        json: Whether standard output has JSON lines, and nothing else.
        stdout: Takes results.
        stderr: Takes words for a person.
        env: ``NO_COLOR`` and ``TERM`` are looked at.
        verbose: Whether the hosts' log lines are shown.
        record: Whether the run's folder is written.

    Returns:
        A renderer that survives the failure of each of its parts.
    """
    results, words = Output.of(stdout, env), Output.of(stderr, env)
    renderers: list[Renderer] = [RunLog(lambda: datetime.now().astimezone())] if record else []
    renderers.append(_progress(words, env, verbose))
    renderers.append(JsonLines(results, verbose=verbose) if json else ReportTable(results, words))
    return Fanout(renderers, words)


def _progress(words: Output, env: Mapping[str, str], verbose: bool) -> Renderer:
    live = is_terminal(words.stream) and env.get("TERM", "dumb") != "dumb"
    if live:
        return Terminal(words, time.monotonic, verbose=verbose)
    return PlainLines(words, time.monotonic, verbose=verbose)
