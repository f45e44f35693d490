"""The systemd unit that the documentation gives: what systemd itself says of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/absent-hosts.md"
ORCHESTRATOR = Path(sys.executable).with_name("orchestrator")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    """Each line is known to it; the command is put where this environment has it."""
    (unit,) = re.findall(r"^```ini\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    command = "%h/.local/bin/orchestrator"
    assert command in unit
    file = tmp_path / "orchestrator-watch.service"
    file.write_text(unit.replace(command, str(ORCHESTRATOR)))
    done = subprocess.run(
        ("systemd-analyze", "verify", "--user", "--man=no", str(file)),
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    assert done.stderr == ""
