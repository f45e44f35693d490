"""Two thousand generated configurations: what we make of each is what ``ssh -G`` says of it."""

from __future__ import annotations

import asyncio
import os
import pwd
import random
import re
import socket
from collections import Counter
from pathlib import Path

import asyncssh
import pytest
from ssh_bearings import REFUSED
from ssh_configs import Generator, asked

from orchestrator.core.errors import StepError
from orchestrator.core.host import Connect
from orchestrator.ssh import options as ssh_options
from orchestrator.ssh.lean import (
    decode_ssh_public_key,
    get_encryption_algs,
    get_kex_algs,
    get_mac_algs,
    get_public_key_algs,
)
from orchestrator.ssh.proxy import proxy_command
from orchestrator.ssh.rules import rules_of
from orchestrator.ssh.said import forget, said_of
from orchestrator.ssh.settings import SshSettings

PARTS, CASES = 20, 100
"""Of a part each case is a configuration of which two hosts are asked, one after the other."""

Answer = dict[str, list[str]]
ME = pwd.getpwuid(os.getuid()).pw_name
PERSON = ("id", "with space", "web1", "web2", "db", "10.0.0.7", "root", "deploy", "22", "2222")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with keys; ssh itself finds ``~`` by the user and is given whole paths."""
    monkeypatch.setenv("HOME", pwd.getpwuid(os.getuid()).pw_dir)
    monkeypatch.setenv("KEYS", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/sh")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.delenv("NOWHERE", raising=False)
    authority = asyncssh.generate_private_key("ssh-ed25519")
    for name in PERSON:
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(str(tmp_path / name))
        key.write_public_key(str(tmp_path / f"{name}.pub"))
    certificate = authority.generate_user_certificate(
        asyncssh.read_public_key(str(tmp_path / "id.pub")), "id", principals=["root"]
    )
    certificate.write_certificate(str(tmp_path / "id-cert.pub"))
    (tmp_path / "junk").write_text("no key\n")
    (tmp_path / "known").write_text("")
    (tmp_path / "revoked").write_text("")
    return tmp_path


def one(answer: Answer, word: str, without: str = "none") -> str:
    """What ssh says of an option; nothing where it says that there is none."""
    value = answer.get(word, [""])[0]
    return "" if value.lower() == without else value


def expanded(answer: Answer, target: Connect, text: str) -> str:
    """Put in what tokens and variables stand for, as ssh_config(5) has it."""
    here = socket.gethostname()
    host, port, user = (answer[word][0] for word in ("hostname", "port", "user"))
    tokens = {
        "%": "%",
        "h": host,
        "p": port,
        "r": user,
        "n": target.address,
        "u": ME,
        "L": here.partition(".")[0],
        "l": here,
        "i": str(os.getuid()),
        "j": "",
        "k": answer.get("hostkeyalias", [target.address])[0],
        "C": "hash",
    }
    text = re.sub("%(.)", lambda found: tokens[found[1]], text)
    text = re.sub(r"\$\{(\w+)\}", lambda found: os.environ[found[1]], text)
    return str(Path(text).expanduser())


def theirs(answer: Answer, own: Answer, target: Connect) -> dict[str, object]:
    """What ssh says, in words that both have."""
    size, _, seconds = one(answer, "rekeylimit", "").partition(" ")
    command = one(answer, "proxycommand")
    named = [name for name in answer.get("identityfile", ()) if name.lower() != "none"]
    files = [Path(f"{expanded(answer, target, name)}.pub") for name in named]
    keys = [asyncssh.read_public_key(str(file)) for file in files if file.is_file()]
    return {
        "user": answer["user"][0],
        "host": answer["hostname"][0],
        "port": int(answer["port"][0]),
        "jump": one(answer, "proxyjump"),
        "command": bool(command),
        "timeout": int(one(answer, "connecttimeout") or 0),
        "rekey": (int(size), int(seconds)),
        "family": {"inet": 2, "inet6": 10}.get(answer["addressfamily"][0], 0),
        "bound": one(answer, "bindaddress"),
        "switches": [
            one(answer, word, "") not in ("no", "false")
            for word in (
                *("passwordauthentication", "kbdinteractiveauthentication"),
                *("pubkeyauthentication", "tcpkeepalive"),
            )
        ],
        "methods": one(answer, "preferredauthentications", ""),
        "set": answer.get("setenv", []),
        "sent": [name for name in answer.get("sendenv", ()) if name not in ("LANG", "LC_*")],
        "keys": list(dict.fromkeys(key.get_fingerprint() for key in keys)),
        "only": answer["identitiesonly"][0] == "yes",
        "alias": one(answer, "hostkeyalias", "").lower(),
        "user_files": one(answer, "userknownhostsfile").split(),
        "global_files": one(answer, "globalknownhostsfile").split(),
        "algorithms": answer["hostkeyalgorithms"][0].split(","),
        "authorities": answer["casignaturealgorithms"][0].split(","),
        "revoked": one(answer, "revokedhostkeys").split(),
        "address": answer["checkhostip"][0] == "yes",
        "rsa": int(answer["requiredrsasize"][0]),
        "known_command": one(answer, "knownhostscommand"),
        "agent": _agent(answer),
        **{word: _known(word, answer, own) for word in _ALGORITHMS},
    }


_ALGORITHMS = {
    "ciphers": ("encryption_algs", get_encryption_algs),
    "macs": ("mac_algs", get_mac_algs),
    "kexalgorithms": ("kex_algs", get_kex_algs),
    "pubkeyacceptedalgorithms": ("signature_algs", get_public_key_algs),
}


def _known(word: str, answer: Answer, own: Answer) -> list[str]:
    """Of the algorithms that ssh uses those that asyncssh has; none where files say nothing."""
    if answer[word] == own[word] and word != "pubkeyacceptedalgorithms":
        return []
    known = {name.decode() for name in _ALGORITHMS[word][1]()}
    return [name for name in answer[word][0].split(",") if name in known]


def _agent(answer: Answer) -> str:
    value = answer.get("identityagent", ["SSH_AUTH_SOCK"])[0]
    return "" if value in ("none", "SSH_AUTH_SOCK", "$NOWHERE") else value


async def ours(target: Connect, settings: SshSettings) -> dict[str, object]:
    """What we make of the same files.

    Raises:
        StepError: The host would not be contacted.
    """
    said = await said_of(target, settings)
    access = await ssh_options.shared_options(said)
    rules = rules_of(said, settings)
    options, identities = access.options, access.identities
    command = proxy_command(said, rules.alias)
    given = options.kwargs
    keys = [decode_ssh_public_key(blob) for blob in identities.order]
    return {
        "user": options.username,
        "host": said.host,
        "port": options.port,
        "jump": said.jump,
        "command": command is not None,
        "timeout": int(options.connect_timeout or 0),
        "rekey": (given.get("rekey_bytes", 0), given.get("rekey_seconds", 0)),
        "family": int(options.family),
        "bound": options.local_addr[0] if "local_addr" in given else "",
        "switches": [
            *(options.password_auth, options.kbdint_auth),
            *(options.public_key_auth, options.tcp_keepalive),
        ],
        "methods": ",".join(options.preferred_auth or ()),
        "set": options.env or [],
        "sent": options.send_env or [],
        "keys": [key.get_fingerprint() for key in keys],
        "only": identities.only,
        "alias": rules.alias,
        "user_files": [str(Path(file).expanduser()) for file in rules.user_files],
        "global_files": list(rules.global_files),
        "algorithms": list(rules.algorithms),
        "authorities": list(rules.authority_algorithms),
        "revoked": list(rules.revoked),
        "address": rules.check_address,
        "rsa": rules.rsa_bits,
        "known_command": rules.command,
        "agent": identities.agent,
        **{
            word: [name.decode() for name in getattr(options, name)] if name in given else []
            for word, (name, _) in _ALGORITHMS.items()
        },
    }


@pytest.mark.rotating
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.timeout(600)
def test_what_we_make_of_a_configuration_is_what_ssh_says(part: int, home: Path) -> None:
    """Options, keys, way and trust are ssh's, whichever host was asked about before.

    Where ssh does not understand its files neither do we; what is refused on purpose is listed.
    """
    own = asked(Path("none"), Connect("host"))
    assert own is not None
    counts: Counter[str] = Counter()
    for number in range(CASES):
        case = part * CASES + number
        folder = home / f"case{case}"
        folder.mkdir()
        for name in (*PERSON, "id-cert", "junk", "known", "revoked"):
            for file in home.glob(f"{name}*"):
                if file.is_file() and not (folder / file.name).exists():
                    (folder / file.name).symlink_to(file)
        generator = Generator(random.Random(case), folder)  # noqa: S311
        config = generator.config()
        forget()
        ssh_options._SHARED.clear()
        for target in (generator.target(), generator.target()):
            counts[_compared(case, config, target, own)] += 1
    assert counts["the same"] > CASES, counts
    assert counts["ssh refuses"] < CASES / 2, counts


def _compared(case: int, config: Path, target: Connect, own: Answer) -> str:
    answer = asked(config, target)
    where = f"case {case}, {target}\n{config.read_text()}"
    found = _ours_or_why(config, target)
    if answer is None:
        assert isinstance(found, str), where
        return "ssh refuses"
    if isinstance(found, str):
        why = [word for word, (words, _) in REFUSED.items() if words in found]
        assert why, f"{where}\n{found}"
        return why[0]
    assert found == theirs(answer, own, target), where
    return "the same"


def _ours_or_why(config: Path, target: Connect) -> dict[str, object] | str:
    try:
        return asyncio.run(ours(target, SshSettings(config=str(config))))
    except StepError as error:
        return error.message


def test_what_is_refused_on_purpose_is_written_down_with_its_reason() -> None:
    """``docs/connecting.md`` has each option that ssh takes and we do not, and why."""
    page = (Path(__file__).parents[3] / "docs/connecting.md").read_text()
    section = page.partition("### What is refused on purpose")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    reasons = [line.split(" | ")[-1].removesuffix(" |") for line in rows]
    assert reasons == [reason for _, reason in REFUSED.values()]
