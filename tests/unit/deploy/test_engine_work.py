"""An error in the words of a report."""

from __future__ import annotations

from orchestrator.core.errors import RefusedError, StepError
from orchestrator.deploy.work import problem_of


def test_a_problem_says_what_the_error_says() -> None:
    """Step, cause, hint and the command to repeat it by hand are carried over."""
    error = StepError("it broke", hint="try again", command="nix build", stderr="one\ntwo")
    error.step = "build"
    problem = problem_of(error, "it runs what it ran")
    assert (problem.step, problem.message, problem.hint) == ("build", "it broke", "try again")
    assert (problem.command, problem.stderr) == ("nix build", ("one", "two"))
    assert problem.host_state == "it runs what it ran"
    assert not problem.refused


def test_the_last_twenty_lines_are_shown() -> None:
    """The end of what a command said is where its error is."""
    problem = problem_of(StepError("it broke", stderr="\n".join(map(str, range(50)))))
    assert problem.stderr == tuple(map(str, range(30, 50)))
    assert problem_of(StepError("it broke")).stderr == ()


def test_a_refusal_is_marked() -> None:
    """Only a check that refused before anything changed counts as one."""
    assert problem_of(RefusedError("no")).refused
    assert problem_of(RefusedError("no")).step == "deploy"
