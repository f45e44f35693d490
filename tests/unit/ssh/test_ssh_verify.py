"""Whom a connection believes: the key that is known for the name that was asked for, no other."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import random
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest
from ssh_bearings import BEARINGS, NO_BEARING, Bearing

from orchestrator.core.errors import StepError
from orchestrator.core.host import Connect, Deadlines, Host
from orchestrator.ssh import options, said, verified
from orchestrator.ssh.executor import open_ssh
from orchestrator.ssh.identity import Identities
from orchestrator.ssh.keys import KeyFormatError, read_key
from orchestrator.ssh.known_hosts import read_known_hosts
from orchestrator.ssh.rules import Rules, plain_name
from orchestrator.ssh.settings import SshSettings
from orchestrator.ssh.sudo import SudoPassword
from orchestrator.ssh.trust import offered_key
from orchestrator.ssh.verified import trust_in
from orchestrator.ssh.verify import HostTrust, UntrustedError

LOCAL, NAME = "127.0.0.1", "localhost"
A, B = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
RSA = asyncssh.generate_private_key("ssh-rsa", key_size=2048)


def line(key: asyncssh.SSHKey) -> str:
    """A public key as it stands in files."""
    return key.export_public_key().decode().strip()


@dataclass
class Place:
    """A person's files, and servers on the loopback interface."""

    folder: Path

    def __post_init__(self) -> None:
        self.user = asyncssh.generate_private_key("ssh-ed25519")
        self.user.write_private_key(str(self.folder / "id"))
        self.commands: list[str] = []
        self.forwards: list[bool] = []
        self.known, self.config = self.folder / "known", self.folder / "config"
        self.says("")

    def says(self, *lines: str) -> None:
        """Write ``ssh_config``; it names the known hosts. A process reads it once."""
        said.forget()
        options._SHARED.clear()
        files = (f"UserKnownHostsFile {self.known}", "GlobalKnownHostsFile none")
        own = (f"IdentityFile {self.folder}/id", "IdentityAgent none", "User deploy")
        self.config.write_text("\n".join((*lines, "Host *", *files, *own)) + "\n")

    @property
    def settings(self) -> SshSettings:
        """The files."""
        return SshSettings(config=str(self.config))

    @contextlib.asynccontextmanager
    async def server(self, *keys: object) -> AsyncIterator[int]:
        """A server that shows keys and runs nothing; gives its port."""
        acceptor = await asyncssh.listen(
            LOCAL,
            0,
            server_host_keys=list(keys),
            authorized_client_keys=asyncssh.import_authorized_keys(line(self.user)),
            process_factory=self._run,
            server_factory=_Through,
            agent_forwarding=True,
        )
        async with acceptor:
            yield acceptor.get_port()

    async def _run(self, process: asyncssh.SSHServerProcess[str]) -> None:
        await process.stdin.read()
        self.commands.append(process.command or "")
        self.forwards.append(process.channel.get_agent_path() is not None)
        process.exit(0)

    def connect(
        self, *keys: object, known: str, address: str = NAME, **target: object
    ) -> StepError | None:
        """Connect to a server and run a command as root; give what went wrong.

        Args:
            keys: The server's.
            known: The known hosts, ``PORT`` standing for its port.
            address: Where it is.
            target: More of the inventory.
        """

        async def connecting() -> None:
            async with self.server(*keys) as port:
                self.known.write_text(known.replace("PORT", str(port)))
                to = Connect(address, "deploy", port, **target)  # type: ignore[arg-type]
                host = Host("web1", "web1", to, deadlines=Deadlines(connect=20))
                password = SudoPassword("hunter2")
                async with open_ssh(host, self.settings, password) as executor:
                    await executor.run(("true",), deadline=60)

        try:
            asyncio.run(connecting())
        except StepError as error:
            return error
        return None


class _Through(asyncssh.SSHServer):
    """Lets connections through."""

    def connection_requested(self, *_: object) -> bool:
        """Let them."""
        return True


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Nobody's own files are looked at."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return Place(tmp_path)


def test_a_name_is_not_believed_by_the_key_of_its_address(place: Place) -> None:
    """A name that leads to another host of the fleet: ssh refuses, and so do we, before sudo."""
    known = f"[{NAME}]:PORT {line(A)}\n[{LOCAL}]:PORT {line(B)}\n{LOCAL} {line(B)}\n"
    refused = place.connect(B, known=known)
    assert refused is not None
    assert "another key is known for [localhost]" in refused.message
    assert place.commands == []
    assert place.connect(A, known=known) is None


def test_a_name_that_is_not_known_is_not_believed_by_its_address(place: Place) -> None:
    """Nothing is known for the name, and the address alone proves nothing."""
    refused = place.connect(B, known=f"[{LOCAL}]:PORT {line(B)}\n{LOCAL} {line(B)}\n")
    assert refused is not None
    assert "no key is known for [localhost]" in refused.message
    assert place.commands == []


@pytest.mark.parametrize("known", ["[{}]:PORT", "{}"])
def test_an_alias_is_what_counts_and_nothing_else(place: Place, known: str) -> None:
    """``HostKeyAlias`` stands for itself: not with a port, and not for where the host is."""
    place.says("HostKeyAlias Victim.example")
    other = f"{NAME} {line(B)}\n[{NAME}]:PORT {line(B)}\n[{LOCAL}]:PORT {line(B)}\n"
    refused = place.connect(B, known=f"victim.example {line(A)}\n{other}")
    assert refused is not None
    assert place.commands == []
    accepted = place.connect(B, known=f"{known.format('VICTIM.example')} {line(B)}\n")
    assert (accepted is None) is (known == "{}")


def test_a_key_that_is_revoked_with_the_port_is_revoked(place: Place) -> None:
    """A key that is revoked for name and port is refused, also where the name alone has it."""
    known = f"{NAME} {line(A)}\n"
    assert place.connect(A, known=known) is None
    refused = place.connect(A, known=f"{known}@revoked [{NAME}]:PORT {line(A)}\n")
    assert refused is not None
    assert "revoked" in refused.message
    assert refused.hint is None


def test_another_key_with_the_port_shuts_out_the_one_without(place: Place) -> None:
    """The line for the port goes before."""
    assert place.connect(A, known=f"{NAME} {line(A)}\n[{NAME}]:PORT {line(B)}\n") is not None


@pytest.mark.parametrize("form", ["text", "list", "missing", "broken"])
def test_revoked_host_keys_are_refused(place: Place, form: str) -> None:
    """Host keys revoked by a text or a KRL are refused; without the file nobody is trusted."""
    file = place.folder / "revoked"
    place.says(f"RevokedHostKeys {file}")
    known = f"[{NAME}]:PORT {line(A)}\n"
    if form == "text":
        file.write_text(f"# revoked\n{line(A)} somebody\n")
    elif form == "broken":
        file.write_text("what is this?\n")
    elif form == "list":
        (place.folder / "a.pub").write_text(line(A))
        subprocess.run(("ssh-keygen", "-q", "-k", "-f", file, place.folder / "a.pub"), check=True)
    refused = place.connect(A, known=known)
    assert refused is not None
    assert "RevokedHostKeys" in refused.message
    assert place.commands == []
    file.write_text(f"{line(B)}\n")
    os.utime(file, ns=(1, 1))
    assert place.connect(A, known=known) is None


def test_a_global_file_revokes_beside_a_users_own(place: Place) -> None:
    """To name ``UserKnownHostsFile`` does not take ``GlobalKnownHostsFile`` away."""
    other = place.folder / "global"
    other.write_text(f"@revoked * {line(A)}\n")
    place.says(f"GlobalKnownHostsFile {other}")
    refused = place.connect(A, known=f"[{NAME}]:PORT {line(A)}\n")
    assert refused is not None
    assert "revoked" in refused.message


def test_what_ssh_cannot_read_is_an_error(place: Place) -> None:
    """A word that bears on trust stands beside one that ssh refuses."""
    place.says("HostKeyAlias x", "NoSuchOption yes")
    refused = place.connect(A, known="")
    assert refused is not None
    assert "ssh cannot say what ssh_config means for localhost" in refused.message


def test_a_file_that_could_be_read_in_two_ways_is_read_as_ssh_reads_it(place: Place) -> None:
    """To ssh this is one line, and a comment; and it is ssh who says where we go."""
    place.says("# a comment\rHostName 127.0.0.9")
    assert place.connect(A, known=f"* {line(A)}\n") is None


def test_a_host_is_asked_for_the_kind_of_key_that_is_known(place: Place) -> None:
    """A host with several keys is asked for the kind that is known, whatever it prefers."""
    assert place.connect(A, RSA, known=f"[{NAME}]:PORT {line(RSA)}\n") is None


def test_a_condition_elsewhere_changes_nothing_of_that(place: Place) -> None:
    """``Match`` takes ssh to be understood; the list of algorithms is ssh's own all the same."""
    place.says("Match host elsewhere", "HostKeyAlgorithms ssh-ed25519")
    assert place.connect(A, RSA, known=f"[{NAME}]:PORT {line(RSA)}\n") is None
    place.says("Match host localhost", "HostKeyAlgorithms ssh-ed25519,rsa-sha2-512")
    assert place.connect(A, RSA, known=f"[{NAME}]:PORT {line(RSA)}\n") is not None


def test_only_algorithms_that_are_allowed_are_believed(place: Place) -> None:
    """``HostKeyAlgorithms`` and ``RequiredRSASize`` are those of ssh."""
    known = f"[{NAME}]:PORT {line(RSA)}\n"
    place.says("RequiredRSASize 3072")
    refused = place.connect(RSA, known=known)
    assert refused is not None
    assert "RequiredRSASize 3072" in refused.message
    place.says("HostKeyAlgorithms ssh-ed25519")
    assert place.connect(RSA, A, known=known) is not None


def test_where_nothing_can_be_asked_for_it_is_said(place: Place) -> None:
    """An error with the option's name, and no traceback; so for a key that is to be trusted."""
    place.says("HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com")
    with pytest.raises(StepError, match="HostKeyAlgorithms"):
        offered(place, "")
    with pytest.raises(StepError, match="HostKeyAlgorithms"):
        verified.judged_by(
            known_as("web", "", Rules(algorithms=("ssh-unheard-of",))), print, Identities()
        )


def test_a_key_that_was_not_asked_for_is_not_taken() -> None:
    """A server may show what it likes, whatever was agreed on; so may it sign."""
    trust = known_as("web", f"web {line(RSA)}", Rules(algorithms=("ssh-ed25519",)))
    with pytest.raises(UntrustedError, match="HostKeyAlgorithms"):
        trust.check(RSA.public_data, None, "rsa-sha2-512")
    trust = known_as("web", f"web {line(RSA)}")
    key = trust.check(RSA.public_data, None, "rsa-sha2-512")
    assert key.verify(b"data", RSA.sign(b"data", b"rsa-sha2-512"))
    assert not key.verify(b"data", RSA.sign(b"data", b"rsa-sha2-256"))
    assert not key.verify(b"data", RSA.sign(b"data", b"ssh-rsa"))
    for agreed in ("ssh-ed25519", "rsa-sha2-512-cert-v01@openssh.com"):
        with pytest.raises(UntrustedError, match="another kind of key"):
            trust.check(RSA.public_data, None, agreed)
    unsigned = trust.check(RSA.public_data, None, None)
    assert not unsigned.verify(b"data", RSA.sign(b"data", b"rsa-sha2-512"))


@pytest.mark.parametrize("kind", ["ssh-rsa", "rsa-sha2-256", "rsa-sha2-512", "ssh-ed25519"])
def test_what_is_revoked_stays_so_whatever_it_is_called(kind: str) -> None:
    """A line may call a kind by its signature's algorithm; the key in a certificate counts."""
    certificate = A.generate_host_certificate(RSA, "web", principals=["web"])
    blob = base64.b64encode(certificate.public_data).decode()
    revoked = f"@revoked web {kind}-cert-v01@openssh.com {blob}"
    trust = known_as("web", f"web {line(RSA)}\n{revoked}")
    with pytest.raises(UntrustedError, match="revoked"):
        trust.check(RSA.public_data, None, "rsa-sha2-512")


def test_whatever_a_host_shows_is_a_key_or_none() -> None:
    """Bytes of its choice end in one kind of error: no traceback for who deploys."""
    chance = random.Random(7)  # noqa: S311
    for _ in range(1500):
        blob = bytearray(chance.choice((A, RSA)).public_data)
        for _ in range(chance.choice((1, 2, 5))):
            blob[chance.randrange(len(blob))] = chance.choice((0, 1, 255, chance.randrange(256)))
        with contextlib.suppress(KeyFormatError):
            read_key(bytes(blob[: chance.choice((len(blob), chance.randrange(len(blob))))]))


def known_as(host: str, known: str, rules: Rules | None = None, port: int = 22) -> HostTrust:
    """A host about which there are such lines."""
    found = read_known_hosts([])
    found = type(found)()
    for number, text in enumerate(known.splitlines()):
        found._add(number, text.encode())
    return HostTrust(host, port, rules or Rules(), found)


def test_a_name_in_another_alphabet_is_another_name(place: Place) -> None:
    """Names are compared as by ssh, where lower case is A to Z: the sign for Kelvin is no K."""
    place.says("HostKeyAlias \u212aube.example")
    refused = place.connect(A, known=f"kube.example {line(A)}\n")
    assert refused is not None
    assert "no key is known" in refused.message
    assert place.connect(A, known=f"\u212aube.example {line(A)}\n") is None
    assert known_as("\u212aube", f"kube {line(A)}").trusted_keys() == ()
    assert plain_name("\u212aUBE") == "\u212aube"


@pytest.mark.parametrize(
    ("family", "name"), [("any", "10.9.8.7"), ("inet", "10.9.8.7"), ("inet6", "10.9.8.07")]
)
def test_an_address_of_another_family_is_a_name(place: Place, family: str, name: str) -> None:
    """``AddressFamily``: what cannot be an address is looked up as it stands."""
    place.says(f"AddressFamily {family}")

    async def looked_up() -> str:
        target = Connect("10.9.8.07", "deploy", 22)
        return (await trust_in(await said.said_of(target, place.settings), place.settings)).name

    assert asyncio.run(looked_up()) == name


@pytest.mark.parametrize("port", [22, 2222])
@pytest.mark.parametrize(
    ("there", "accepted"),
    [("", True), (f"10.0.0.5 {line(A)}", True), (f"10.0.0.5 {line(B)}", False)],
    ids=["unknown", "the same", "another"],
)
def test_check_host_ip_is_honoured(there: str, accepted: bool, port: int) -> None:
    """With ``CheckHostIP yes`` an address for which another key is known is refused, besides."""
    trust = known_as("web", f"web {line(A)}\n{there}", Rules(check_address=True), port)
    with contextlib.nullcontext() if accepted else pytest.raises(UntrustedError):
        trust.check(A.public_data, "10.0.0.5", "ssh-ed25519")
    trust.check(A.public_data, "127.0.0.5", "ssh-ed25519")


def test_each_hop_is_known_by_its_own_name(place: Place) -> None:
    """A jump host that the first one leads to is judged as any: not by where it is."""
    other = f"[{LOCAL}]:PORT {line(B)}\n"

    async def connecting(known_jump: asyncssh.SSHKey) -> None:
        async with place.server(B) as jump, place.server(A) as port:
            place.says(f"Host {NAME}", f"ProxyJump {NAME}:{jump}", "Host gate", f"HostName {LOCAL}")
            place.says("Host target", f"HostName {LOCAL}", f"ProxyJump {NAME}:{jump}")
            place.known.write_text(
                f"[{LOCAL}]:{port} {line(A)}\n[{NAME}]:{jump} {line(known_jump)}\n"
                + other.replace("PORT", str(jump))
            )
            to = Host("h", "h", Connect("target", "deploy", port), deadlines=Deadlines(connect=20))
            async with open_ssh(to, place.settings):
                pass

    asyncio.run(connecting(B))
    with pytest.raises(StepError, match="the host key of localhost is not a known one"):
        asyncio.run(connecting(A))


def test_a_jump_hosts_own_jump_host_is_judged_too(place: Place) -> None:
    """What ``ssh_config`` says of a jump host holds for it, and is not left to asyncssh."""

    async def connecting(known: asyncssh.SSHKey) -> None:
        async with place.server(B) as first, place.server(B) as jump, place.server(A) as port:
            place.says(
                "Host gate",
                f"HostName {LOCAL}",
                f"Port {jump}",
                f"ProxyJump {NAME}:{first}",
            )
            place.known.write_text(
                f"[{LOCAL}]:{port} {line(A)}\n[{LOCAL}]:{jump} {line(B)}\n"
                f"[{NAME}]:{first} {line(known)}\n[{LOCAL}]:{first} {line(B)}\n"
            )
            connect = Connect(LOCAL, "deploy", port, jump="gate")
            async with open_ssh(Host("h", "h", connect), place.settings):
                pass

    asyncio.run(connecting(B))
    with pytest.raises(StepError, match="the host key of localhost is not a known one"):
        asyncio.run(connecting(A))


def test_jump_hosts_that_lead_to_each_other_are_an_error(place: Place) -> None:
    """Jump hosts that lead to each other are an error that names one of them."""
    place.says("Host gate", "ProxyJump other", "Host other", "ProxyJump gate")
    refused = place.connect(A, known="", jump="gate")
    assert refused is not None
    assert "would be reached through itself" in refused.message


def test_a_config_of_the_inventorys_none_is_none(place: Place) -> None:
    """``jump: none`` goes past ``ProxyJump``, and leaves no hop to asyncssh."""
    place.says("ProxyJump nowhere.invalid")
    assert place.connect(A, known=f"[{NAME}]:PORT {line(A)}\n", jump="none") is None


def test_the_agent_is_forwarded_to_nobody(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """``ForwardAgent yes`` or not: whoever is root there could log in as the person anywhere."""
    agent = place.folder / "agent"
    place.says("ForwardAgent yes", f"IdentityAgent {agent}", "ForwardX11 yes")
    command = ("ssh-agent", "-a", str(agent))
    started = subprocess.run(command, capture_output=True, text=True, check=True)
    pid = started.stdout.split("SSH_AGENT_PID=")[1].split(";")[0]
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    try:
        assert place.connect(A, known=f"[{NAME}]:PORT {line(A)}\n") is None
    finally:
        os.kill(int(pid), signal.SIGTERM)
    assert place.forwards
    assert not any(place.forwards)


def offered(place: Place, known: str) -> object:
    """What ``host trust`` is shown."""

    async def asking() -> object:
        async with place.server(A) as port:
            place.known.write_text(known.replace("PORT", str(port)))
            host = Host("h", "h", Connect(NAME, "deploy", port), deadlines=Deadlines(connect=20))
            found = await offered_key(host, place.settings)
            return found.name.replace(str(port), "PORT"), found.known, len(found.conflicts)

    return asyncio.run(asking())


def test_a_key_to_be_trusted_is_judged_by_the_same_rules(place: Place) -> None:
    """A key to be trusted is judged by name or alias, not by address, and never if revoked."""
    by_address = f"[{LOCAL}]:PORT {line(A)}\n"
    assert offered(place, by_address) == ("[localhost]:PORT", False, 0)
    assert offered(place, f"[{NAME}]:PORT {line(B)}\n") == ("[localhost]:PORT", False, 1)
    assert offered(place, f"{NAME} {line(A)}\n") == ("[localhost]:PORT", True, 0)
    with pytest.raises(StepError, match=r"cannot be trusted: .*revoked"):
        offered(place, f"@revoked {NAME} {line(A)}\n@revoked * {line(A)}\n")
    place.says("HostKeyAlias Some.Alias")
    assert offered(place, by_address) == ("some.alias", False, 0)


# ssh_config(5) of OpenSSH up to 10.4: what has no bearing on whom we trust, or with what.
def test_every_option_of_ssh_is_thought_of() -> None:
    """Each that the ssh at hand knows of is in our list, or said to have no bearing on trust."""
    done = subprocess.run(
        ("ssh", "-F", "none", "-G", "x"), capture_output=True, text=True, check=True
    )
    known = {text.split()[0].lower() for text in done.stdout.splitlines()}
    assert len(known) > 60
    assert known - NO_BEARING - BEARINGS.keys() == set()


HONOURED = {
    word for word, bearing in BEARINGS.items() if bearing in (Bearing.HONOURED, Bearing.REFUSED)
} - {"host", "include"}
VALUES = {
    "canonicalizehostname": "always",
    "canonicaldomains": "example.org",
    "canonicalizemaxdots": "3",
    "canonicalizepermittedcnames": "*:*",
    "hostkeyalgorithms": "ssh-rsa",
    "casignaturealgorithms": "ssh-rsa",
    "requiredrsasize": "4096",
    "match": "all",
    "userknownhostsfile": "/nowhere",
    "userknownhostsfile2": "/nowhere",
}


@pytest.mark.parametrize("word", sorted(HONOURED))
def test_ssh_is_asked_where_a_word_bears_on_trust(
    place: Place, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """In any case of letters, in an included file, with an equals sign: it is seen."""
    included = place.folder / "included"
    included.write_text(f"  {word.upper()} = {VALUES.get(word, 'yes')}\n")
    place.config.write_text(f"Include {included}\n")

    async def never(*_: object, **__: object) -> None:
        raise StepError("ssh was asked")

    monkeypatch.setattr("orchestrator.ssh.said.run", never)
    refused = place.connect(A, known="")
    assert refused is not None
    assert refused.message == "ssh was asked" or "cannot be used" in refused.message


@pytest.mark.parametrize(
    "word", [one for one, bearing in BEARINGS.items() if bearing is Bearing.STRICTER]
)
def test_no_option_makes_us_less_strict(place: Place, word: str) -> None:
    """Whatever they say, a key that nobody vouches for is refused."""
    place.says(f"{word} {'no' if word == 'stricthostkeychecking' else 'yes'}")
    assert place.connect(A, known="", address=LOCAL) is not None
    assert place.commands == []


def test_nothing_is_asked_where_the_files_say_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process is started for files of comments."""
    monkeypatch.setattr("orchestrator.ssh.said.run", None)
    (place.folder / "more").write_text("# nothing\n\nHost *\n")
    place.config.write_text(f"# Port 3\nInclude {place.folder}/more\nHost a\n")
    refused = place.connect(A, known="")
    assert refused is not None
    assert "no key is known" in refused.message


def test_ssh_is_asked_once_for_hosts_of_which_the_same_is_said(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand hosts under ``Host *`` are one question."""
    asked = []
    run = said.run

    async def counting(argv: Sequence[str], **given: object) -> object:
        asked.append(argv[-2])
        return await run(argv, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(said, "run", counting)

    async def all_of_them() -> None:
        targets = [Connect(f"h{number}", "root", number + 1) for number in range(1000)]
        found = await asyncio.gather(*(said.said_of(one, place.settings) for one in targets))
        assert [(one.host, one.port) for one in found[:2]] == [("h0", 1), ("h1", 2)]

    asyncio.run(all_of_them())
    assert sorted(asked) == ["h0", "host"]
