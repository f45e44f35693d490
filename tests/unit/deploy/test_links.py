"""What was measured, kept between runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.core.run import CopyMethod, Sample
from orchestrator.deploy.copy.links import KEPT, Links

NOW = datetime(2024, 5, 6, tzinfo=UTC)
STREAM = Sample(NOW, CopyMethod.STREAM, 900, 400, 1.5, 0.02)
PROBE = Sample(NOW + timedelta(1), None, 0, 65536, 0.5, 0.03)


def test_samples_outlive_the_run(tmp_path: Path) -> None:
    """Each host has its own, oldest first, as they were."""
    file = tmp_path / "state/links.json"
    for host, sample in (("p620", STREAM), ("razer", PROBE), ("p620", PROBE)):
        links = Links(file)
        links.add(host, sample)
        links.save()
    assert Links(file).of("p620") == (STREAM, PROBE)
    assert Links(file).of("razer") == (PROBE,)
    assert Links(file).of("samsung") == ()


def test_two_runs_at_a_time_keep_each_others_hosts(tmp_path: Path) -> None:
    """Who saves last adds its own hosts to what the other has saved meanwhile."""
    one, other = Links(tmp_path / "links.json"), Links(tmp_path / "links.json")
    one.add("p620", STREAM)
    other.add("razer", PROBE)
    one.save()
    other.save()
    assert Links(tmp_path / "links.json").of("p620") == (STREAM,)
    assert Links(tmp_path / "links.json").of("razer") == (PROBE,)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    """The file does not grow for ever."""
    links = Links(tmp_path / "links.json")
    for _ in range(KEPT):
        links.add("p620", STREAM)
    links.add("p620", PROBE)
    assert len(links.of("p620")) == KEPT
    assert links.of("p620")[-1] == PROBE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 0, "hosts": {"p620": []}}',
        '{"version": 1, "hosts": []}',
        '{"version": 1, "hosts": {"p620": [{"at": "yesterday"}]}}',
        '{"version": 1, "hosts": {"p620": 7}}',
    ],
)
def test_a_damaged_file_only_means_that_nothing_is_known(tmp_path: Path, text: str) -> None:
    """Nothing is known then, and the next sample makes it good."""
    file = tmp_path / "links.json"
    file.write_text(text)
    assert Links(file).of("p620") == ()
    links = Links(file)
    links.add("p620", STREAM)
    links.save()
    assert Links(file).of("p620") == (STREAM,)


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    """What cannot be kept is not known next time."""
    (tmp_path / "file").write_text("")
    links = Links(tmp_path / "file/links.json")
    links.add("p620", STREAM)
    links.save()
    assert Links(tmp_path / "file/links.json").of("p620") == ()
