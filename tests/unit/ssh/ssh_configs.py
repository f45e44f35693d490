"""Generated ``ssh_config`` files, in whichever form ssh takes, and what ssh says of them itself."""

from __future__ import annotations

import random
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.core.host import Connect

HOSTS = ("web1", "web2", "WEB1.example", "10.0.0.7", "db", "::1")

_VALUES: dict[str, tuple[str, ...]] = {
    "AddKeysToAgent": ("yes", "no", "ask", "confirm 5m"),
    "AddressFamily": ("any", "inet", "inet6"),
    "BatchMode": ("yes", "no"),
    "BindAddress": ("127.0.0.1", "::1", "localhost"),
    "BindInterface": ("lo",),
    "CASignatureAlgorithms": ("ssh-ed25519", "^ssh-ed25519", "-rsa-sha2-256"),
    "CanonicalizeHostname": ("no",),
    "CertificateFile": ("@/id-cert.pub", "@/missing", "@/junk", "none"),
    "CheckHostIP": ("yes", "no"),
    "Ciphers": ("aes256-ctr", "^aes128-ctr", "-aes*", "+aes256-cbc", "3des-cbc,aes192-ctr"),
    "ClearAllForwardings": ("yes", "no"),
    "Compression": ("yes", "no"),
    "ConnectTimeout": ("5m", "1h30m", "30", "none", "0", "1d"),
    "ConnectionAttempts": ("1", "3"),
    "ControlMaster": ("auto", "no"),
    "ControlPath": ("none", "@/%C", "@/%r@%h:%p"),
    "ControlPersist": ("10m", "yes", "no"),
    "DynamicForward": ("1080",),
    "EnableSSHKeysign": ("no",),
    "EscapeChar": ("none", "~"),
    "ExitOnForwardFailure": ("yes",),
    "FingerprintHash": ("md5", "sha256"),
    "ForkAfterAuthentication": ("yes", "no"),
    "ForwardAgent": ("yes", "no", "@/agent", "$SSH_AUTH_SOCK"),
    "ForwardX11": ("yes", "no"),
    "GSSAPIAuthentication": ("yes", "no"),
    "GSSAPIDelegateCredentials": ("yes", "no"),
    "GatewayPorts": ("yes",),
    "GlobalKnownHostsFile": ("none", "@/known", "/dev/null", '"@/known" @/missing'),
    "HashKnownHosts": ("yes", "no"),
    "HostKeyAlgorithms": ("ssh-ed25519", "+ssh-rsa", "^rsa-sha2-512", "-ecdsa*", "ssh-rsa"),
    "HostKeyAlias": ("alias", "Alias.Example", "web2"),
    "HostName": ("10.0.0.9", "%h.example", "real.example", "WEB9", "%%h", "%h"),
    "IPQoS": ("af21 cs1", "none", "throughput"),
    "IdentitiesOnly": ("yes", "no"),
    "IdentityAgent": ("none", "@/agent", "SSH_AUTH_SOCK", "$NOWHERE", "${KEYS}/agent", "@/%r"),
    "IdentityFile": (
        *("@/id", "@/missing", "@/junk", "~/.ssh/id_ed25519", "@/%h", "${KEYS}/id", "none"),
        *('"@/with space"', "@/%C", "@/id%%", "@/%r-%p-%n-%u-%L-%i", "@/%r", "@/%p", "@/%n"),
    ),
    "IgnoreUnknown": ("UseKeychain,Foo*", "UseKeychain"),
    "KbdInteractiveAuthentication": ("yes", "no"),
    "KexAlgorithms": ("curve25519-sha256", "^ecdh-sha2-nistp256", "-diffie*", "+sntrup*"),
    "KnownHostsCommand": ("none", "/bin/cat @/known", "/bin/grep -F %H @/known"),
    "LocalCommand": ("echo hello # world",),
    "LocalForward": ("8080 localhost:80", "[::1]:1 x:2"),
    "LogLevel": ("QUIET", "DEBUG3", "info"),
    "MACs": ("hmac-sha2-256", "-hmac-sha1*", "^hmac-sha2-512-etm@openssh.com"),
    "NoHostAuthenticationForLocalhost": ("yes", "no"),
    "NumberOfPasswordPrompts": ("1",),
    "PKCS11Provider": ("none", "/missing.so"),
    "PasswordAuthentication": ("yes", "no"),
    "PermitLocalCommand": ("yes", "no"),
    "PermitRemoteOpen": ("any", "x:1"),
    "Port": ("22", "2222", "65535"),
    "PreferredAuthentications": ("publickey", "password,publickey", "gssapi-with-mic,publickey"),
    "ProxyCommand": (
        *("nc %h %p", "nc -X 5 %n %p # not a comment", "ssh $HOME gate", "none", "sh -c 'nc %h'"),
        *("~/bin/proxy %r@%h:%p", "echo 100%% $(hostname)", 'nc "%h" %p'),
    ),
    "ProxyJump": ("gate", "me@gate:2222", "a,b:3,c@d", "none", "ssh://me@gate:22", "[::1]:22"),
    "ProxyUseFdpass": ("yes", "no"),
    "PubkeyAcceptedAlgorithms": ("ssh-ed25519", "-ssh-rsa*", "^rsa-sha2-512", "+ssh-rsa"),
    "PubkeyAuthentication": ("yes", "no", "unbound", "host-bound"),
    "RekeyLimit": ("1G", "512M 1h", "default 30m", "default none", "4G none"),
    "RemoteCommand": ("uptime", "none", "tmux new -A # x"),
    "RemoteForward": ("9000 localhost:9000",),
    "RequestTTY": ("force", "yes", "no", "auto"),
    "RequiredRSASize": ("2048", "3072"),
    "RevokedHostKeys": ("none", "@/revoked"),
    "SendEnv": ("LANG LC_*", "COLORTERM FOO*", "-LANG"),
    "ServerAliveCountMax": ("5",),
    "ServerAliveInterval": ("1m", "0", "30"),
    "SessionType": ("none", "default", "subsystem"),
    "SetEnv": ("A=1", 'A="two words" B=', "TERM=xterm"),
    "StdinNull": ("yes", "no"),
    "StreamLocalBindMask": ("0177",),
    "StreamLocalBindUnlink": ("yes",),
    "StrictHostKeyChecking": ("no", "ask", "accept-new", "yes"),
    "TCPKeepAlive": ("yes", "no"),
    "Tunnel": ("no", "yes"),
    "UpdateHostKeys": ("yes", "no", "ask"),
    "User": ("root", "deploy", '"quoted"', "o.k-1"),
    "UserKnownHostsFile": (
        *("none", "@/known", "@/known @/missing", "@/%k", "${KEYS}/known", "~/.ssh/known_hosts"),
        *('"@/known"', '"@/with space"', "/dev/null", "@/%h.%p.%r"),
    ),
    "VerifyHostKeyDNS": ("yes", "ask"),
    "VisualHostKey": ("yes",),
    "XAuthLocation": ("/usr/bin/xauth",),
}
_RAW = frozenset({"ProxyCommand", "LocalCommand", "RemoteCommand", "KnownHostsCommand"})
"""Of these the rest of the line is the value, with what looks like a comment."""

_ODD = ("# a comment", "", "\t", "  # 'x", 'User "open', "NoSuchOption yes", "UseKeychain yes")

_PATTERNS = (
    *(
        "*",
        "*",
        "*",
        "web1",
        "web2",
        "web?",
        "*.example",
        "!web1 *",
        "web1 web2",
        "10.0.0.*",
        "WEB1*",
    ),
    *("web1,web2", '"web1"', "web1 # and others", "!*", "d? !db", "other", "web*,!web1"),
)
_CONDITIONS = (
    *("all", "host web1", "host web*,!web2", "originalhost web1", "user root", "localuser *"),
    *('exec "true"', 'exec "test %n = web1"', "final", "final host web1", "canonical"),
    *("!host web1", "host=web1", 'exec "test %h = web2" host *', "!exec false", "host 10.0.0.9"),
)
_NEWER = ("tagged x", "localnetwork 10.0.0.0/8", "version *", "sessiontype exec", "command true")
"""Conditions that not every ssh knows: those that do not refuse the file."""

_COMMENTS = ("", "", "", "", " # rack 3", "  # don't", ' # "x')


@dataclass
class Generator:
    """Writes files for one case; the same random numbers write the same files."""

    random: random.Random
    folder: Path
    _files: int = field(default=0)

    def config(self) -> Path:
        """Write a configuration, and what it includes."""
        file = self.folder / "config"
        self._write(file, depth=2)
        return file

    def target(self) -> Connect:
        """A host as an inventory may have it."""
        pick = self.random.choice
        return Connect(
            pick(HOSTS),
            pick((None, None, None, "root", "deploy")),
            pick((None, None, None, 22, 2200)),
            pick((None, None, None, None, "gate", "me@gate:2222,b")),
        )

    def _write(self, file: Path, depth: int) -> None:
        lines = [*self._lines((0, 0, 1, 2))]
        for _ in range(self.random.choice((1, 1, 2, 3))):
            lines.extend(self._block(depth))
        end = self.random.choice(("\n", "\n", "\n", "\r\n"))
        file.write_text(end.join(lines) + end, newline="")

    def _block(self, depth: int) -> list[str]:
        pick = self.random.choice
        if depth and pick((0, 0, 0, 1)):
            self._files += 1
            included = self.folder / f"more{self._files}"
            self._write(included, depth - 1)
            return [f"Include {included}"]
        conditions = _NEWER if pick((0,) * 19 + (1,)) else _CONDITIONS
        head = f"Match {pick(conditions)}" if pick((0, 0, 1)) else f"Host {pick(_PATTERNS)}"
        return [head, *self._lines((0, 1, 2, 3, 4))]

    def _lines(self, numbers: tuple[int, ...]) -> list[str]:
        return [self._line() for _ in range(self.random.choice(numbers))]

    def _line(self) -> str:
        pick = self.random.choice
        if pick((0,) * 40 + (1,)):
            return pick(
                (
                    "# a comment",
                    "",
                    "\t",
                    "  # 'x",
                    'User "open',
                    "NoSuchOption yes",
                    "UseKeychain yes",
                )
            )
        word = pick(tuple(_VALUES))
        value = pick(_VALUES[word]).replace("@/", f"{self.folder}/")
        if word not in _RAW:
            value += pick(_COMMENTS)
        word = pick((word, word, word.lower(), word.upper()))
        return pick(("", "", "  ", "\t")) + word + pick((" ", " ", "\t", " = ", "=")) + value


def asked(config: Path, target: Connect) -> dict[str, list[str]] | None:
    """What ssh says of a host; ``None``: it does not understand its files."""
    done = subprocess.run(
        (
            *("ssh", "-F", str(config), "-o", "RemoteCommand=none"),
            *(("-p", str(target.port)) if target.port else ()),
            *(("-l", target.user) if target.user else ()),
            *(("-J", target.jump) if target.jump else ()),
            *("-G", "--", target.address, "true"),
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        return None
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        word, _, value = line.partition(" ")
        found.setdefault(word, []).append(value)
    return found
