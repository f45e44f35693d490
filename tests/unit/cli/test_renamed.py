"""Who types a name of before is shown the one of today: commands and options."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from orchestrator.cli.commands import RENAMED
from orchestrator.cli.main import main, orchestrator

COMMANDS = {
    "history": "run list",
    "resume 12": "run resume",
    "rollout show": "run show",
    "rollout pause 12": "run pause",
    "rollout resume 12": "run resume",
    "rollout abort 12": "run abort",
    "rollout": "run show",
    "lock show": "status --locks",
    "lock p620": "status --locks",
    "lock steal p620 --yes": "host lock break",
    "hold p620 --reason disk": "host hold",
    "release p620": "host unhold",
    "drop p620": "pending drop",
    "catch-up": "pending deliver",
    "watch --interval 5m": "pending deliver --watch",
    "learn p620 --again": "changes learn",
    "why p620": "changes why",
    "affected --since main": "changes affected",
    "validate p620": "check",
    "check-syntax": "check --syntax",
    "inventory check": "check --inventory",
    "inventory check --frozen x": "check --inventory",
    "ci": "check --frozen --inventory --syntax --secrets --build",
    "emergency-deploy p620": "deploy HOST --emergency REASON",
    "ping": "host ping",
    "generations p620": "host generations",
}
OPTIONS = {
    "deploy --budget 2": "--max-failures",
    "plan --when-spent=roll-back-run": "--on-failure",
    "deploy --despite-hold f00d": "--override-hold",
    "rollback p620 --despite-hold=f00d": "--override-hold",
    "deploy --all-at-once": "--no-waves",
    "deploy p620 --absent defer": "--unreachable",
    "deploy --retry-failed": "orchestrator run retry",
}


def said(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Type what is a usage error; give its last line."""
    with pytest.raises(SystemExit) as caught:
        main(line.split())
    assert caught.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    return told.err.splitlines()[-1]


@pytest.mark.parametrize("before", ["", "--fleet x --json ", "-q --no-color "])
@pytest.mark.parametrize("line", COMMANDS)
def test_a_former_command_names_the_one_of_today(
    before: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, also with global options before it; what follows it is not read."""
    found = said(before + line, capsys)
    old, _, rest = found.removeprefix("Error: No such command '").partition("'")
    assert line.startswith(old)
    assert rest == f"; it is 'orchestrator {COMMANDS[line]}' now."


def test_a_former_command_of_a_group_is_known_behind_options(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A global option may stand between a group and its command, as it could before."""
    assert said("rollout --json pause 12", capsys) == (
        "Error: No such command 'rollout pause'; it is 'orchestrator run pause' now."
    )
    assert said("inventory --json check", capsys) == (
        "Error: No such command 'inventory check'; it is 'orchestrator check --inventory' now."
    )


@pytest.mark.parametrize("line", OPTIONS)
def test_a_former_option_names_the_one_of_today(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, with and without an equals sign."""
    (old,) = (word.partition("=")[0] for word in line.split() if word.startswith("--"))
    assert said(line, capsys) == f"Error: No such option '{old}'; it is '{OPTIONS[line]}' now."


def test_an_option_that_a_command_never_had_is_not_promised(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is suggested can be typed: ``status`` has neither the former option nor today's."""
    assert said("status --budget 2", capsys).startswith("Error: No such option '--budget'.")
    slip = said("deploy --max-failurs 2", capsys)
    assert "Did you mean" in slip
    assert "'--max-failures'" in slip


def test_every_former_name_is_tried_here() -> None:
    """The table has no name that no test types."""
    typed = {word.partition("=")[0] for line in OPTIONS for word in line.split()}
    for old in RENAMED:
        assert old in typed or any(line.startswith(old) for line in COMMANDS), old


@pytest.mark.parametrize("old", RENAMED)
def test_what_is_named_can_be_typed(old: str) -> None:
    """Today's name is a command with these options, and the former one is none."""
    new = RENAMED[old]
    if new.startswith("--"):
        assert f"  {new} " in CliRunner().invoke(orchestrator, ["deploy", "--help"]).output
        return
    assert CliRunner().invoke(orchestrator, [*new.split(), "--help"]).exit_code == 0
    assert CliRunner().invoke(orchestrator, [*old.split(), "--help"]).exit_code == 2
