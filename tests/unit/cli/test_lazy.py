"""Modules that are loaded when they are used first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

PUT_OFF = """
import importlib.util, sys
from orchestrator.cli.lazy import lazily
finders = list(sys.meta_path)
with lazily():
    from orchestrator.core import units
    from orchestrator.inventory import select
    {more}
assert sys.meta_path == finders
def loaded(name):
    return not isinstance(sys.modules[name], importlib.util._LazyModule)
print(loaded("orchestrator.core.units"), loaded("orchestrator.inventory.select"))
print(units.parse_duration("2m"), loaded("orchestrator.core.units"))
print(loaded("orchestrator.inventory.select"))
"""

INTERRUPTED = """
import sys
from orchestrator.cli.lazy import lazily
with lazily():
    from orchestrator.core import units
def interrupted(module):
    raise KeyboardInterrupt
object.__getattribute__(units, "__spec__").loader.exec_module = interrupted
try:
    {use}
except KeyboardInterrupt:
    print("interrupted")
"""


def run(more: str = "") -> subprocess.CompletedProcess[str]:
    """Run the program in a process that has imported nothing."""
    program = (sys.executable, "-c", PUT_OFF.format(more=more))
    return subprocess.run(program, capture_output=True, text=True, check=False)


def test_a_module_is_loaded_when_something_of_it_is_used() -> None:
    """That module and no other; nothing stays behind that would put off later imports."""
    done = run()
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False", "False", "120.0", "True", "False"]


@pytest.mark.parametrize(
    "use", ["units.parse_duration", "from orchestrator.core.units import parse_duration"]
)
def test_who_is_interrupted_while_a_module_is_loaded_is_told_of_no_missing_name(use: str) -> None:
    """Ctrl-C ends the command, and half a module is never gone on with."""
    program = (sys.executable, "-c", INTERRUPTED.format(use=use))
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.stdout == "interrupted\n", done.stderr


def test_a_module_that_is_not_there_is_an_error_at_once() -> None:
    """A slip in a name is found when the file of commands is imported, not when it is used."""
    done = run("from orchestrator.core import no_such_module")
    assert done.returncode != 0
    assert "no_such_module" in done.stderr


def test_the_base_image_is_made_by_a_python_that_has_nothing_of_ours() -> None:
    """On a bare machine the lab's image is begun while our packages are still being installed."""
    program = "import sys; sys.path.insert(0, '.'); from orchestrator.lab import image; print('ok')"
    argv = (sys.executable, "-I", "-S", "-c", program)
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ok\n"
