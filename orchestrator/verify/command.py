"""The command line that runs suites: pytest, and nothing of the fleet's own pytest set-up."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from orchestrator.verify.spec import VARIABLE

_OPTIONS = (
    "--quiet",
    "--no-header",
    "--tb=short",
    "--color=no",
    # The fleet's own pytest.ini, pyproject.toml and conftest.py are about its other tests.
    "-c",
    os.devnull,
    "--noconftest",
    # Suites of the same name in two folders get along.
    "--import-mode=importlib",
    # One broken suite is a failure; the others still say what they see.
    "--continue-on-collection-errors",
    "-p",
    "orchestrator.verify.plugin",
)

# Parts of pytest that a suite does not need and that cost start-up time or write files.
_LEFT_OUT = (
    "cacheprovider",
    "junitxml",
    "pastebin",
    "doctest",
    "unittest",
    "faulthandler",
    "stepwise",
)


def command(suites: Sequence[Path], root: Path, folder: Path, spec: Path) -> tuple[str, ...]:
    """Build the argv that runs suites.

    It starts with ``env -i``: a suite needs nothing of our environment, no agent and no tokens.

    Args:
        suites: Test files or folders.
        root: What the checks' names are relative to.
        folder: A private folder for what the suites write.
        spec: What ``spec.Spec.write`` wrote.
    """
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "TMPDIR": str(folder),
        # Not an interpreter's own search: we may have been started by a wrapper that set it.
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        VARIABLE: str(spec),
    }
    without = [part for name in _LEFT_OUT for part in ("-p", f"no:{name}")]
    return (
        *("env", "-i", *(f"{key}={value}" for key, value in env.items())),
        *(sys.executable, "-P", "-s", "-m", "pytest", *_OPTIONS, *without),
        *("--rootdir", str(root), *(str(suite) for suite in suites)),
    )
