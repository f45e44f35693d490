"""A ``secrets.nix`` that is tried is gone afterwards, also where the process was killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from secret_bench import Bench

from orchestrator.core.errors import StepError
from orchestrator.secrets.files.rules import candidate, sweep
from orchestrator.secrets.sealing import remove_leftovers


def _killed_while_trying(file: Path) -> None:
    """Be killed while Nix would read it."""
    child = os.fork()
    if child == 0:
        with candidate(file, b"{ }"):
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def test_it_is_there_while_it_is_tried_and_no_longer(tmp_path: Path) -> None:
    """Whole, beside ``secrets.nix``; gone however the trial ends."""
    with candidate(tmp_path / "secrets.nix", "{ ä }".encode()) as tried:
        assert tried.read_text() == "{ ä }"
        assert tried.parent == tmp_path
    with pytest.raises(KeyError), candidate(tmp_path / "secrets.nix", b"{ }"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_recover_removes_what_a_killed_create_left(tmp_path: Path) -> None:
    """`recover` removes what a killed create left, and no work in progress, link or the like."""
    bench = Bench(tmp_path)
    before = bench.content()
    place = bench.vault().place
    _killed_while_trying(place.file)
    (left,) = set(bench.content()) - set(before)
    (bench.root / ".orchestrator-mine.nix").write_text("a person's")
    (bench.root / ".orchestrator-00000000.nix").symlink_to(place.file)
    with candidate(place.file, b"{ }") as at_work:
        assert remove_leftovers(place) == (left,)
        assert at_work.exists()
    assert sweep(bench.root) == ()
    (bench.root / ".orchestrator-00000000.nix").unlink()
    assert bench.content() == {**before, ".orchestrator-mine.nix": b"a person's"}


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A folder that cannot be written is a failed step, and not a bug."""
    file = tmp_path / "gone" / "secrets.nix"
    with pytest.raises(StepError, match="no rule can be tried"), candidate(file, b"{ }"):
        pass
