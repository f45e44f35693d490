"""Labs in temporary folders that are removed at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from lab_bench import Bench

from orchestrator.lab.lab import Lab


@pytest.fixture(scope="module")
def bench_factory(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Bench]]:
    """Make fleets in temporary folders; their labs are removed at the end."""
    benches: list[Bench] = []
    patch = pytest.MonkeyPatch()

    def make(*hosts: str) -> Bench:
        folder = tmp_path_factory.mktemp("bench")
        fleet = folder / "fleet"
        (fleet / "inventory").mkdir(parents=True)
        lines = [f"  {name}:\n    address: {name}.invalid\n" for name in hosts]
        (fleet / "inventory/hosts.yaml").write_text("hosts:\n" + "".join(lines))
        # Read by this process and by the commands that a test starts.
        patch.setenv("ORCHESTRATOR_LAB_HOME", str(tmp_path_factory.getbasetemp() / "labs"))
        lab = Lab.of(fleet)
        benches.append(Bench(lab, lab.places.root))
        return benches[-1]

    yield make
    for bench in benches:
        bench.lab.down(purge=True)
    patch.undo()
