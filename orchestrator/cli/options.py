"""Options that commands share, as decorators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., object])


def fleet_option(command: _Command) -> _Command:
    """``--fleet DIR``: the fleet's folder, handed on as ``fleet: Path | None``."""
    option = click.option(
        "--fleet",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="The fleet's folder; else $ORCHESTRATOR_FLEET, else the nearest with inventory/.",
    )
    return option(command)


def json_option(command: _Command) -> _Command:
    """``--json``: a result for programs, handed on as ``as_json: bool``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
