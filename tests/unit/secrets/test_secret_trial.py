"""What a host says of its keys and its secrets, asked by this machine's shells with a real age."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.process import CommandResult
from orchestrator.secrets.on_host import ask_identities, try_to_open

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]
AGE = shutil.which("age")

needs_age = pytest.mark.skipif(AGE is None, reason="there is no age")


@dataclass
class Machine:
    """This machine as a host, by one shell."""

    shell: tuple[str, ...]
    last: CommandResult | None = None

    async def run(
        self, argv: Sequence[str], *, deadline: float, root: bool = True, stdin: bytes = b""
    ) -> CommandResult:
        """Run a script."""
        assert root
        shell, *rest = argv
        assert shell == "/bin/sh"
        self.last = await process.run((*self.shell, *rest), deadline=deadline, stdin=stdin)
        return self.last

    def repeat(self, argv: Sequence[str]) -> str:
        """By hand."""
        return " ".join(argv)

    @property
    def executor(self) -> Executor:
        """The machine, as what is asked."""
        return cast("Executor", self)


@pytest.fixture(params=SHELLS)
def machine(request: pytest.FixtureRequest) -> Machine:
    """Take each shell that is here."""
    return Machine((request.param, "sh") if request.param == "busybox" else (request.param,))


def key(path: Path, *, kind: str = "ed25519", passphrase: str = "") -> str:
    """Make a key; its public half without the comment."""
    argv = ("ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path))
    subprocess.run(argv, check=True)
    return " ".join(Path(f"{path}.pub").read_text().split()[:2])


def encrypted(path: Path, recipient: str, value: bytes = b"the value") -> str:
    """Encrypt to one recipient."""
    assert AGE is not None
    subprocess.run((AGE, "-r", recipient, "-o", str(path)), input=value, check=True)
    return str(path)


def test_a_host_tells_the_public_halves_of_its_keys(machine: Machine, tmp_path: Path) -> None:
    """In order; what is not there, is empty, asks for a passphrase or is no SSH key is told too."""
    public = key(tmp_path / "a key")
    key(tmp_path / "locked", passphrase="locked")
    (tmp_path / "empty").touch()
    (tmp_path / "native").write_text("AGE-SECRET-KEY-1QQQQ\n")
    (tmp_path / "native").chmod(0o600)
    names = ("missing", "a key", "locked", "empty", "native", "$(id)")
    paths = [str(tmp_path / name) for name in names]
    found = asyncio.run(ask_identities(machine.executor, paths))
    assert [one.path for one in found] == paths
    assert [one.there for one in found] == [False, True, True, False, True, False]
    assert [one.public.text if one.public else None for one in found] == [
        *(None, public),
        *[None] * 4,
    ]
    assert asyncio.run(ask_identities(machine.executor, ())) == ()


@needs_age
def test_each_file_is_opened_for_nothing(machine: Machine, tmp_path: Path) -> None:
    """Each file is tried with every key there, with the reason it fails and no plaintext."""
    assert AGE is not None
    mine, other = key(tmp_path / "key"), key(tmp_path / "other")
    right = encrypted(tmp_path / "right one.age", mine)
    wrong = encrypted(tmp_path / "wrong.age", other)
    damaged = tmp_path / "damaged.age"
    data = Path(right).read_bytes()
    damaged.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    gone = str(tmp_path / "$(touch spliced)")
    identities = [str(tmp_path / "missing"), str(tmp_path / "key")]
    files = [right, wrong, str(damaged), gone, right]
    found = asyncio.run(try_to_open(machine.executor, AGE, identities, files))
    assert [one.file for one in found] == files
    assert [one.error is None for one in found] == [True, False, False, False, True]
    assert "no identity matched" in str(found[1].error)
    assert "failed to decrypt" in str(found[2].error)
    assert "no such file" in str(found[3].error)
    assert machine.last is not None
    assert "the value" not in machine.last.out + machine.last.err


@needs_age
def test_a_host_without_a_key_opens_nothing(machine: Machine, tmp_path: Path) -> None:
    """A host without a key opens nothing, and asks nobody for a passphrase."""
    assert AGE is not None
    file = encrypted(tmp_path / "one.age", key(tmp_path / "key"))
    (found,) = asyncio.run(try_to_open(machine.executor, AGE, [], [file]))
    assert found.error


@needs_age
def test_the_program_may_be_words_of_the_shell(machine: Machine, tmp_path: Path) -> None:
    """The age program may be words of the shell, as where a plugin is put on its path."""
    assert AGE is not None
    program = tmp_path / "age-with-plugin"
    program.write_text('#!/bin/sh\ncommand -v plugin > /dev/null && exec "$AGE" "$@"\n')
    plugin = tmp_path / "plugins" / "plugin"
    plugin.parent.mkdir()
    plugin.write_text("#!/bin/sh\n")
    for file in (program, plugin):
        file.chmod(0o755)
    words = f"AGE={AGE} PATH=$PATH:{plugin.parent} {program}"
    secret = encrypted(tmp_path / "a $b.age", key(tmp_path / "key"))
    identities = [str(tmp_path / "key")]
    (found,) = asyncio.run(try_to_open(machine.executor, words, identities, [secret]))
    assert found.error is None


def test_an_age_that_is_not_there(machine: Machine) -> None:
    """An ``age`` program that the host lacks is an error that names its path, for each file."""
    found = asyncio.run(try_to_open(machine.executor, "/nowhere/age", [], ["/a", "/b"]))
    assert [one.file for one in found] == ["/a", "/b"]
    assert all("/nowhere/age" in str(one.error) for one in found)


def test_an_answer_that_stops_short_is_an_error(machine: Machine) -> None:
    """Nothing is taken for proved that was not said."""
    cut = Machine((*machine.shell, "-c", "echo opened=yes"))
    with pytest.raises(StepError, match="did not say"):
        asyncio.run(try_to_open(cut.executor, "/age", [], ["/a"]))
