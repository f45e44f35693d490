"""What NixOS's test driver puts in a script's scope, as far as the scripts here use it.

Names and signatures are those of nixos/lib/test-driver in NixOS 26.11 (`Machine`: QemuMachine).
tests/nix/test_vm.py lints and types each script behind this, as nixpkgs does behind
nixos/lib/test-script-prepend.py when it builds a test.
"""

from contextlib import AbstractContextManager


class Machine:
    """A virtual machine; each command is one of its root's shell, with `set -euo pipefail`."""

    def start(self) -> None:
        """Start it, and do not wait."""

    def shutdown(self) -> None:
        """Shut it down, and wait."""

    def crash(self) -> None:
        """Take its power away."""

    def execute(
        self,
        command: str,
        check_return: bool = True,
        check_output: bool = True,
        timeout: int | None = 900,
    ) -> tuple[int, str]:
        """Run a command; return its exit code and standard output."""
        raise NotImplementedError

    def succeed(self, *commands: str, timeout: int | None = None) -> str:
        """Run commands that must end with 0; return their standard output."""
        raise NotImplementedError

    def wait_until_succeeds(self, command: str, timeout: int = 900) -> str:
        """Run a command each second until it ends with 0."""
        raise NotImplementedError

    def wait_until_fails(self, command: str, timeout: int = 900) -> str:
        """Run a command each second until it does not."""
        raise NotImplementedError

    def wait_for_unit(self, unit: str, user: str | None = None, timeout: int = 900) -> None:
        """Wait until a unit is active."""

    def wait_for_file(self, filename: str, timeout: int = 900) -> None:
        """Wait until there is a file."""

    def wait_for_open_port(self, port: int, addr: str = "localhost", timeout: int = 900) -> None:
        """Wait until somebody listens."""


def start_all() -> None:
    """Start every machine, and do not wait."""


def subtest(name: str) -> AbstractContextManager[None]:
    """Name what is done in it, in the test's log."""
    raise NotImplementedError
