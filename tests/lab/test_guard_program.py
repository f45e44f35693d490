"""The guard's program on a real host: each way to its end, and what ends it in between."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guard_bench import NAME, GuardHost

from orchestrator.adapters.host.guard import verbs
from orchestrator.errors import StepError
from orchestrator.lab.lab import Lab
from orchestrator.model.goal import Goal
from orchestrator.model.guard import AttemptState
from orchestrator.model.store import OutPath

WAITING, CHECKING = AttemptState.WAITING, AttemptState.CHECKING
DONE, RETURNED, STUCK = AttemptState.DONE, AttemptState.RETURNED, AttemptState.STUCK


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardHost]:
    """One host for the whole file."""
    fleet = tmp_path_factory.mktemp("guard") / "fleet"
    (fleet / "inventory").mkdir(parents=True)
    (fleet / "inventory/hosts.yaml").write_text(f"hosts:\n  {NAME}:\n    address: x.invalid\n")
    patch = pytest.MonkeyPatch()
    patch.setenv("ORCHESTRATOR_LAB_HOME", str(tmp_path_factory.getbasetemp() / "labs"))
    lab = Lab.of(fleet)
    try:
        lab.up([NAME])
        host = GuardHost(lab, OutPath("/nix/store/" + "0" * 32 + "-none"))
        host.first = OutPath.parse(host.sh("readlink -f /run/current-system"))
        yield host
    finally:
        lab.down(purge=True)
        patch.undo()


@pytest.fixture
def host(made: GuardHost) -> GuardHost:
    """The host, at its first system, as if nobody ever deployed there."""
    made.reset()
    return made


def test_what_is_confirmed_is_committed(host: GuardHost) -> None:
    """Running system, profile and boot default; the record says who did it; nothing is left."""
    target = host.system("new")
    token = host.checking(target)
    assert host.systems == (target, host.first, host.first)
    host.do(verbs.confirm(host.inside, token))
    host.ended(token, DONE)
    assert host.systems == (target,) * 3
    record = host.state.record
    assert record is not None
    assert (record.run, record.who, record.out_path) == (7, "me@here", target)


@pytest.mark.parametrize("contacted", [False, True])
def test_what_nobody_confirms_is_taken_back(host: GuardHost, contacted: bool) -> None:
    """Whether nobody came over a new connection, or nobody said that all is well."""
    target = host.system("new")
    if contacted:
        token = host.checking(target, health_seconds=1)
    else:
        token = host.start(target, confirm_seconds=1).token
    attempt = host.ended(token, RETURNED)
    said = "no confirmation came in time" if contacted else "no new connection came in time"
    assert attempt.why == said
    assert attempt.turned is (CHECKING if contacted else WAITING)
    assert host.systems == (host.first,) * 3
    assert host.state.record is None
