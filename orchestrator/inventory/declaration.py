"""The one declaration of what an inventory may say. Reading, messages and JSON Schema follow it."""

from __future__ import annotations

from enum import Enum

from orchestrator.core.host import LastResort, NewlyFailed, UnsignedBuilds, WhenUnreachable
from orchestrator.core.rollout import WhenSpent
from orchestrator.inventory.class_keys import CLASS_KEYS, numbered
from orchestrator.inventory.containers import NAME_PATTERN, Key, ListOf, Named, Record, reference
from orchestrator.inventory.features import CATALOGUED, FEATURE_NAME, TIER, Chosen
from orchestrator.inventory.kinds import (
    AmountOrText,
    Boolean,
    Duration,
    Facts,
    Integer,
    Size,
    Switch,
    Text,
    Word,
)
from orchestrator.inventory.nix_keys import BUILDER, FLAKE, NIX, PATH, RELATIVE, SECRETS
from orchestrator.inventory.risk_keys import RISK
from orchestrator.inventory.security_keys import SECURITY

# Every pattern refuses a leading dash, white space at the ends and control characters: these texts
# reach command lines and configuration files, and must never be taken for an option there.
_HOST_NAME = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ACCOUNT = r"[A-Za-z_][A-Za-z0-9_.-]{0,31}"
_ADDRESS = r"[A-Za-z0-9_.:][A-Za-z0-9_.:-]{0,252}(?:%[A-Za-z0-9_.-]{1,32})?"
_HOP_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.][A-Za-z0-9_.-]{0,252})"
_HOP = rf"(?:{_ACCOUNT}@)?{_HOP_HOST}(?::[0-9]{{1,5}})?"
_BECOME = r"[A-Za-z0-9_./][A-Za-z0-9_./@%+=:,-]{0,127}(?: [A-Za-z0-9_./@%+=:,-]{1,128}){0,15}"
_SSH_KEY = (
    r"(?:ssh|ecdsa|sk)-[a-z0-9@.-]{1,64} [A-Za-z0-9+/]{16,4096}={0,2}(?: [^\x00-\x1f\x7f]{0,256})?"
)

# https://nix.dev/manual/nix/latest/store/types/
_STORE = r"(?:https?|s3|file|ssh|ssh-ng)://[^\x00-\x20\x7f;#\"']{1,512}"
_PUBLIC_KEY = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}:[A-Za-z0-9+/]{43}="


# "here" and "target" are places to build; the others are words of selectors.
RESERVED = ("and", "or", "not", "here", "target")

HOST_NAME = Text(
    "1 to 63 of a-z, 0-9 and '-', no '-' at either end (RFC 1123; a configuration of another name "
    "is named by `attr:` below it)",
    _HOST_NAME,
    reserved=RESERVED,
)
ADDRESS = Text("a host name, an IP address or an alias of ~/.ssh/config", _ADDRESS)
NAME = Text("a name of letters, digits, '_', '-' and '.'", NAME_PATTERN)
ACCOUNT = Text("an account's name: letters, digits, '_', '-' and '.'", _ACCOUNT)
_FILE = Text("a file's path", PATH)
_DESCRIPTION = Key("description", Text("a text", r"[^\x00-\x08\x0b-\x1f\x7f]*"), "For people.")


def _word(kind: type[Enum]) -> Word:
    return Word(tuple(one.value for one in kind))


def _record(what: str, *keys: Key) -> Record:
    return Record(what, keys)


def _entry(what: str, *keys: Key, required: tuple[str, ...] = ()) -> Record:
    """Of a section's entries, which people describe."""
    return Record(what, (*keys, _DESCRIPTION), required=required)


_CONNECT = Record(
    "connect",
    (
        Key("user", ACCOUNT, "The user to log in as; else ~/.ssh/config says."),
        Key("port", Integer(1, 65535), "The TCP port; else ~/.ssh/config says, else 22."),
        Key(
            "jump",
            Text("[user@]host[:port], several with commas", rf"{_HOP}(?:,{_HOP}){{0,7}}"),
            "A jump host, as ssh's ProxyJump takes it.",
        ),
        Key("identity", _FILE, "A private key file."),
        Key("sudo", Boolean(), "Whether root is reached through sudo, where user is not root."),
        Key(
            "become",
            Text("sudo, sudo-rs, doas, run0, or the words before a command", _BECOME),
            "By what root is reached, where user is not root; else sudo.",
        ),
        Key(
            "sudo_password",
            Boolean(),
            "Whether sudo asks for a password; once a host says so, no other is given one.",
        ),
    ),
)
_SUITE = Text("a path relative to the fleet's root, without '..'", RELATIVE, section="suites")
_VERIFY = _record(
    "verify",
    Key(
        "suites",
        ListOf(_SUITE),
        "Test files or folders that run after those found by convention.",
    ),
    Key("settle", Duration(zero=True), "Time between activation and the first try."),
    Key("retries", Integer(0, 100), "How often a failing check is tried again."),
    Key("interval", Duration(zero=True), "Time between two tries."),
)
_DEADLINES = _record(
    "deadlines",
    Key("connect", Duration(), "How long connecting may take."),
    Key("evaluate", Duration(), "How long evaluating may take."),
    Key("build", Duration(), "How long building may take."),
    Key("copy", Duration(), "How long copying may take."),
    Key("activate", Duration(), "How long activating may take."),
    Key("verify", Duration(), "How long verifying may take, with its tries."),
    Key("reboot", Duration(), "How long a reboot may take, until the host answers again."),
    Key("lock", Duration(), "How long a lock counts whose deployer is gone (at most 1h)."),
)
_GUARD = _record(
    "guard",
    Key("confirm", Duration(), "Time for the new connection after activation."),
    Key("health", Duration(), "Time from that connection until all is verified."),
    Key(
        "failed_units",
        _word(NewlyFailed),
        "Whether units that newly fail are reported, or take the host back.",
    ),
    Key(
        "steady",
        Duration(zero=True),
        "How long a service with `Restart=` must have been up before the commit.",
    ),
    Key(
        "last_resort",
        _word(LastResort),
        "Whether a host that boots unattended is booted where nobody gets in any more.",
    ),
)
_PREFLIGHT = _record(
    "preflight",
    Key("store_margin", Size(), "What must be left free in the store."),
    Key("clock_skew", Duration(), "By how much the host's clock may be wrong."),
    Key("closure_budget", Size(), "The most that a system may take, with all that it needs."),
)
SETTINGS = (
    Key("connect", _CONNECT, "How a host is reached."),
    Key(
        "build",
        reference("hosts", "another host", ("here", "target")),
        "Where a system is built: here, on the target, or on the named host.",
    ),
    Key(
        "substitute",
        Switch(reference("caches", "true, false or a cache")),
        "Whether a host fetches its system, and from which cache; else it is copied to it.",
    ),
    Key(
        "unsigned_builds",
        _word(UnsignedBuilds),
        "Whether a host takes what another machine built and no key signed.",
    ),
    Key("specialisation", NAME, "Which one of its system a host runs: keep, none, or a name."),
    Key("system", Text("a Nix system for Linux", r"[a-z0-9_]{1,32}-linux"), "The Nix system."),
    Key(
        "state_version",
        Text('a release such as "25.05"', r"[0-9]{2}\.[0-9]{2}"),
        "NixOS's system.stateVersion; in quotes.",
    ),
    Key("roles", ListOf(NAME), "What hosts do for the fleet, such as cache."),
    Key("tags", ListOf(NAME), "Labels to select hosts by."),
    Key("users", ListOf(reference("users")), "Accounts, declared under users."),
    Key("hardware", Facts(), "Free-form facts for the templates, such as cpu: amd."),
    Key("verify", _VERIFY, "How a host is verified after activation."),
    Key("deadlines", _DEADLINES, "How long each phase may take on a host."),
    Key("guard", _GUARD, "When the guard on a host rolls back by itself."),
    Key("preflight", _PREFLIGHT, "What a host must have before anything is copied to it."),
    Key(
        "unreachable",
        _word(WhenUnreachable),
        "Whether a host that does not answer has failed, or its system waits for it.",
    ),
    Key("pending_expiry", Duration(days=365), "For how long its system waits for it."),
    Key("nix", NIX, "How Nix evaluates and builds its system."),
    *RISK,
    *SECURITY,
)

_FEATURES = Key(
    "features",
    Chosen(),
    "Features, declared under features; each is templates/features/NAME.nix. As a mapping: with "
    "settings, and `remove` for those that it is not to have.",
)
_TIER = Key("tier", reference("tiers"), "The bundle of features that it has.")
_PROFILES = Key("profiles", ListOf(reference("profiles")), "Profiles, in the order they apply.")
_LAYER = (*SETTINGS, _TIER, _FEATURES)

HOST = _entry(
    "a host",
    Key("address", numbered(ADDRESS), "Where the host answers; its name, where this is left out."),
    *CLASS_KEYS,
    Key(
        "attr",
        Text("an attribute's name", r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"),
        "The attribute below nixosConfigurations; the host's name, where this is left out.",
    ),
    Key("flake", FLAKE, "The flake that has it, where that is another than the fleet's."),
    Key("template", reference("templates"), "The kind of machine it is."),
    _PROFILES,
    *_LAYER,
    Key(
        "machine_id",
        Text("32 hexadecimal digits, in quotes", r"[0-9a-f]{32}"),
        "Its /etc/machine-id: where this machine's equals it, the host is this machine.",
    ),
)


def _extends(section: str) -> Key:
    another = reference(section, f"another {section[:-1]}")
    return Key("extends", another, "Another one whose settings come first.")


_TEMPLATE = _entry("a template", _extends("templates"), _PROFILES, *_LAYER)
_PROFILE = _entry("a profile", _extends("profiles"), *_LAYER)
_FEATURE = _entry("a feature", *SETTINGS, *CATALOGUED)

_FLEET = _record(
    "fleet",
    Key("name", NAME, "The fleet's name; the folder's, where this is left out."),
    Key(
        "flake",
        FLAKE,
        "The flake with nixosConfigurations; the fleet's root, where this is left out.",
    ),
)
_LIMITED = ("evaluations", "builds", "copies", "activations", "connections", "verifications")
_LIMITS = _record(
    "limits",
    Key("evaluation_memory", Size(), "The memory that evaluations may take together."),
    *(
        Key(name, Integer(1, 1024), f"How many {name} may be under way at once.")
        for name in _LIMITED
    ),
)
_NIXPKGS = Text("a path or a flake URL without '#'", FLAKE.pattern)
_LAB = _record(
    "lab",
    Key("nixpkgs", _NIXPKGS, "What its hosts are built by; else a stand-in."),
    Key("secrets", Word(("own", "placeholder")), "What its hosts have for the fleet's secrets."),
)
_USER = _entry(
    "a user",
    Key("groups", ListOf(Text("a group's name", _ACCOUNT)), "Groups besides its own."),
    Key(
        "shell",
        Text("a shell's package name or path", r"[A-Za-z0-9_/][A-Za-z0-9_/.+-]{0,254}"),
        "The login shell.",
    ),
    Key(
        "ssh_keys",
        ListOf(Text("an OpenSSH public key on one line", _SSH_KEY, secret=True)),
        "Public keys that may log in.",
    ),
    Key(
        "profiles",
        ListOf(reference("profiles")),
        "Profiles whose user part it gets, on hosts that have them.",
    ),
)

_CACHE = _entry(
    "a cache",
    Key(
        "url",
        Text("a store's URL, such as http://cache.lan", _STORE),
        "Where hosts fetch; as they see it.",
    ),
    Key(
        "public_key",
        Text("NAME:KEY, as nix-store --generate-binary-cache-key writes it", _PUBLIC_KEY),
        "What hosts trust: all that they fetch must be signed by it.",
    ),
    Key(
        "push",
        Text("a store's URL, such as file:///srv/cache or ssh-ng://cache", _STORE),
        "Where this machine copies to; others fill the cache, where this is left out.",
    ),
    Key(
        "secret_key",
        _FILE,
        "The file of the key that signs what is pushed; relative to the fleet's root.",
    ),
    required=("url", "public_key"),
)
_BATCH = Key("batch", AmountOrText(), "How many hosts at a time: a number, or such as 25%.")
_PAUSE = Key("pause", Duration(zero=True), "Time between two waves.")
_SELECTOR = Text("a selector, such as tag:canary", r"[^\x00-\x1f\x7f-][^\x00-\x1f\x7f]{0,1999}")
_STAGE = _entry(
    "a stage",
    Key("hosts", _SELECTOR, "A selector of its hosts."),
    _BATCH,
    _PAUSE,
    required=("hosts",),
)
_ROLLOUT = _record(
    "rollout",
    Key("canary", AmountOrText(_SELECTOR), "Who goes first: a number, a share, a selector."),
    _BATCH,
    _PAUSE,
    Key("budget", AmountOrText(), "How many hosts must fail for the rollout to be stopped."),
    Key("when_spent", _word(WhenSpent), "What to do with deployed hosts, once so many failed."),
    Key("stages", Named("stage", NAME, _STAGE), "Stages, one after the other, in this order."),
)

# Sections that are told once, over all files; the others have entries by name.
SINGLE = ("fleet", "limits", "lab", "rollout", "builders", "secrets", "defaults", "tiers")
DOCUMENT = _record(
    "an inventory file",
    Key("fleet", _FLEET, "The fleet as a whole."),
    Key("limits", _LIMITS, "How much may be under way at once, over the whole fleet."),
    Key("lab", _LAB, "The lab: the fleet's hosts on one machine."),
    Key("rollout", _ROLLOUT, "How deployments go over the hosts: who first, how many at once."),
    Key("builders", ListOf(BUILDER), "Machines that build for this one; else Nix's own."),
    Key("caches", Named("cache", NAME, _CACHE), "Binary caches that hosts fetch from."),
    Key("secrets", SECRETS, "How secrets.nix is read."),
    Key("users", Named("user", ACCOUNT, _USER), "Accounts that hosts may have."),
    Key("defaults", Record("defaults", _LAYER, layer="defaults"), "Settings of every host."),
    Key("templates", Named("template", NAME, _TEMPLATE), "Kinds of machine."),
    Key("profiles", Named("profile", NAME, _PROFILE), "What machines are used for."),
    Key("features", Named("feature", FEATURE_NAME, _FEATURE), "Single abilities."),
    Key("tiers", Named("tier", NAME, TIER), "Bundles of features, the least one first."),
    Key("hosts", Named("host", HOST_NAME, HOST), "The machines."),
)
