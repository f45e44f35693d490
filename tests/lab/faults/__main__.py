"""``just fault-test``: play cases, all or some, or a random campaign; and write the table."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

from tests.lab.faults import suite, table
from tests.lab.faults.campaign import command
from tests.lab.faults.play import Result

PAGE = Path(__file__).parents[3] / "docs/reliability.md"


def main() -> int:
    """Do what the command line says; 1 where anything was not as it must be."""
    given = _parser().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if given.list:
        _say(*suite.CASES)
        return 0
    try:
        cases = suite.matching(given.cases or ["*"])
    except ValueError as error:
        _say(f"error: {error}")
        return 2
    with tempfile.TemporaryDirectory(prefix="fault-labs-") as labs:
        os.environ["ORCHESTRATOR_LAB_HOME"] = labs
        if given.campaign:
            return command.run(given, Path(labs), PAGE, _say)
        results = suite.run_all(
            cases, given.hosts, lambda result: _tell(result, given.keep), given.nixpkgs
        )
    if given.keep:
        results = table.kept(given.keep)
    if given.write:
        table.write(PAGE, results)
    bad = sorted(f"{result.fault}@{result.phase}" for result in results if result.wrong)
    _say(f"{len(results)} cases, {len(bad)} not as they must be{':' if bad else ''}", *bad)
    return 1 if bad else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="just fault-test",
        description="Bring faults into deployments to a lab host, and judge what came of each.",
        epilog="As root. A case is FAULT@PHASE; quote patterns: just fault-test 'power-cut@*'",
    )
    parser.add_argument("cases", nargs="*", metavar="CASE", help="all where none is named")
    parser.add_argument("--list", action="store_true", help="name all cases and end")
    parser.add_argument("--hosts", type=int, default=2, help="how many at the same time")
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.name}")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="add to the results in FILE")
    parser.add_argument(
        "--nixpkgs",
        metavar="FLAKEREF",
        default="",
        help="build the hosts by it, as lab up --nixpkgs does; some doors are Debian's alone",
    )
    command.add_options(parser)
    return parser


def _tell(result: Result, keep: Path | None) -> None:
    if keep:
        table.keep(keep, result)
    name = f"{result.fault}@{result.phase}"
    said = result.outcome or "killed"
    _say(f"{result.seconds:5.1f} s  {name:38} {result.end:10} {said:12} told by {result.told}")
    _say(*(f"         wrong: {line}" for line in result.wrong))


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # labs are ended by now
        sys.exit(130)
