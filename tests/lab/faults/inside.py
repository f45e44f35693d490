"""Asking a host by the lab's own way: through its namespaces, be its network cut or it frozen."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from orchestrator.lab.lab import Lab

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin"


@dataclass(frozen=True, slots=True)
class Inside:
    """A host as its own root sees it, without SSH."""

    lab: Lab
    name: str

    @property
    def on(self) -> bool:
        """Whether the host has power and its PID 1 is there."""
        return self.lab.host(self.name).leader is not None

    def sh(self, script: str, *arguments: str, seconds: float = 20) -> str:
        """Run a shell script as root on the host and return what it says.

        Raises:
            AssertionError: It failed, or the host is off.
        """
        leader = self.lab.host(self.name).leader
        assert leader is not None, f"{self.name} is off"
        done = subprocess.run(
            (
                *("nsenter", f"--target={leader}", "--all", "--"),
                *("env", "-i", f"PATH={_PATH}", "sh", "-c", script, "sh", *arguments),
            ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, f"on {self.name}: {script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def has(self, path: str) -> bool:
        """Whether there is such a file on the host; never so on one that is off."""
        if not self.on:
            return False
        return self.sh('if [ -e "$1" ]; then echo yes; fi', path).strip() == "yes"

    def login(self, user: str) -> str | None:
        """Log in with the deployer's key over the network; give what went wrong, or nothing."""
        keeper = self.lab.network.require()
        done = subprocess.run(
            (
                *("nsenter", f"--net=/proc/{keeper}/ns/net", "--"),
                *("ssh", "-F", str(self.lab.places.ssh_config), "-o", "ConnectTimeout=10"),
                *("-l", user, self.name, "sudo -n true"),
            ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return None if done.returncode == 0 else done.stderr.strip() or f"exit {done.returncode}"
