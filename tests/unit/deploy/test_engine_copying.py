"""Which way a copy takes within a run: asked, measured, chosen, told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from fake_host import Bench

from orchestrator.core.errors import StepError, UnreachableError
from orchestrator.core.event import LogLine
from orchestrator.core.outcome import Deployed, Failed
from orchestrator.core.run import CopyMethod, Sample
from orchestrator.deploy.copy.closure import Lacking
from orchestrator.deploy.copy.spool import Codec, WantedPath
from orchestrator.deploy.copy.stream import Sent
from orchestrator.deploy.delivering import copying

MUCH = 100 << 20


class Copier:
    """Stands for the host's and this machine's part in a copy."""

    def __init__(self, patch: pytest.MonkeyPatch, bench: Bench) -> None:
        self.bench = bench
        self.lacks = Lacking((WantedPath("/nix/store/x", MUCH),), (Codec.ZSTD,))
        self.rate = 1e6
        self.fails: Callable[[], None] = lambda: None
        self.probes = 0
        patch.setattr(copying, "lacking", self._lacking)
        patch.setattr(copying, "probe", self._probe)
        patch.setattr(copying, "stream", self._stream)

    async def _lacking(self, *_: object) -> Lacking:
        return self.lacks

    async def _probe(self, *_: object, at_most: int) -> Sample:
        assert at_most < MUCH / 4
        self.probes += 1
        self.fails()
        return Sample(datetime.now(UTC), None, 0, 1 << 20, (1 << 20) / self.rate, 0.001)

    async def _stream(self, *_: object) -> Sent:
        self.bench.delivered.append("stream")
        return Sent(1, MUCH // 2)

    @property
    def log(self) -> str:
        """What is in the host's log."""
        return "\n".join(one.text for one in self.bench.events if isinstance(one, LogLine))


@pytest.fixture
def copier(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> Copier:
    """A host that lacks 100 MiB, behind a link of 8 Mbit/s."""
    return Copier(monkeypatch, bench)


@pytest.mark.parametrize(("rate", "way"), [(1e6, "stream"), (300e6, "copy")])
def test_an_unknown_link_is_measured_where_there_is_much_to_copy(
    copier: Copier, rate: float, way: str
) -> None:
    """Slow: the stream. Fast: the connection. The log says why."""
    copier.rate = rate
    assert isinstance(copier.bench.deploy(), Deployed)
    assert way in copier.bench.delivered
    assert copier.probes == 1
    assert "the link gives" in copier.log


def test_little_to_copy_is_not_worth_a_probe(copier: Copier) -> None:
    """A kilobyte takes the open connection at once."""
    copier.lacks = Lacking((WantedPath("/nix/store/x", 1024),), (Codec.ZSTD,))
    assert isinstance(copier.bench.deploy(), Deployed)
    assert (copier.probes, "copy" in copier.bench.delivered) == (0, True)


def test_nothing_that_lacks_is_not_copied(copier: Copier) -> None:
    """Where the host lacks no path, nothing is copied, and the log says so."""
    copier.lacks = Lacking((), (Codec.ZSTD,))
    assert isinstance(copier.bench.deploy(), Deployed)
    assert not {"copy", "stream"} & set(copier.bench.delivered)
    assert "nothing to copy" in copier.log


def test_a_way_that_is_named_is_taken_unmeasured(copier: Copier) -> None:
    """With ``--copy`` the way that is named is taken, and no probe measures the link."""
    assert isinstance(copier.bench.deploy(copy=CopyMethod.CONNECTION), Deployed)
    assert (copier.probes, "copy" in copier.bench.delivered) == (0, True)


def test_a_probe_that_fails_stops_no_copy(copier: Copier) -> None:
    """The connection is taken then; only a connection that is lost ends the host's run."""

    def times_out() -> None:
        raise StepError("the link to the host could not be measured")

    copier.fails = times_out
    assert isinstance(copier.bench.deploy(), Deployed)
    assert "copy" in copier.bench.delivered
    assert "could not be measured" in copier.log

    def is_lost() -> None:
        raise UnreachableError("the connection was lost")

    copier.fails = is_lost
    outcome = copier.bench.deploy(force=True)
    assert isinstance(outcome, Failed)
    assert outcome.problem.step == "copy"


def test_a_host_that_cannot_unpack_is_told_of_when_the_stream_is_wished(copier: Copier) -> None:
    """The host's failure names the way that needs neither program."""
    copier.lacks = Lacking(copier.lacks.paths, ())
    outcome = copier.bench.deploy(copy=CopyMethod.STREAM)
    assert isinstance(outcome, Failed)
    assert "neither zstd nor gzip" in outcome.reason
    assert "--copy connection" in (outcome.problem.hint or "")
