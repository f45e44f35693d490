"""Events as JSON, and as lines on standard output."""

from __future__ import annotations

import json
from typing import assert_never

from orchestrator.core import stored
from orchestrator.core.changed import SystemChange
from orchestrator.core.event import (
    Event,
    HostFinished,
    LogLine,
    Notice,
    Paused,
    Phase,
    PhaseStarted,
    Progress,
    Recalled,
    RunFinished,
    RunStarted,
    WaveEnded,
    WaveStarted,
)
from orchestrator.core.outcome import (
    Completed,
    Deferred,
    Deployed,
    Failed,
    Outcome,
    Problem,
    RolledBack,
    Skipped,
    Unchanged,
    outcome_name,
)
from orchestrator.core.risk import RiskChange
from orchestrator.core.run import Before, HostResult, Report
from orchestrator.core.store import OutPath
from orchestrator.render.output import Output
from orchestrator.render.plain import Renderer, waves_to_json

Json = dict[str, object]


def to_json(event: Event) -> Json:
    """Say an event in values that JSON knows."""
    match event:
        case RunStarted():
            return {"type": "run-started", **_run_started(event)}
        case WaveStarted():
            return {"type": "wave-started", **_wave(event)}
        case WaveEnded(failed=failed):
            return {"type": "wave-ended", **_wave(event), "failed": list(failed)}
        case Paused(why=why, seconds=seconds):
            return {"type": "paused", "why": why, "seconds": seconds}
        case Recalled(host=host, known=known, reason=reason):
            return {"type": "recalled", "host": host, "known": known, "reason": reason}
        case PhaseStarted(host=host, phase=phase):
            return {"type": "phase", "host": host, "phase": phase_name(phase)}
        case Progress(host=host, text=text):
            return {"type": "progress", "host": host, "text": text}
        case LogLine(host=host, text=text):
            return {"type": "log", "host": host, "text": text}
        case Notice(text=text, host=host, warning=warning):
            return {"type": "notice", "host": host, "warning": warning, "text": text}
        case HostFinished(host=host, outcome=outcome, seconds=seconds):
            return {"type": "host-finished", "host": host, **_result(outcome, seconds)}
        case RunFinished(report=report):
            return {"type": "report", **report_json(report)}
        case _:
            assert_never(event)


def phase_name(phase: Phase) -> str:
    """The phase's name as programs read it, such as ``roll-back``."""
    return phase.name.lower().replace("_", "-")


def result_to_json(result: HostResult) -> Json:
    """Say how a host ended, and what it was before it began to be changed."""
    before = {} if result.before is None else {"before": _before(result.before)}
    of = {} if result.of is None else {"class": result.of}
    return {**_result(result.outcome, result.seconds), **before, **of}


def _wave(event: WaveStarted | WaveEnded) -> Json:
    wave = event.wave
    return {"name": wave.name, "number": event.number, "of": event.of, "hosts": list(wave.hosts)}


def _run_started(event: RunStarted) -> Json:
    return {
        "run": event.run.number,
        "title": event.run.title,
        "goal": event.goal.value,
        "plan": event.plan_only,
        "hosts": list(event.hosts),
        "waves": waves_to_json(event.waves),
        "folder": event.run.folder,
        "revision": event.run.revision,
        "who": event.run.who,
        "started": event.run.started.isoformat(),
    }


def report_json(report: Report) -> Json:
    """Say how a run ended."""
    return {
        "run": report.run.number,
        "exit_code": report.exit_code,
        "goal": report.goal.value,
        "plan": report.plan_only,
        "interrupted": report.interrupted,
        "seconds": round(report.seconds, 3),
        "folder": report.run.folder,
        "revision": report.run.revision,
        "waves": waves_to_json(report.waves),
        "hosts": {name: result_to_json(result) for name, result in report.hosts.items()},
    }


def _result(outcome: Outcome, seconds: float) -> Json:
    """Say an outcome; ``outcome``, ``reason``, ``out_path`` and ``seconds`` are always there."""
    return {
        "outcome": outcome_name(outcome),
        "reason": outcome.reason,
        "out_path": _path(outcome),
        "seconds": round(seconds, 3),
        **_more(outcome),
    }


def _before(before: Before) -> Json:
    return {
        "running": _text(before.running),
        "profile": _text(before.profile),
        "boot_default": _text(before.boot_default),
    }


def _path(outcome: Outcome) -> str | None:
    out: OutPath | None = None if isinstance(outcome, Skipped) else outcome.out_path
    return _text(out)


def _text(path: OutPath | None) -> str | None:
    return None if path is None else path.path


def _more(outcome: Outcome) -> Json:
    match outcome:
        case Deployed(goal=goal, warnings=warnings, reboot_required=reboot, changed=changed):
            return {
                "goal": goal.value,
                "specialisation": outcome.specialisation or None,
                "warnings": list(warnings),
                "reboot_required": list(reboot),
                "changed": None if changed is None else _changed(changed),
                "risk": None if outcome.risk is None else _risk(outcome.risk),
                "foreseen": _foreseen(outcome),
            }
        case Completed(goal=goal):
            return {"goal": goal.value}
        case Failed(problem=problem) | RolledBack(problem=problem):
            return _problem(problem)
        case Unchanged(warnings=warnings, specialisation=name):
            said = {"warnings": list(warnings)} if warnings else {}
            return {**said, "specialisation": name or None}
        case Deferred() | Skipped():
            return {}
        case _:
            assert_never(outcome)


_MOST = 200
"""Packages, and units of one kind, that are listed."""


def _foreseen(outcome: Deployed) -> Json | None:
    if outcome.foreseen is None:
        return None
    # A plan's alone: nothing else is to wait for the import.
    from orchestrator.render.foreseen import foreseen_json

    return foreseen_json(outcome.foreseen)


def _changed(changed: SystemChange) -> Json:
    closure, units = changed.closure, changed.units
    return {
        "closure": closure
        and {
            "packages": [
                {"package": one.package, "before": list(one.before), "after": list(one.after)}
                for one in closure.packages[:_MOST]
            ],
            "more": max(len(closure.packages) - _MOST, 0),
            "rebuilt": closure.rebuilt,
            "size": closure.size,
        },
        "units": units
        and {
            "restarted": list(units.restarted[:_MOST]),
            "reloaded": list(units.reloaded[:_MOST]),
            "started": list(units.started[:_MOST]),
            "stopped": list(units.stopped[:_MOST]),
        },
    }


def _risk(risk: RiskChange) -> Json:
    """Say a change of risk: levels, points, the heaviest terms, and all of it in one sentence."""
    return {"text": str(risk), **stored.plain(risk)}


def _problem(problem: Problem) -> Json:
    return {
        "step": problem.step,
        "message": problem.message,
        "hint": problem.hint,
        "command": problem.command,
        "stderr": list(problem.stderr),
        "host_state": problem.host_state,
        "refused": problem.refused,
        "lost": problem.lost,
        "checks": list(problem.checks),
    }


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
