"""Which way is taken to a host: the one that ssh takes, as the same user, whatever a file says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from orchestrator.core.errors import StepError
from orchestrator.core.host import Connect, Deadlines, Host
from orchestrator.ssh.connect import connected
from orchestrator.ssh.proxy import ProxyCommand
from orchestrator.ssh.running import said_by
from orchestrator.ssh.settings import SshSettings

ME = pwd.getpwuid(os.getuid()).pw_name
RELAY = Path(__file__).parents[2] / "trust" / "relay.pl"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of one's own, without an agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir(mode=0o700)
    return tmp_path


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What asyncssh is told to connect to, hop by hop; nothing is contacted."""
    found: list[str] = []

    @contextlib.asynccontextmanager
    async def connect(host: str, port: object = (), **given: object) -> object:
        options = asyncssh.SSHClientConnectionOptions(
            host=host, **({"port": port} if port else {}), **given
        )
        text = f"{options.username}@{options.host.lower()}:{options.port}"
        tunnel = given["tunnel"]
        by = f" by {' '.join(tunnel.argv[2:])}" if isinstance(tunnel, ProxyCommand) else ""
        found.append(f"{text}{by}")
        yield None

    monkeypatch.setattr(asyncssh, "connect", connect)
    return found


def reach(config: Path, address: str, **more: object) -> None:
    """Connect to a host and let go of it."""

    async def reaching() -> None:
        target = Connect(address, **more)  # type: ignore[arg-type]
        host = Host("h", "h", target, deadlines=Deadlines(connect=20))
        async with connected(host, SshSettings(config=str(config))):
            pass

    asyncio.run(reaching())


CASES = {
    "comment-after-host": (
        "Host web1 # old web2\n User root\n ProxyCommand nc gate 22\nHost *\n User u\n",
        {"web1": "root@web1:22 by exec nc gate 22", "web2": "u@web2:22"},
    ),
    "comment-after-value": (
        "Host web1\n HostName 10.0.0.1 # rack 3\n User a # b\n",
        {"web1": "a@10.0.0.1:22", "web2": f"{ME}@web2:22"},
    ),
    "command-before-jump": (
        "Host bastion\n ProxyJump none\nHost web1\n ProxyCommand nc -X 5 %h %p\n"
        "Host *\n User u\n ProxyJump bastion\n",
        {"web1": "u@web1:22 by exec nc -X 5 web1 22", "web2": "u@bastion:22 u@web2:22"},
    ),
    "command-none-before-jump": (
        "Host bastion\n ProxyCommand none\nHost *\n User u\n ProxyJump bastion\n",
        {"bastion": "u@bastion:22"},
    ),
    "exec-with-tokens": (
        'Match exec "echo %n | grep -q web1"\n User deploy\n ProxyJump inner\nHost *\n User u\n',
        {"web1": "u@inner:22 deploy@web1:22", "web2": "u@web2:22"},
    ),
    "host-in-lower-case": (
        "Host web1\n HostName Web1.Example\nMatch host web1.example\n User m\n ProxyJump j\n"
        "Host *\n User u\n",
        {"web1": "u@j:22 m@web1.example:22", "web2": "u@web2:22"},
    ),
    "final": (
        "Host web1\n HostKeyAlias w\nMatch final host web1\n User fin\n",
        {"web1": "fin@web1:22", "web2": f"{ME}@web2:22"},
    ),
    "comma": (
        "Host a !web1,x *\n User comma\nHost web1,web2\n User no\nHost *\n User u\n",
        {"web1": "comma@web1:22", "web2": "comma@web2:22"},
    ),
    "comma-in-a-name": (
        "Host web1,web2 web3\n User x\nHost *\n User u\n",
        {"web1": "u@web1:22", "web3": "x@web3:22"},
    ),
    "equals": (
        "Host web1\n ProxyCommand=nc %h %p\nHost web2\n ProxyCommand = nc %h %p\nHost *\n User u\n",
        {"web1": "u@web1:22 by exec nc web1 22", "web2": "u@web2:22 by exec nc web2 22"},
    ),
    "shell": (
        "Host web1\n ProxyCommand sh -c 'nc %h %p' # x\n"
        "Host web2\n ProxyCommand 'nc' \"%h\" %p | cat\nHost *\n User u\n",
        {
            "web1": "u@web1:22 by exec sh -c 'nc web1 22' # x",
            "web2": "u@web2:22 by exec 'nc' \"web2\" 22 | cat",
        },
    ),
    "tokens": (
        "Host web1\n HostName %h.example\n Port 7\n ProxyCommand x %n %h %p %r 100%%\n"
        "Host *\n User u\n",
        {"web1": "u@web1.example:7 by exec x web1 web1.example 7 u 100%", "web2": "u@web2:22"},
    ),
    "own-names": (
        "Host web1 web2\n HostName web1\n User u\n",
        {"web1": "u@web1:22", "web2": "u@web1:22"},
    ),
    "jump-uri": (
        "Host web1\n ProxyJump ssh://joe@bastion:2222\nHost *\n User u\n",
        {"web1": "joe@bastion:2222 u@web1:22"},
    ),
    "a-jump-hosts-own-command": (
        "Host b\n ProxyCommand nc %h 1\nHost web1\n ProxyJump a,b\nHost *\n User u\n",
        {"web1": "u@a:22 u@b:22 u@web1:22", "b": "u@b:22 by exec nc b 1"},
    ),
}


def ordered() -> Iterator[object]:
    """Each case, its hosts asked about in both orders: what is shared must not matter."""
    for name, (config, expected) in CASES.items():
        for order in (list(expected), list(expected)[::-1]):
            yield pytest.param(config, expected, order, id=f"{name}-{'-'.join(order)}")


@pytest.mark.parametrize(("config", "expected", "order"), ordered())
def test_the_way_is_sshs(
    home: Path, ways: list[str], config: str, expected: dict[str, str], order: list[str]
) -> None:
    """User, name, port, jump hosts and command, hop by hop; ssh itself says the same."""
    file = home / "config"
    file.write_text(config)
    for address in order:
        ways.clear()
        reach(file, address)
        argv = ("ssh", "-F", str(file), "-G", address)
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        theirs = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
        place = f"{theirs['user']}@{theirs['hostname']}:{theirs['port']}"
        assert " ".join(ways) == expected[address]
        assert ways[-1].split(" by ")[0] == place


def test_the_inventory_goes_before_the_file(home: Path, ways: list[str]) -> None:
    """The inventory goes before ssh_config, as ssh's options do; ``jump`` leaves no command."""
    file = home / "config"
    file.write_text("User u\nPort 7\nProxyCommand nc %h %p\nHost g\n ProxyCommand none\n")
    reach(file, "web1", user="root", port=8, jump="j@g:9")
    reach(file, "web1")
    assert ways[1:] == ["root@web1:8", "u@web1:7 by exec nc web1 7"]


def test_a_name_for_a_shell_is_a_plain_one(home: Path, ways: list[str]) -> None:
    """The inventory may be another's: neither its address nor its user is run."""
    file = home / "config"
    file.write_text("ProxyCommand nc %h %r\n")
    for address, user in (("web1;reboot", "u"), ("web1", "u$(reboot)"), ("web1", "-u `x`")):
        with pytest.raises(StepError):
            reach(file, address, user=user)
    assert ways == []


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ("ProxyCommand nc %h %Z\n", "%Z in ProxyCommand"),
        ("ProxyCommand nc %h\nProxyUseFdpass yes\n", "ProxyUseFdpass"),
        ("BindInterface lo\n", "BindInterface"),
    ],
)
def test_what_cannot_be_done_as_ssh_does_it_is_refused(
    home: Path, ways: list[str], config: str, why: str
) -> None:
    """With the host, the option and what to do."""
    (home / "config").write_text(config)
    with pytest.raises(StepError, match=why) as refused:
        reach(home / "config", "web1")
    assert "web1" in refused.value.message
    assert refused.value.hint
    assert ways == []


def test_files_are_included_in_order_and_hidden_ones_are_not(home: Path, ways: list[str]) -> None:
    """Files are included in glob(3)'s order, and an editor's hidden leftovers are not."""
    folder = home / "d"
    folder.mkdir()
    for number in range(30, 0, -1):
        (folder / f"{number:02}").write_text(f"User u{number}\n")
    (folder / ".00.swp").write_bytes(b"b0VIM \0\xff")
    (folder / ".01").write_text("HostName 10.6.6.6\n")
    (home / "config").write_text(f"Include {folder}/*\n")
    reach(home / "config", "web1")
    assert ways == ["u1@web1:22"]


@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
@pytest.mark.parametrize("name", ["config", "more"])
def test_files_that_others_may_write_are_not_obeyed(
    home: Path, ways: list[str], mode: int, name: str
) -> None:
    """An ssh_config that others may write is not obeyed, and the command to mend it is told."""
    (home / ".ssh/config").write_text("Include more\nHost web1\n  HostName 127.0.0.9\n")
    (home / ".ssh/more").write_text("Host x\n  User u\n")
    (home / ".ssh" / name).chmod(mode)
    host = Host("h", "h", Connect("web1"), deadlines=Deadlines(connect=20))

    async def reaching() -> None:
        async with connected(host, SshSettings()):
            pass

    with pytest.raises(StepError, match="others than you may write") as refused:
        asyncio.run(reaching())
    assert f"chmod go-w {home}/.ssh/{name}" in str(refused.value.command)
    assert ways == []


def test_a_file_of_a_user_whom_nobody_knows_is_no_bug(home: Path, ways: list[str]) -> None:
    """``Include ~nobody``: what ssh makes of it counts, and the host alone is concerned."""
    (home / "config").write_text("Include ~no.such.user/config\nHost *\n User u\n")
    with contextlib.suppress(StepError):
        reach(home / "config", "web1")
        assert ways == ["u@web1:22"]


def served(home: Path, config: str, address: str = "127.0.0.1") -> list[object]:
    """Connect to a real server and run a command; give what the server saw of it."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    mine = asyncssh.generate_private_key("ssh-ed25519")
    mine.write_private_key(str(home / "id"))
    seen: list[object] = []

    async def answer(process: asyncssh.SSHServerProcess[str]) -> None:
        seen.append((process.term_type, process.command, await process.stdin.read()))
        process.exit(0)

    async def serving() -> None:
        async with asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[key],
            authorized_client_keys=asyncssh.import_authorized_keys(
                mine.export_public_key().decode()
            ),
            process_factory=answer,
        ) as acceptor:
            port = str(acceptor.get_port())
            (home / "known").write_text(f"* {key.export_public_key().decode()}")
            (home / f"known.127.0.0.1.{port}").write_text((home / "known").read_text())
            text = f"{config}\nHost *\nUserKnownHostsFile {home}/known\nIdentityFile {home}/id\n"
            (home / "config").write_text(text.replace("PORT", port))
            target = Connect(address, "root", int(port))
            host = Host("h", "h", target, deadlines=Deadlines(connect=20))
            async with connected(host, SshSettings(config=str(home / "config"))) as connection:
                assert await said_by(connection, "true", b"secret\n")

    asyncio.run(serving())
    return seen


@pytest.mark.parametrize("word", ["force", "yes", "auto"])
def test_no_command_is_given_a_terminal(home: Path, word: str) -> None:
    """Whatever ``RequestTTY`` says: a terminal echoes, and alters what is sent."""
    assert served(home, f"RequestTTY {word}") == [(None, "true", "secret\n")]


@pytest.mark.parametrize(
    "command", ["perl RELAY PORT", "=perl RELAY %p", " = perl 'RELAY' %p | cat"]
)
def test_a_command_is_run_by_a_shell(home: Path, command: str) -> None:
    """Pipes, quotes and equals signs are as with ssh."""
    text = f"ProxyCommand {command}".replace("RELAY", str(RELAY))
    assert served(home, text, "nowhere.invalid") == [(None, "true", "secret\n")]


@pytest.mark.parametrize(
    "lines",
    [
        "IdentityFile HOME/missing",
        "IdentityFile HOME/missing\nIdentitiesOnly yes",
        "HostName 127.0.0.1 # rack 3",
        "UserKnownHostsFile HOME/known.%k.%p",
        "GlobalKnownHostsFile HOME/hidden",
    ],
)
def test_nothing_is_refused_needlessly(
    home: Path, monkeypatch: pytest.MonkeyPatch, lines: str
) -> None:
    """What ssh passes over, or reads, is passed over, or read."""
    hidden = home / "hidden"
    hidden.write_text("")
    opened, there = Path.read_bytes, os.access

    def read(path: Path) -> bytes:
        if path == hidden:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != hidden and there(path, mode))
    assert served(home, lines.replace("HOME", str(home))) == [(None, "true", "secret\n")]
