"""What a report of nixos-facter beside a host gives its entry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.init.model import NewHost, Said
from orchestrator.init.reports import with_hardware
from orchestrator.init.write import entry_of

REPORT = {
    "version": 1,
    "virtualisation": "none",
    "hardware": {
        "cpu": [{"vendor_name": "AuthenticAMD"}],
        "graphics_card": [{"vendor": {"hex": "10de"}}],
    },
}
HOST = NewHost("web1", "web1", {"address": Said("web1", "its name")})


@pytest.mark.parametrize(
    "file",
    ["hosts/web1/facter.json", "machines/web1/facter.json", "web1/facter.json", "facter/web1.json"],
)
def test_a_report_beside_a_host_proposes_its_hardware(tmp_path: Path, file: str) -> None:
    """The entry has the vendors, and a comment that names the report."""
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(json.dumps(REPORT))
    (found,) = with_hardware(tmp_path, [HOST])
    assert entry_of(found).endswith(f"    hardware: {{cpu: amd, gpu: nvidia}} # {file}\n")


@pytest.mark.parametrize("text", ["", "{}", json.dumps({**REPORT, "virtualisation": "docker"})])
def test_a_report_that_says_nothing_changes_nothing(tmp_path: Path, text: str) -> None:
    """What is no report, and one of a container, propose nothing."""
    (tmp_path / "hosts/web1").mkdir(parents=True)
    (tmp_path / "hosts/web1/facter.json").write_text(text)
    assert with_hardware(tmp_path, [HOST]) == (HOST,)


def test_a_link_out_of_the_fleet_is_not_read(tmp_path: Path) -> None:
    """A report that is a link to a file elsewhere is none."""
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    (tmp_path / "fleet/hosts/web1").mkdir(parents=True)
    (tmp_path / "fleet/hosts/web1/facter.json").symlink_to(tmp_path / "report.json")
    assert with_hardware(tmp_path / "fleet", [HOST]) == (HOST,)
