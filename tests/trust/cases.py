"""The generator: what may stand in known_hosts and ssh_config of whom to trust."""

from __future__ import annotations

import base64
import hmac
import random
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.trust.keys import PRINCIPAL, Keys, make_krl

NAMES = (
    PRINCIPAL,
    PRINCIPAL,
    PRINCIPAL,
    "WEB.Example",
    "db",
    "10.9.8.7",
    "10.9.8.07",
    "::1",
    "2001:DB8::0:5",
    "fe80::1%lo",
    "\u212aube.example",
    "B\u00dccher.example",
)
ALIASES = ("", "", "", "", "alias.example", "Alias.Example", PRINCIPAL, "10.9.8.7", "none", "db")
ODD_ALIASES = ("\u212aube.example", "b\u00dccher.example", "10.9.8.07", "2001:DB8::0:5")
PORTS = (22, 22, 22, 2222)
OTHERS = ("victim.example", "db", "10.9.8.7", "10.9.8.8", "alias.example", "[db]:2222")


@dataclass(slots=True)
class Case:
    """One generated case.

    Attributes:
        address: What the person types.
        lines: Of ``ssh_config``.
        peer: Whose server answers.
        sibling: Another host that the same files speak of.
        copy: The name of its ``ssh_config``: a process reads each once.
        words: What is in it, to tell classes of cases apart.
    """

    address: str
    port: int
    peer: str
    folder: Path
    sibling: str
    copy: str = "config"
    lines: list[str] = field(default_factory=list)
    words: set[str] = field(default_factory=set)

    @property
    def config(self) -> Path:
        """Its ``ssh_config``."""
        return self.folder / self.copy


class Generator:
    """Makes cases, the same ones for the same seed.

    Args:
        seed: Of the random numbers.
        keys: To put into lines.
        peers: The servers' names.
        folder: For the files of cases.
    """

    def __init__(self, seed: int, keys: Keys, peers: Sequence[str], folder: Path) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._keys = keys
        self._peers = tuple(peers)
        self._folder = folder
        self._made = 0

    def case(self) -> Case:
        """Make one."""
        pick = self._random.choice
        folder = self._folder / f"case{self._made}"
        folder.mkdir()
        self._made += 1
        case = Case(pick(NAMES), pick(PORTS), pick(self._peers), folder, pick(NAMES))
        alias = pick((*ALIASES, *ALIASES, *ODD_ALIASES))
        names = self._names(case, alias)
        if alias:
            case.lines.append(f"HostKeyAlias {alias}")
            case.words.add("alias")
        self._files(case, names)
        for _ in range(pick((0, 0, 0, 1, 1, 2))):
            pick(_OPTIONS)(self, case)
        self._random.shuffle(case.lines)
        return case

    def _names(self, case: Case, alias: str) -> tuple[str, ...]:
        host = case.address
        ported = (f"[{host}]:{case.port}", f"[{host.lower()}]:{case.port}")
        mine = (host, host.lower(), *ported)
        if alias:
            mine += (alias, alias.lower(), f"[{alias}]:{case.port}")
        if host == "2001:DB8::0:5":
            mine += ("2001:db8::5", f"[2001:db8::5]:{case.port}")
        mine += tuple(name.translate(_LOWER) for name in (host, alias) if not name.isascii())
        mine += ("kube.example",) * ("\u212aube.example" in (host, alias))
        return mine + ("10.9.8.7",) * (host == "10.9.8.07")

    def _files(self, case: Case, names: tuple[str, ...]) -> None:
        pick = self._random.choice
        files = [case.folder / f"known{number}" for number in range(pick((1, 1, 2, 3)))]
        for file in files:
            lines = [self._line(case, names) for _ in range(pick((0, 1, 1, 2, 2, 3, 5)))]
            file.write_bytes(pick((b"\n", b"\n", b"\n", b"\r\n")).join(lines) + pick((b"\n", b"")))
        user, glob = files[: pick((1, len(files)))], []
        if len(user) < len(files):
            glob = files[len(user) :]
        if glob and pick((0, 0, 1)):
            # What a command says counts as much as a file does.
            case.words.add("command")
            case.lines.append(f"KnownHostsCommand /bin/cat {' '.join(map(str, glob))}")
            glob = []
        missing = [str(case.folder / "missing")] if pick((0, 0, 0, 1)) else []
        self._name_files(case, "UserKnownHostsFile", [*missing, *map(str, user)])
        self._name_files(
            case, "GlobalKnownHostsFile", [*map(str, glob)] or [pick(("none", "/dev/null"))]
        )

    def _name_files(self, case: Case, word: str, files: list[str]) -> None:
        quote = self._random.choice(("", "", "", '"'))
        text = " ".join(f"{quote}{file}{quote}" for file in files)
        case.lines.append(self._random.choice((f"{word} {text}", f"  {word.lower()}\t{text}")))

    def _line(self, case: Case, names: tuple[str, ...]) -> bytes:
        pick = self._random.choice
        key = self._key(case)
        marker = pick(("", "", "", "", "", "@cert-authority ", "@cert-authority ", "@revoked "))
        if marker.startswith("@cert") and pick((0, 1, 1, 1)):
            key = self._keys.public(pick(("ca", "ca", "ca-rsa", "ca-other", "ed")))
        if marker.startswith("@rev") and pick((0, 1)):
            key = self._keys.public(pick(("ca", "ed", "good", "ca-rsa", "rsa")))
        hosts = self._hosts(names)
        line = f"{marker}{hosts} {key}{pick(('', '', ' comment', ' # c', ' @revoked x'))}"
        raw = line.encode()
        if pick((0,) * 7 + (1,)):
            case.words.add("odd")
            raw = pick(_ODDITIES)(self, raw)
        return raw

    def _key(self, case: Case) -> str:
        """Of the server's own keys most often."""
        own = case.peer.split("+")
        pool = [name for name in own if name in self._keys.names]
        pool += ["rsa"] if case.peer.startswith("rsa-") or "rsa" in own else []
        pool += ["rsa-good"] if case.peer.startswith("rsa-") else []
        pool += [] if pool and pool != ["rsa"] else ["ed"]
        if self._random.random() < 0.65:
            return self._keys.public(self._random.choice(pool))
        return self._keys.public(self._random.choice((*self._keys.names, *self._keys.certificates)))

    def _hosts(self, names: tuple[str, ...]) -> str:
        pick = self._random.choice
        one = pick(names if self._random.random() < 0.75 else OTHERS)
        kind = self._random.randrange(12)
        match kind:
            case 0 | 1:
                return self._hashed(pick((one, one.lower(), one.upper())))
            case 2:
                return f"{pick(OTHERS)},{one}"
            case 3:
                return f"{one},{pick(OTHERS)}"
            case 4:
                return pick(
                    ("*", "?*", "*.example", "w*", "*:2222", "[*]:2222", "[w*", "10.*", "*?*")
                )
            case 5:
                return f"{pick(('*', one, '*.example'))},!{pick((one, *OTHERS, '*b', 'w*'))}"
            case 6:
                at = self._random.randrange(len(one))
                return one[:at] + pick(("?", "*", "??", "*?", "")) + one[at + 1 :]
            case 7:
                return pick(
                    (f"!{one}", f"!{one},*", "10.9.8.0/24", "10.0.0.0/8", "::/0", one.upper())
                )
            case _:
                return one

    def _hashed(self, name: str) -> str:
        salt = self._random.randbytes(self._random.choice((20,) * 9 + (19, 16)))
        digest = hmac.digest(salt, name.encode(), "sha1")
        return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"

    # Options of ssh_config.

    def _revoked(self, case: Case) -> None:
        pick = self._random.choice
        file = case.folder / f"revoked{len(case.lines)}"
        case.words.add("revoked-file")
        kind = pick(("text", "text", "text", "krl", "krl", "missing", "garbage", "none", "folder"))
        named = [
            pick((*self._keys.names, *self._keys.certificates)) for _ in range(pick((0, 1, 2)))
        ]
        match kind:
            case "text":
                end = pick(("\n", "\n", "", "\n\n# end\n"))
                file.write_text("\n".join(self._keys.public(name) for name in named) + end)
            case "krl":
                make_krl(self._keys, file, named, pick(_SPECIFICATIONS))
            case "garbage":
                file.write_bytes(
                    pick((b"garbage\n", b"SSHKRL\n\0\1", b"SSHKRL\n\0" + bytes(80), b"# ok\n\r\n"))
                )
            case "folder":
                file.mkdir()
        case.lines.append(f"RevokedHostKeys {'none' if kind == 'none' else file}")

    def _algorithms(self, case: Case) -> None:
        case.words.add("algorithms")
        case.lines.append(f"HostKeyAlgorithms {self._random.choice(_ALGORITHMS)}")

    def _authority_algorithms(self, case: Case) -> None:
        case.words.add("ca-algorithms")
        values = (
            "rsa-sha2-512",
            "ssh-ed25519",
            "+ssh-rsa",
            "-ssh-ed25519",
            "^rsa-sha2-256",
            "ssh-*",
        )
        case.lines.append(f"CASignatureAlgorithms {self._random.choice(values)}")

    def _size(self, case: Case) -> None:
        case.words.add("rsa-size")
        case.lines.append(f"RequiredRSASize {self._random.choice((1024, 2048, 3072))}")

    def _family(self, case: Case) -> None:
        case.words.add("family")
        case.lines.append(f"AddressFamily {self._random.choice(('any', 'inet', 'inet6'))}")

    def _harmless(self, case: Case) -> None:
        case.lines.append(self._random.choice(_LAX))
        case.words.add("lax")

    def _nested(self, case: Case) -> None:
        """Put a line behind a condition, or into another file."""
        case.words.add("nested")
        pick = self._random.choice
        moved = [case.lines.pop(self._random.randrange(len(case.lines)))]
        included = case.folder / f"included{len(list(case.folder.iterdir()))}"
        match self._random.randrange(6):
            case 0 | 4:
                pattern = pick(_patterns(case.address, case.sibling))
                case.lines.append("\n".join((f"Host {pattern}", *moved, "Host *")))
            case 1:
                word = pick(("host", "originalhost"))
                case.lines.append("\n".join((f"Match {word} {case.address}", *moved, "Match all")))
            case 5:
                included.mkdir()
                for name in self._random.sample(("b", "a", ".a", ".b", "ab"), 4):
                    (included / name).write_text("# nothing\nHost *\n")
                (included / pick(("b", "a", ".a", "ab"))).write_text("\n".join((*moved, "")))
                case.lines.append(f"Include {included}/{pick(('*', '?', '[ab]', '.*', 'a*'))}")
            case 2:
                included.write_text("\n".join((*moved, "")))
                case.lines.append(f"Include {included}")
            case _:
                included.write_text("\n".join(("Host *", *moved, "")))
                case.lines.append(
                    "\n".join(
                        (f"Host {pick((case.address, 'x'))}", f"Include {included}", "Host *")
                    )
                )

    # Oddities of lines.

    def _cut(self, line: bytes) -> bytes:
        return line[: self._random.randrange(len(line))]

    def _flip(self, line: bytes) -> bytes:
        at = self._random.randrange(len(line))
        odd = self._random.choice(
            (b" ", b"\t", b"\0", b"\r", b"\v", b"\xe9", b"=", b",", b"!", b"*", b"A")
        )
        return line[:at] + odd + line[at + self._random.choice((0, 1)) :]

    def _spaced(self, line: bytes) -> bytes:
        return self._random.choice((b"  ", b"\t", b" \t ")) + line

    def _tabbed(self, line: bytes) -> bytes:
        return line.replace(b" ", b"\t", self._random.choice((1, 2, 9)))

    def _marked(self, line: bytes) -> bytes:
        return (
            self._random.choice(
                (b"@unknown ", b"@revoked @cert-authority ", b"@", b"#", b"@Revoked ")
            )
            + line
        )

    def _renamed(self, line: bytes) -> bytes:
        return _KIND.sub(self._random.choice(_KINDS), line)

    def _long(self, line: bytes) -> bytes:
        return self._random.choice((b"x" * 1022, b"x" * 1023, b"x" * 5000)) + b"," + line

    def _joined(self, line: bytes) -> bytes:
        return line + self._random.choice((b"\x0c", b"\x85", b"\xe2\x80\xa8", b"\v")) + line


def _patterns(host: str, sibling: str) -> tuple[str, ...]:
    """What may stand behind ``Host``: of one host, of another, of both."""
    return (
        host,
        sibling,
        "*",
        "other",
        f"!{host} *",
        "WEB.EXAMPLE",
        f"{host},{sibling}",
        f"{host}, {sibling}",
        f"{host},other {sibling}",
        f"{sibling} # {host}",
        f"a !{host},x *",
        f'"{host}" {sibling}',
        f"?{host[1:]}",
        f"??{host[1:]}",
        f"?{host[2:]}*",
        f"={sibling}",
    )


_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_CERTIFIED = b"-cert-v01@openssh.com"
_KIND = re.compile(rb"(?:ssh-ed25519|ssh-rsa)(?:-cert-v01@openssh\.com)?")
_KINDS = (
    b"ssh-rsa",
    b"rsa-sha2-256",
    b"rsa-sha2-512",
    b"ssh-unknown",
    b"ecdsa-sha2-nistp256",
    b"ssh-ed25519" + _CERTIFIED,
    b"ssh-rsa" + _CERTIFIED,
    b"rsa-sha2-256" + _CERTIFIED,
    b"rsa-sha2-512" + _CERTIFIED,
)
_ODDITIES: tuple[Callable[[Generator, bytes], bytes], ...] = (
    Generator._cut,
    Generator._flip,
    Generator._flip,
    Generator._spaced,
    Generator._tabbed,
    Generator._marked,
    Generator._renamed,
    Generator._long,
    Generator._joined,
)
_OPTIONS: tuple[Callable[[Generator, Case], None], ...] = (
    Generator._revoked,
    Generator._revoked,
    Generator._algorithms,
    Generator._authority_algorithms,
    Generator._size,
    Generator._harmless,
    Generator._family,
    Generator._nested,
    Generator._nested,
)
_SPECIFICATIONS = (
    "",
    "",
    "serial: 42\n",
    "serial: 40-50\n",
    "id: id-good\n",
    "serial: 7\n",
    "serial: 1-3\nserial: 41\nserial: 42\n",
)
_ALGORITHMS = (
    "ssh-ed25519",
    "rsa-sha2-512,rsa-sha2-256",
    "rsa-sha2-256",
    "ecdsa-sha2-nistp256,ssh-ed25519",
    "-ssh-ed25519",
    "-ssh-ed25519*",
    "+ssh-rsa",
    "^rsa-sha2-512",
    "^ecdsa-sha2-*",
    "ssh-ed25519-cert-v01@openssh.com",
    "*-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-512",
)
_LAX = (
    "NoHostAuthenticationForLocalhost yes",
    "StrictHostKeyChecking no",
    "StrictHostKeyChecking accept-new",
    "VerifyHostKeyDNS yes",
    "CheckHostIP yes",
    "UpdateHostKeys yes",
    "HashKnownHosts yes",
    "KnownHostsCommand /bin/false",
    "KnownHostsCommand none",
    "CanonicalizeHostname no",
)
