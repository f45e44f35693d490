"""Debian packages: a mirror that fails is asked again, a package that is gone is named."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mirror_bench
import pytest
from index_bench import ROOT
from mirror_bench import Mirror


@dataclass(frozen=True)
class Machine:
    """A tree that a real apt installs into, and the one mirror that it knows."""

    root: Path
    mirror: Mirror
    settings: Path

    def install(self, *packages: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        return subprocess.run(
            (ROOT / "scripts/lib/apt-install", *packages),
            env={
                **os.environ,
                "APT_CONFIG": str(self.settings),
                "APT_INSTALL_PAUSE": "0",
                "DPKG_ADMINDIR": str(self.root / "var/lib/dpkg"),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def has(self, package: str) -> bool:
        """Whether a package was installed."""
        return f"Package: {package}\n" in (self.root / "var/lib/dpkg/status").read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """An empty machine beside a mirror with two packages."""
    mirror_bench.publish(("iproute2", "strace"), tmp_path / "mirror", tmp_path / "work")
    root = tmp_path / "root"
    for folder in (
        *("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/apt/lists/partial"),
        *("var/cache/apt/archives/partial", "var/log/apt", "etc/apt/sources.list.d"),
        *("etc/apt/preferences.d", "etc/apt/apt.conf.d", "etc/apt/trusted.gpg.d"),
    ):
        (root / folder).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    settings = tmp_path / "apt.conf"
    settings.write_text(
        f'Dir "{root}/";\n#clear DPkg::Pre-Install-Pkgs;\n#clear DPkg::Post-Invoke;\n'
        "#clear APT::Update::Post-Invoke-Success;\n"
        f'DPkg::Options {{ "--root={root}"; "--force-not-root"; "--log=/dev/null"; }};\n'
        'APT::Sandbox::User "root";\nAcquire::Retries::Delay "false";\n'
    )
    with mirror_bench.served(tmp_path / "mirror") as mirror:
        (root / "etc/apt/sources.list").write_text(f"{mirror.line}\n")
        yield Machine(root, mirror, settings)


def test_what_is_installed_is_told_with_its_version(machine: Machine) -> None:
    """The log's last lines are the record of what came."""
    done = machine.install("strace", "iproute2")
    assert done.returncode == 0, done
    assert done.stdout.splitlines()[-2:] == ["iproute2\t1.0", "strace\t1.0"]


def test_a_mirror_that_fails_for_a_while_is_asked_again(machine: Machine) -> None:
    """A mirror that fails for many attempts ends neither the lists nor the packages."""
    machine.mirror.failures = {"Release": 6, ".deb": 5}
    done = machine.install("strace")
    assert done.returncode == 0, done
    assert machine.has("strace")
    assert machine.mirror.failures == {"Release": 0, ".deb": 0}


def test_a_source_that_is_gone_is_no_hindrance(machine: Machine) -> None:
    """A person's own source may be dead; the packages come from Debian's."""
    (machine.root / "etc/apt/sources.list.d/own.list").write_text(
        f"deb [trusted=yes] {machine.mirror.address}/gone/ nodistro main\n"
    )
    done = machine.install("strace")
    assert done.returncode == 0, done
    assert "not every package list could be fetched" in done.stdout


def test_a_package_that_is_gone_is_named(machine: Machine) -> None:
    """Of the packages only the one that is gone is named, once, with what to do."""
    done = machine.install("strace", "patchelf", "iproute2")
    assert done.returncode == 1
    told = done.stderr[done.stderr.index("error:") :]
    assert told.startswith("error: no source of apt's has a package 'patchelf'")
    assert told.count("error:") == 1
    assert "apt-get install --no-install-recommends strace patchelf iproute2" in told
    assert not machine.has("strace")


def test_a_mirror_that_is_dead_is_told(machine: Machine) -> None:
    """Packages that are known and cannot be fetched are not called renamed."""
    machine.mirror.failures = {".deb": 1000}
    done = machine.install("strace")
    assert done.returncode == 1
    assert "error: apt could not install strace; its own words are above" in done.stderr
    assert "renamed" not in done.stderr
