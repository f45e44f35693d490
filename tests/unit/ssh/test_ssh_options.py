"""How connections are made: preferences that stay preferences, and what hosts may share."""

from __future__ import annotations

import asyncio
import itertools
import socket
import subprocess
from pathlib import Path

import asyncssh
import pytest

from orchestrator.core.errors import StepError
from orchestrator.core.host import Connect, Deadlines, Host
from orchestrator.core.process import run
from orchestrator.ssh import options as ssh_options
from orchestrator.ssh.config import ConfigShape
from orchestrator.ssh.connect import connected
from orchestrator.ssh.network import Direct
from orchestrator.ssh.said import Said, forget, said_of
from orchestrator.ssh.settings import SshSettings

LOCAL = "127.0.0.1"


@pytest.fixture(autouse=True)
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a key and nothing else."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr(ssh_options, "_SHARED", {})
    (tmp_path / ".ssh").mkdir()
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(tmp_path / "id"))
    return tmp_path


async def options_of(target: Connect, settings: SshSettings) -> ssh_options.Options:
    """The options of a connection."""
    return (await ssh_options.shared_options(await said_of(target, settings))).options


def chosen(person: Path, config: str = "", **server: object) -> str:
    """Connect to a server of some kind; give the cipher."""
    (person / "config").write_text(config)
    key = asyncssh.generate_private_key("ssh-ed25519")
    user = asyncssh.read_private_key(person / "id").export_public_key().decode()

    async def connecting() -> str:
        async with asyncssh.listen(
            LOCAL,
            0,
            server_host_keys=[key],
            authorized_client_keys=asyncssh.import_authorized_keys(user),
            **server,
        ) as acceptor:
            port = acceptor.get_port()
            known = person / "known_hosts"
            known.write_text(f"[{LOCAL}]:{port} {key.export_public_key().decode()}")
            settings = SshSettings(config=str(person / "config"), known_hosts=str(known))
            connect = Connect(LOCAL, "root", port, identity=str(person / "id"))
            host = Host("h", "h", connect, deadlines=Deadlines(connect=20))
            async with connected(host, settings) as connection:
                return str(connection.get_extra_info("send_cipher"))

    return asyncio.run(connecting())


def test_what_is_fastest_goes_first(person: Path) -> None:
    """A host that takes everything gets the cipher that costs least."""
    assert chosen(person) == "aes128-gcm@openssh.com"


@pytest.mark.parametrize(
    ("kex", "cipher"),
    [
        ("diffie-hellman-group14-sha256", "aes256-ctr"),
        ("ecdh-sha2-nistp256", "chacha20-poly1305@openssh.com"),
        ("mlkem768x25519-sha256", "aes192-ctr"),
        ("diffie-hellman-group-exchange-sha256", "aes256-gcm@openssh.com"),
    ],
)
def test_a_host_that_offers_only_others_is_reached(person: Path, kex: str, cipher: str) -> None:
    """A host that offers other algorithms than we prefer is reached with those."""
    assert chosen(person, kex_algs=[kex], encryption_algs=[cipher]) == cipher


def test_ssh_config_has_the_last_word(person: Path) -> None:
    """A cipher that is named there is the one, and so is its order."""
    cipher = "aes256-ctr"
    assert chosen(person, f"Host *\nCiphers {cipher},aes128-gcm@openssh.com\n") == cipher


def test_every_algorithm_that_asyncssh_offers_is_offered(person: Path) -> None:
    """Every algorithm of asyncssh's is offered, in our order, unless ssh_config names others."""
    (person / "config").write_text("")
    settings = SshSettings(config=str(person / "config"))
    connect = Connect(LOCAL, "root", 22, identity=str(person / "id"))
    options = asyncio.run(options_of(connect, settings))
    arguments = ssh_options.connect_arguments(options)
    for name in ("kex_algs", "encryption_algs"):
        given = arguments[name]
        assert isinstance(given, list)
        assert sorted(given) == sorted(one.decode() for one in getattr(options, name))
        assert given != [one.decode() for one in getattr(options, name)]
    (person / "other").write_text("KexAlgorithms ecdh-sha2-nistp256\nCiphers aes256-ctr\n")
    settings = SshSettings(config=str(person / "other"))
    options = asyncio.run(options_of(connect, settings))
    assert not {"kex_algs", "encryption_algs"} & ssh_options.connect_arguments(options).keys()


CONFIGS = [
    "",
    "Include /etc/ssh/ssh_config.d/*.conf\nHost *\n  SendEnv LANG LC_*\n  HashKnownHosts yes\n",
    "Port 1\nHost a\n  Port 2\nHost b a\n  User x\n",
    "Host a* !ab\n  User x\nHost ?b\n  Port 7\n",
    "host=a\nUser x\n",
    'Host "a"\n  User x\n',
    "Host a\n  Hostname %h.example\nHost *\n  Hostname %h.lan\n",
    "Host a\n  Hostname %h.example\n",
    "Host *\n  IdentityFile ~/.ssh/%n\n",
    "Host *\n  ControlPath ~/.ssh/%r@%h:%p\n  ControlMaster auto\n",
    "Match host a\n  User x\n",
    "Match all\n  User x\n",
    "Match originalhost ab exec true\n  User x\nHost *\n  User y\n",
    "Host a\n  Include more\nHost *\n  User y\n",
    "Include more\nInclude missing\n",
    "  HOST a\n\tUSER x\n",
    "Host a # comment\n  User x\n",
    "Host *\n  CanonicalizeHostname no\n  UserKnownHostsFile ~/.ssh/%k\n",
    "Host ?b\n  User x\n",
    "Host ??b\n  User x\n",
    "Host \u00fcb k\n  User x\n",
]
HOSTS = ["a", "b", "ab", "c", "a.lan", "10.0.0.1", "k", "\u212a", "\u00fcb", "\u00dcb"]


def said(address: str, file: Path) -> str:
    """All that ssh says of a host, but for its own name where no other is said of it."""
    argv = ("ssh", "-F", str(file), "-G", "--", address)
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    named = (f"host {address}", f"hostname {address}")
    return "\n".join(
        line for line in done.stdout.splitlines() if line not in named and "controlpath" not in line
    )


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
def test_hosts_with_one_key_are_told_the_same(person: Path, config: str) -> None:
    """Whatever the file says, sharing what was read for another host changes nothing."""
    (person / ".ssh/more").write_text("Host b\n  Port 9\nHost ab\n  User z\n")
    file = person / "config"
    file.write_text(config)
    shape = ConfigShape([str(file)])
    keys = {address: shape.key(address) for address in HOSTS}
    for one, other in itertools.combinations(HOSTS, 2):
        both = shape.names(one) or shape.names(other)
        if keys[one] is not None and keys[one] == keys[other] and not both:
            assert said(one, file) == said(other, file), (one, other)


def test_what_most_people_have_is_read_once(person: Path) -> None:
    """Debian's file, a person's with entries for other hosts, control paths: all are shared."""
    file = person / "config"
    for config in (CONFIGS[0], CONFIGS[1], CONFIGS[2], CONFIGS[7], CONFIGS[9], CONFIGS[14]):
        file.write_text(config)
        shape = ConfigShape([str(file)])
        assert shape.key("c") is not None, config
        assert shape.key("c") == shape.key("10.0.0.1"), config


DEBIANS = """Include /nowhere/*.conf
Host *
    SendEnv LANG LC_*
    HashKnownHosts yes
    GSSAPIAuthentication yes
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The processes that are started to find out how a host is reached."""
    found: list[tuple[str, ...]] = []

    async def noted(argv: tuple[str, ...], **given: object) -> object:
        found.append(argv)
        return await run(argv, **given)  # type: ignore[arg-type]

    monkeypatch.setattr("orchestrator.ssh.said.run", noted)
    forget()
    return found


@pytest.mark.parametrize(
    ("config", "questions"),
    [
        ("", 0),
        (DEBIANS, 0),
        (DEBIANS + "Host a\n  HashKnownHosts no\n", 0),
        (DEBIANS + "    User x\n", 2),
        (DEBIANS + "    SendEnv LANG COLORS\n", 2),
    ],
)
def test_what_says_nothing_to_us_asks_nobody(
    person: Path, asked: list[tuple[str, ...]], config: str, questions: int
) -> None:
    """Debian's own file costs no process; one more word, and ssh has the say."""
    file = person / "config"
    file.write_text(config)
    connect = Connect(LOCAL, "root", 22, identity=str(person / "id"))
    asyncio.run(options_of(connect, SshSettings(config=str(file))))
    assert len(asked) == questions


def test_a_locale_is_not_sent(person: Path) -> None:
    """A host's programs answer as they would anybody, whatever else the file says."""
    file = person / "config"
    file.write_text(DEBIANS + "    SendEnv COLORS\n    User x\n")
    connect = Connect(LOCAL, "root", 22, identity=str(person / "id"))
    options = asyncio.run(options_of(connect, SshSettings(config=str(file))))
    assert options.send_env == ["COLORS"]


def test_a_file_that_cannot_be_read_is_left_to_ssh(person: Path) -> None:
    """An ssh_config file that cannot be read is an error in ssh's own words."""
    assert ConfigShape([str(person / "missing")]).key("a") is None
    (person / "loop").write_text(f"Include {person}/loop\n")
    assert ConfigShape([str(person / "loop")]).key("a") is None


def test_files_that_include_each_other_are_an_error(person: Path) -> None:
    """ssh_config files that include each other are an error without a traceback."""
    (person / "loop").write_text(f"Include {person}/loop\n")
    with pytest.raises(StepError, match="ssh cannot say"):
        asyncio.run(options_of(Connect("a"), SshSettings(config=str(person / "loop"))))


def test_a_thousand_hosts_read_the_files_once(
    person: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One reading of ssh_config and of the key for all that are told the same."""
    (person / "config").write_text("Host special\n  Port 3\n")
    settings = SshSettings(config=str(person / "config"))
    built = []
    construct = ssh_options.ssh_options

    async def counting(said: Said) -> ssh_options.Options:
        built.append(said.target.address)
        return await construct(said)

    monkeypatch.setattr(ssh_options, "ssh_options", counting)

    async def all_of_them() -> None:
        for number in range(1000):
            connect = Connect(f"h{number}", "root", None, identity=str(person / "id"))
            await options_of(connect, settings)
        other = await options_of(Connect("special", "root"), settings)
        assert other.port == 3

    asyncio.run(all_of_them())
    assert built == ["h0", "special"]


def test_connections_share_no_key_pair(person: Path) -> None:
    """A pair remembers what one server wanted of it."""
    settings = SshSettings(config="/dev/null")
    connect = Connect(LOCAL, "root", 22, identity=str(person / "id"))
    options = asyncio.run(options_of(connect, settings))
    one, two = (ssh_options.connect_arguments(options)["client_keys"] for _ in range(2))
    assert isinstance(one, list)
    assert isinstance(two, list)
    assert len(one) == len(two) == 1
    assert one[0] is not two[0]


def test_what_a_connection_is_made_of_is_what_asyncssh_would_make_of_it(tmp_path: Path) -> None:
    """Sharing the preparation between hosts changes nothing of any host's options."""
    tunnel = Direct(socket.AF_UNSPEC, "")

    def given_for(host: str, port: int, algorithms: list[str]) -> dict[str, object]:
        pairs = asyncssh.load_keypairs([str(tmp_path / "id")])
        return {
            "config": None,
            "host": host,
            "port": port,
            "tunnel": tunnel,
            "family": (),
            "local_addr": (),
            "client_factory": object(),
            "client_keys": ssh_options.Keys(pairs),
            "server_host_key_algs": algorithms,
            "known_hosts": given_for,
            "host_key_alias": None,
            "canonicalize_hostname": False,
            "kex_algs": ["curve25519-sha256"],
            "compression_algs": ["none"],
            "agent_forwarding": False,
        }

    async def compare() -> None:
        base = await asyncssh.SSHClientConnectionOptions.construct(config=None, username="root")
        for number, kind in enumerate(("ssh-ed25519", "rsa-sha2-512"), 1):
            given = given_for(f"10.0.0.{number}", number, [kind])
            made = await asyncssh.SSHClientConnectionOptions.construct(base, **given)
            plain = asyncssh.SSHClientConnectionOptions(base, **given)
            ours, theirs = vars(made), vars(plain)
            assert ours.keys() == theirs.keys()
            odd = [name for name in ours if ours[name] != theirs[name]]
            assert sorted(odd) == ["config", "kwargs"]
            # No file was read there, so nothing is looked up in it any more.
            assert not made.config.loaded
            loop, kwargs = ours["kwargs"].pop("loop"), ours["kwargs"]
            assert loop is not None
            listed = {
                key: list(v) if isinstance(v, tuple) and v else v for key, v in kwargs.items()
            }
            theirs["kwargs"].pop("loop")
            assert listed == theirs["kwargs"]

    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(tmp_path / "id"))
    asyncio.run(compare())


def test_shared_options_alone_judge_no_host() -> None:
    """Were a connection ever made of what hosts share, it would fail before a key is judged."""

    async def factory() -> object:
        base = await asyncssh.SSHClientConnectionOptions.construct(config=None, username="root")
        return ssh_options._prepared(base, (("config", None),), has_keys=False).protocol_factory

    with pytest.raises(RuntimeError, match="no host's own"):
        asyncio.run(factory())()  # type: ignore[operator]
