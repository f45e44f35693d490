"""What sources say of hosts, and what an inventory is to say of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum


class Way(Enum):
    """Where hosts are looked for."""

    AUTO = "auto"
    FLAKE = "flake"
    COLMENA = "colmena"
    DEPLOY_RS = "deploy-rs"
    SSH_CONFIG = "ssh-config"
    NIXOS_HOSTS = "nixos-hosts"


@dataclass(frozen=True, slots=True)
class Said:
    """A value, and who says so.

    Attributes:
        value: A text, a port, a list of tags, or hardware.
        origin: Such as ``deploy.nodes.web1.hostname``.
        guessed: Whether nobody says so.
    """

    value: str | int | tuple[str, ...] | Mapping[str, str]
    origin: str
    guessed: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one source says of one host.

    Attributes:
        values: ``address``, ``user``, ``port``, ``jump``, ``identity``, ``tags``, ``build``, as far
            as it says them.
        notices: What it says besides, and is not carried over.
        no_machine: Why it is no machine that its own system is deployed to; empty where it is one.
    """

    values: Mapping[str, Said] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    no_machine: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """One source, and what it says of hosts by the attribute below ``nixosConfigurations``."""

    name: str
    hosts: Mapping[str, Evidence]


@dataclass(frozen=True, slots=True)
class NewHost:
    """A host, as the inventory is to have it.

    Attributes:
        name: Its name there.
        attr: The attribute below ``nixosConfigurations``.
        flake: The flake that has it, as ``flake`` of a host has it; ``None``: the fleet's.
        values: By key: ``address``, ``template``, ``user``, ``port``, ``jump``, ``identity``,
            ``tags``, ``build``, ``hardware``.
    """

    name: str
    attr: str
    values: Mapping[str, Said]
    flake: str | None = None

    @property
    def address(self) -> str:
        """Where it answers."""
        return str(self.values["address"].value)

    @property
    def guessed(self) -> tuple[str, ...]:
        """The keys of which nobody said anything."""
        return tuple(key for key, said in self.values.items() if said.guessed)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is no host of the inventory, and why."""

    attr: str
    why: str


@dataclass(frozen=True, slots=True)
class Target:
    """Where a host answers, taken apart: ``ssh://root@web1:2222``."""

    host: str
    user: str | None = None
    port: int | None = None


_TARGET = re.compile(
    r"(?:ssh(?:-ng)?://)?(?:(?P<user>[^@/\s]+)@)?"
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[^\]\s]+)?)\]|(?P<host>[^:/@\s]+)|(?P<bare>[0-9A-Fa-f:.]+))"
    r"(?::(?P<port>[0-9]{1,5}))?/?"
)


def parse_target(text: str) -> Target | None:
    """Take ``[ssh://][user@]host[:port]`` apart; ``None`` where it is no such thing."""
    found = _TARGET.fullmatch(text)
    if found is None:
        return None
    port = int(found["port"]) if found["port"] else None
    return Target(found["v6"] or found["host"] or found["bare"], found["user"], port)


_OPTION = re.compile(r"-(?P<letter>[piJ])(?P<value>.*)", re.DOTALL)
_LETTERS = {"p": "port", "i": "identity", "J": "jump"}
_WORDS = {"port": "port", "identityfile": "identity", "proxyjump": "jump", "user": "user"}


def read_ssh_options(words: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Read what an inventory can say too out of options of ssh.

    Returns:
        ``port``, ``identity``, ``jump``, ``user``, and the words that are none of these.
    """
    found: dict[str, str] = {}
    others: list[str] = []
    # `-o Port=2222` may be one word of the list, as a shell would have split it.
    rest = [part for word in words for part in word.split()][::-1]
    while rest:
        word = rest.pop()
        letter = _OPTION.fullmatch(word)
        if letter is not None and (letter["value"] or rest):
            found.setdefault(_LETTERS[letter["letter"]], letter["value"] or rest.pop())
        elif word.startswith("-o") and (word != "-o" or rest):
            option = word[2:] or rest.pop()
            key, _, value = option.partition("=")
            if (ours := _WORDS.get(key.lower())) and value:
                found.setdefault(ours, value)
            else:
                others.append(f"-o {option}")
        else:
            others.append(word)
    return found, tuple(others)


def words_of(name: str) -> frozenset[str]:
    """The words in a name, in lower case: ``sd-image``, ``nixosIso`` and ``web.example`` have two.

    Digits at a word's end count for nothing: ``web1``.
    """
    parts = re.split(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])", name)
    return frozenset(word.lower() for part in parts for word in (part, part.rstrip("0123456789")))


_IMAGE = re.compile(
    "iso|isoimage|liveiso|livecd|liveusb|installer|installimage|install|netboot|kexec|sdimage|"
    "sdcard|image|rescue|pxe"
)


def is_image(name: str) -> bool:
    """Whether a configuration's name is that of an image or an installer, and of no machine."""
    words = words_of(name)
    return any(map(_IMAGE.fullmatch, words)) or {"sd", "card"} <= words


TEMPLATES: Mapping[str, str] = {
    "server": "Runs unattended, and is always on.",
    "workstation": "A person sits before it.",
    "laptop": "A person carries it: often off, or elsewhere.",
}
"""Kinds of machine that an inventory begins with, and their descriptions."""

_KINDS: Mapping[str, re.Pattern[str]] = {
    "laptop": re.compile(
        "laptop|notebook|thinkpad|xps|framework|macbook|mbp|zenbook|yoga|latitude|elitebook|surface|"
        "chromebook|portable|razer|ideapad|inspiron|x1c|t4[0-9]{2}s?|x2[0-9]{2}|asahi|travel"
    ),
    "workstation": re.compile(
        "workstation|desktop|pc|tower|gaming|gamer|rig|htpc|battlestation|desk|ws|office"
    ),
    "server": re.compile(
        "server|srv|web|www|db|database|postgres|mysql|nas|vps|mail|smtp|proxy|cache|builder|build|"
        "git|gitea|forgejo|ci|runner|monitor|monitoring|grafana|prometheus|router|gateway|gw|"
        "firewall|dns|ns|node|worker|master|control|k8s|k3s|kube|cluster|hypervisor|backup|storage|"
        "media|plex|jellyfin|homeserver|homelab|rpi|pi|hetzner|linode|oracle|aws|cloud|edge|lb|"
        "bastion|vpn|headless"
    ),
}


def template_of(name: str, tags: Iterable[str]) -> Said | None:
    """Guess the kind of a machine: by its tags, else by its name; ``None``: nothing tells it."""
    for source, texts in (("its tags", tuple(tags)), ("its name", (name,))):
        words = {word for text in texts for word in words_of(text)}
        kinds = [kind for kind, known in _KINDS.items() if any(map(known.fullmatch, words))]
        if len(kinds) == 1:
            return Said(kinds[0], source, guessed=True)
    return None
