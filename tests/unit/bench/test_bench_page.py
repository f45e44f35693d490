"""The page of measurements has a part for each benchmark, and the runner runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.benchmark import Benchmark, Options, part
from tests.bench.document import replace
from tests.bench.registry import BENCHMARKS
from tests.bench.table import Table

ROOT = Path(__file__).parents[3]
OPTIONS = Options(None, 1, quick=True)


@pytest.mark.parametrize("name", [benchmark.name for benchmark in BENCHMARKS])
def test_each_benchmark_has_its_part_of_the_page(name: str) -> None:
    """Else a run of hours would end without a place for its figures."""
    replace((ROOT / "docs/performance.md").read_text(), name, "")


def test_what_cannot_run_says_why() -> None:
    """A part is never left as if it were measured."""

    async def never(_: Options) -> list[tuple[str, Table]]:
        raise AssertionError

    text, ran = part(Benchmark("x", never, lambda _: "no Nix on the PATH"), OPTIONS)
    assert (text, ran) == ("Not run: no Nix on the PATH.", True)


def test_a_benchmark_that_breaks_is_said_to(capsys: pytest.CaptureFixture[str]) -> None:
    """In the page in a line, on the terminal whole; and the command fails."""

    async def broken(_: Options) -> list[tuple[str, Table]]:
        raise OSError("no lab today")

    text, ran = part(Benchmark("x", broken), OPTIONS)
    assert text.startswith("Not run: OSError: no lab today")
    assert not ran
    assert "Traceback" in capsys.readouterr().err


def test_the_command_measures_and_leaves_the_page_alone() -> None:
    """The smallest run of all: nothing is asserted of its times."""
    page = ROOT / "docs/performance.md"
    before = page.read_text()
    done = subprocess.run(
        (sys.executable, "-m", "tests.bench", "--quick", "--only", "check"),
        cwd=ROOT,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "| 5 | " in done.stdout
    assert "failed" not in done.stdout
    assert page.read_text() == before
