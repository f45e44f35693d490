"""A person's own commands on hosts: on real sockets, over our sessions and no others."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest

from orchestrator.core.bounds import Bound
from orchestrator.core.errors import UnreachableError
from orchestrator.core.host import Connect, Deadlines, Fleet, Host
from orchestrator.host import draw_execute
from orchestrator.host import execute as host_execute
from orchestrator.host.draw_execute import JsonLines, LiveLines, draw_summary
from orchestrator.host.execute import ExecRequest, ExecResult, ExecStatus, execute
from orchestrator.host.setup import Setup
from orchestrator.nix.verbs import Flake
from orchestrator.render.output import Output
from orchestrator.ssh.settings import SshSettings

LOCAL = "127.0.0.1"


@pytest.fixture(autouse=True)
def _no_paramiko(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is done here, no connection of paramiko's is made."""

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("paramiko opened a connection")

    monkeypatch.setattr(paramiko.Transport, "__init__", opened)
    monkeypatch.setattr(paramiko.SSHClient, "connect", opened)
    monkeypatch.setattr(paramiko.SSHClient, "__init__", opened)


async def pump(source: Any, sink: Any) -> None:
    """Move bytes until the source ends."""
    while data := await source.read(1 << 16):
        sink.write(data)
        await sink.drain()
    if isinstance(sink, asyncio.StreamWriter):  # the server's own end by its exit
        sink.close()


@dataclass
class Hosts:
    """A server that stands for hosts: each command runs here, in a group of its own."""

    folder: Path
    clients: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    forwarded: list[bool] = field(default_factory=list)
    children: list[asyncio.subprocess.Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        user = asyncssh.generate_private_key("ssh-ed25519")
        user.write_private_key(str(self.folder / "id"))
        (self.folder / "config").touch()
        self.user = user.export_public_key().decode()

    @contextlib.contextmanager
    def served(self) -> Iterator[int]:
        """Listen in a thread, and give the port."""
        ready, over = threading.Event(), asyncio.Event()
        found: list[tuple[int, asyncio.AbstractEventLoop]] = []

        async def serve() -> None:
            acceptor = await asyncssh.listen(
                LOCAL,
                0,
                server_host_keys=[self.key],
                authorized_client_keys=asyncssh.import_authorized_keys(self.user),
                process_factory=self._handle,
                encoding=None,
                agent_forwarding=True,
            )
            async with acceptor:
                found.append((acceptor.get_port(), asyncio.get_running_loop()))
                ready.set()
                await over.wait()
                for child in self.children:
                    child._transport.close()  # type: ignore[attr-defined]

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        assert ready.wait(30)
        port, loop = found[0]
        self.known(self.key, port)
        try:
            yield port
        finally:
            for child in self.children:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
            loop.call_soon_threadsafe(over.set)
            thread.join()

    def known(self, key: asyncssh.SSHKey, port: int) -> None:
        """Have one key known for the server."""
        line = f"[{LOCAL}]:{port} {key.export_public_key().decode()}"
        (self.folder / "known_hosts").write_text(line)

    async def _handle(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        version = process.channel.get_extra_info("client_version")
        self.clients.append(str(version))
        self.commands.append(process.command or "")
        self.forwarded.append(process.channel.get_agent_path() is not None)
        if "hang-up" in self.commands[-1]:
            await asyncio.sleep(0.3)
            process.channel.get_connection().abort()
            return
        child = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", process.command or "exec sh"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self.children.append(child)
        up = asyncio.create_task(pump(process.stdin, child.stdin))
        # A client that leaves is no mistake of a server's; as with OpenSSH, the command goes on.
        with contextlib.suppress(OSError, asyncssh.Error):
            down = pump(child.stdout, process.stdout), pump(child.stderr, process.stderr)
            await asyncio.gather(*down)
            process.exit(await child.wait() % 256)
        up.cancel()

    def setup(self, *ports: int) -> Setup:
        """A fleet of hosts ``h0``, ``h1`` and so on behind ports."""
        hosts = {
            f"h{number}": Host(
                f"h{number}",
                f"h{number}",
                Connect(LOCAL, "root", port, identity=str(self.folder / "id")),
                deadlines=Deadlines(connect=10),
            )
            for number, port in enumerate(ports)
        }
        fleet = Fleet("fleet", str(self.folder), str(self.folder), hosts)
        files = (str(self.folder / name) for name in ("config", "known_hosts"))
        return Setup(
            fleet,
            Flake(str(self.folder), str(self.folder)),
            SshSettings(*files),
            self.folder / "state",
        )


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    """Nobody's own files are looked at."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return Hosts(tmp_path)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a command, and what a person saw."""

    results: tuple[ExecResult, ...]
    interrupted: bool
    out: str
    err: str

    @property
    def statuses(self) -> list[ExecStatus]:
        """What came of it on each host."""
        return [one.status for one in self.results]


def run(setup: Setup, *argv: str, as_json: bool = False, **request: object) -> Done:
    """Run a command on all hosts of a fleet."""
    out, err = io.StringIO(), io.StringIO()
    results, words = Output(out), Output(err)
    output = (
        JsonLines(results, words) if as_json else LiveLines(list(setup.fleet.hosts), results, words)
    )
    done, interrupted = execute(
        setup,
        tuple(setup.fleet.hosts.values()),
        ExecRequest(argv, **request),
        output,  # type: ignore[arg-type]
    )
    draw_summary(done, words)
    return Done(done, interrupted, out.getvalue(), err.getvalue())


def test_each_line_bears_its_hosts_name(hosts: Hosts) -> None:
    """Standard output on ours, standard error on ours, and nothing else of our own among it."""
    with hosts.served() as port:
        done = run(hosts.setup(port, port), "sh", "-c", "echo out; echo oh >&2; printf last")
    assert done.statuses == [ExecStatus.SUCCEEDED] * 2
    assert sorted(done.out.splitlines()) == ["h0 | last", "h0 | out", "h1 | last", "h1 | out"]
    assert sorted(done.err.splitlines()) == ["2 hosts: 2 succeeded", "h0 | oh", "h1 | oh"]


def test_arguments_arrive_as_they_are(hosts: Hosts) -> None:
    """No shell reads them: neither the login shell nor the one that says which process it is."""
    nasty = ("a b", "$(id)", "`id`", "'\"", "*", "", "-n", ";", "é", "~", "#", "--", "$1")
    with hosts.served() as port:
        done = run(hosts.setup(port), "printf", r"%s\n", *nasty, as_json=True)
    assert json.loads(done.out)["stdout"] == "".join(f"{one}\n" for one in nasty)


def test_a_terminal_is_not_controlled_by_what_a_host_prints(hosts: Hosts) -> None:
    """Escapes are left out of lines; JSON has them escaped."""
    with hosts.served() as port:
        setup = hosts.setup(port)
        evil = ("printf", r"\033]0;owned\007\033[2Jplain\rX\n")
        assert run(setup, *evil).out == "h0 | plain X\n"
        said = run(setup, *evil, as_json=True).out
    assert "\x1b" not in said
    assert json.loads(said)["stdout"] == "\x1b]0;owned\x07\x1b[2Jplain\rX\n"


def test_the_shape_of_json_is_the_documented_one(hosts: Hosts) -> None:
    """One object a host and line; both streams, the code, and how long it took."""
    with hosts.served() as port, socket.socket() as nobody:
        nobody.bind((LOCAL, 0))
        setup = hosts.setup(port, nobody.getsockname()[1])
        done = run(setup, "sh", "-c", "echo out; echo oh >&2; exit 3", as_json=True)
    said = {one["host"]: one for one in map(json.loads, done.out.splitlines())}
    seconds = said["h0"].pop("seconds")
    assert isinstance(seconds, float)
    assert said["h0"] == {
        "host": "h0",
        "status": "failed",
        "exit_code": 3,
        "stdout": "out\n",
        "stderr": "oh\n",
        "may_still_run": False,
        "error": None,
    }
    assert (said["h1"]["status"], said["h1"]["exit_code"]) == ("unreachable", None)
    assert "no SSH connection" in said["h1"]["error"]["message"]


def test_only_our_own_client_is_seen_and_no_agent_is_forwarded(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server sees asyncssh's name, never paramiko's; ``ForwardAgent yes`` forwards none."""
    (hosts.folder / "config").write_text("Host *\n  ForwardAgent yes\n")
    with hosts.served() as port:
        assert run(hosts.setup(port), "true").statuses == [ExecStatus.SUCCEEDED]
    assert hosts.forwarded == [False]
    assert all("AsyncSSH" in client for client in hosts.clients)


def test_a_host_whose_key_is_another_one_runs_nothing(hosts: Hosts) -> None:
    """A host with another key runs nothing and fails with the reason, and others go on."""
    with hosts.served() as port:
        hosts.known(asyncssh.generate_private_key("ssh-ed25519"), port)
        done = run(hosts.setup(port), "true")
    assert done.statuses == [ExecStatus.FAILED]
    assert "host key" in done.err
    assert hosts.commands == []


def test_a_command_that_is_not_there_is_told_as_such(hosts: Hosts) -> None:
    """A command that the host lacks, exit code 127, is reported in words."""
    with hosts.served() as port:
        done = run(hosts.setup(port), "no-such-command")
    assert done.results[0].exit_code == 127
    assert "error: host 'h0': the command was not found (exit 127)" in done.err


def test_a_command_is_given_no_input(hosts: Hosts) -> None:
    """A command sees the end of its input at once, whatever this process reads."""
    with hosts.served() as port:
        assert run(hosts.setup(port), "cat", timeout=20.0).statuses == [ExecStatus.SUCCEEDED]


def is_there(pid: str) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path("/proc", pid.strip(), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_command_whose_time_is_over_is_ended_on_its_host(hosts: Hosts) -> None:
    """With what it started; and it is said that it was ended."""
    text = f"sleep 600 & echo $! > {hosts.folder}/pid; wait"
    with hosts.served() as port:
        done = run(hosts.setup(port), "sh", "-c", text, timeout=1.0)
    assert done.statuses == [ExecStatus.TIMED_OUT]
    assert "it did not end within 1 s" in done.err
    assert not is_there((hosts.folder / "pid").read_text())
    assert "may still run" not in done.err


def test_a_command_that_refuses_to_end_is_said_to_go_on(hosts: Hosts) -> None:
    """A command that refuses to end is not killed, and a warning names its host."""
    text = f"trap '' TERM; echo $$ > {hosts.folder}/pid; while :; do sleep 0.1; done"
    with hosts.served() as port:
        done = run(hosts.setup(port), "sh", "-c", text, timeout=0.5)
        pid = int((hosts.folder / "pid").read_text())
        os.killpg(os.getpgid(pid), signal.SIGKILL)
    assert done.results[0].may_run
    assert "warning: host 'h0': the command may still run there" in done.err


@contextlib.contextmanager
def handled(number: signal.Signals) -> Iterator[None]:
    """Have a signal be a key, though whoever started this may ignore it."""
    before = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def test_ctrl_c_ends_what_runs_and_begins_nothing_more(
    hosts: Hosts,
) -> None:
    """One runs, another waits for its turn: the first is ended, the second never begins."""
    text = f"echo $$ > {hosts.folder}/pid; exec sleep 600"
    pid = hosts.folder / "pid"

    def press() -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until and not (pid.exists() and pid.read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    with hosts.served() as port, handled(signal.SIGINT):
        keys = threading.Thread(target=press)
        keys.start()
        done = run(hosts.setup(port, port), "sh", "-c", text, jobs=1)
        keys.join()
    assert done.interrupted
    assert done.statuses == [ExecStatus.INTERRUPTED, ExecStatus.NOT_RUN]
    assert "2 hosts: 1 interrupted, 1 not run" in done.err
    assert not is_there(pid.read_text())
    assert "stopping" in done.err


def test_a_lost_connection_is_unreachable_and_the_command_may_run(hosts: Hosts) -> None:
    """After a lost connection the host is unreachable, and its command may still run."""
    with hosts.served() as port:
        done = run(hosts.setup(port), "hang-up")
    (result,) = done.results
    assert result.status is ExecStatus.UNREACHABLE
    assert isinstance(result.error, UnreachableError)
    assert "the connection was lost" in done.err


def test_more_output_than_is_kept_fails_that_host(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In JSON it is kept, so it is bounded; the command is ended there. Lines have no bound."""
    monkeypatch.setattr(draw_execute, "ANSWER", Bound(1 << 20, 1 << 20))
    with hosts.served() as port:
        done = run(hosts.setup(port), "sh", "-c", "yes | head -c 3000000; sleep 600", as_json=True)
    said = json.loads(done.out)
    assert said["status"] == "failed"
    assert "printed more than 1 MiB" in said["error"]["message"]
    assert not said["may_still_run"]


def test_a_persons_own_settings_of_fabric_change_nothing(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``~/.invoke.yaml``, ``~/.fabric.yaml`` and the environment: dry runs, terminals, echoes."""
    home = hosts.folder / "home"
    home.mkdir()
    for name in (".invoke.yaml", ".fabric.yaml"):
        (home / name).write_text("run: {dry: true, pty: true, echo: true}\n")
    monkeypatch.setenv("INVOKE_RUN_DRY", "1")
    with hosts.served() as port:
        assert run(hosts.setup(port), "echo", "ran").out == "h0 | ran\n"


def test_no_more_hosts_at_a_time_than_wanted(hosts: Hosts) -> None:
    """Each command notes who is there beside it."""
    folder = hosts.folder / "there"
    folder.mkdir()
    text = f"touch {folder}/$$; ls {folder} | wc -l; sleep 0.2; rm {folder}/$$"
    with hosts.served() as port:
        done = run(hosts.setup(*[port] * 5), "sh", "-c", text, jobs=2)
    assert max(int(line.split("|")[1]) for line in done.out.splitlines()) <= 2


def test_the_word_of_the_process_may_come_in_pieces() -> None:
    """The process's word may come in pieces, after a greeting of a login shell's."""
    taken = io.BytesIO()
    announced = host_execute._Announced(taken)
    for byte in b"hello\n" + announced.word + b" 42 41\nrest":
        announced.write(bytes([byte]))
    announced.end()
    assert announced.process == (42, 41)
    assert taken.getvalue() == b"hello\nrest"


@pytest.mark.parametrize("said", [b"1 1", b"42", b"x y", b"-1 5", b"42 0", b"9" * 30 + b" 5"])
def test_a_process_that_is_none_is_never_ended(said: bytes) -> None:
    """Numbers that are no process's, such as 1 or everybody's -1, are not taken for one."""
    announced = host_execute._Announced(io.BytesIO())
    announced.write(announced.word + b" " + said + b"\n")
    assert announced.process is None
