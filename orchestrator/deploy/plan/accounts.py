"""Whether the deployer's own login will be let in by a host's next system."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.core.checks import Check, Login, NextLogin, Shortfall

_NO_SHELLS = frozenset({"nologin", "false"})


@dataclass(frozen=True, slots=True)
class _Fault:
    """What keeps a deployer out, or may.

    Attributes:
        text: In words.
        certain: Whether nobody gets in, or becomes root, as this connection did.
        root: Whether it is about becoming root.
        remedy: What to do, where it is not about keys or root.
    """

    text: str
    certain: bool = True
    root: bool = False
    remedy: str = ""


def judged_login(login: Login, found: NextLogin) -> tuple[Shortfall, ...]:
    """Find what keeps a deployer from getting in, and from becoming root, as this connection did.

    What is certain refuses; where something is, what only may be is left out. What cannot be told
    at all (keys by a command, an authority's certificates, a file by another name) is not found:
    the guard sees it after the activation.

    Args:
        login: By whom and with which key the connection was made.
        found: What the host said.
    """
    faults = [*_account(login, found), *_sshd(login, found), *_key(login, found)]
    faults += _moved(found)
    if not any(fault.certain for fault in faults):
        faults += _root(login, found)
    certain = [fault for fault in faults if fault.certain]
    return tuple(_shortfall(fault, login) for fault in certain[:1] or faults)


def _shortfall(fault: _Fault, login: Login) -> Shortfall:
    what = "let this deployer become root" if fault.root else "let this deployer in"
    user = login.user
    if fault.remedy:
        remedy = fault.remedy
    elif fault.root:
        remedy = f"give user '{user}' a rule (security.sudo.extraRules), or the group wheel"
    else:
        remedy = (
            f"give the key to users.users.{user}.openssh.authorizedKeys.keys in the host's "
            "configuration (in the example fleet: `users: {NAME: {ssh_keys: […]}}` in the "
            f"inventory, of somebody in `wheel`). The key: {login.kind} {login.key}"
        )
    does = "does not" if fault.certain else "may not"
    return Shortfall(
        Check.ACCOUNTS,
        f"its new system {does} {what}: {fault.text}",
        remedy,
        ("id", user) if fault.root else ("getent", "passwd", user),
        refuses=fault.certain,
    )


def _account(login: Login, found: NextLogin) -> Iterator[_Fault]:
    user = login.user
    if found.removed:
        yield _Fault(f"it takes the account of user '{user}' away")
    shell = found.then.shell if found.then else ""
    if shell.rpartition("/")[2] in _NO_SHELLS:
        yield _Fault(f"the login shell of user '{user}' will be {shell}")
    today = _day(found.clock[1]) if len(found.clock) > 1 else None
    ends = _day(found.expires.replace("-", ""))
    if today and ends and ends - today <= timedelta(days=1):
        text = (
            f"the account of user '{user}' expires on {found.expires} (users.users.{user}.expires)"
        )
        yield _Fault(text, certain=ends <= today)
    if found.locked and found.says.get("usepam") == ("no",):
        yield _Fault(f"its sshd has UsePAM no, and user '{user}' a locked password", certain=False)


def _day(text: str) -> datetime | None:
    """Read a day, of ``20261129`` or a moment that begins so."""
    return _moment(text[:8])


def _moment(text: str) -> datetime | None:
    """Read ``YYYYMMDD[HHMM[SS]]``, as sshd(8) has it."""
    if not re.fullmatch(r"[0-9]{8}([0-9]{4}([0-9]{2})?)?", text):
        return None
    try:
        return datetime.strptime(text.ljust(14, "0"), "%Y%m%d%H%M%S")
    except ValueError:
        return None


def _sshd(login: Login, found: NextLogin) -> Iterator[_Fault]:
    if found.sshd == "gone":
        yield _Fault("it has no sshd (services.openssh.enable)")
    if found.sshd != "asked":
        return
    says, user = found.says, login.user
    root = says.get("permitrootlogin", ("yes",))[0]
    if user == "root" and root in ("no", "forced-commands-only"):
        yield _Fault(f"its sshd has PermitRootLogin {root}")
    if says.get("pubkeyauthentication") == ("no",):
        yield _Fault("its sshd takes no keys (PubkeyAuthentication no)")
    denied = [_fits(one, user, found.peer) for one in says.get("denyusers", ())]
    if True in denied:
        yield _Fault(f"its sshd lets user '{user}' not in (DenyUsers)")
    allowed = says.get("allowusers", ())
    fit = [_fits(one, user, found.peer) for one in allowed]
    if allowed and True not in fit:
        yield _Fault(f"its sshd lets only {', '.join(allowed)} in (AllowUsers)", None not in fit)
    if None in denied and True not in denied:
        yield _Fault("its sshd's DenyUsers has this user, from some places", certain=False)
    yield from _sshd_groups(user, found)


def _moved(found: NextLogin) -> Iterator[_Fault]:
    """Find an sshd that listens elsewhere: nobody would come to where it is reached today."""
    if not found.listens:
        return
    port = found.came.rpartition(":")[2]
    ports = sorted({where.rpartition(":")[2] for where in found.listens}, key=int)
    if port in ports:
        steps = "both addresses, deploy, set `connect: {address: …}` in the inventory"
    else:
        steps = (
            f"both (services.openssh.ports = [ {port} {ports[0]} ]), deploy, set `connect: {{port: "
            f"{ports[0]}}}` in the inventory"
        )
    yield _Fault(
        f"its sshd listens on {', '.join(found.listens)}, and no more on {found.came}, where this "
        "connection came to",
        certain=port not in ports,
        remedy=f"in two steps: have it listen on {steps}; then take the old one away and deploy",
    )


def _sshd_groups(user: str, found: NextLogin) -> Iterator[_Fault]:
    denied, allowed = (found.says.get(f"{word}groups", ()) for word in ("deny", "allow"))
    if found.groups is None:
        if denied or allowed:
            text = (
                f"its sshd has AllowGroups or DenyGroups, and the groups of '{user}' are not known"
            )
            yield _Fault(text, certain=False)
        return
    groups = ", ".join(sorted(found.groups)) or "no group"
    if _one_in(denied, found.groups):
        yield _Fault(f"its sshd lets members of {', '.join(denied)} not in (DenyGroups)")
    if allowed and not _one_in(allowed, found.groups):
        yield _Fault(
            f"its sshd lets only members of {', '.join(allowed)} in (AllowGroups), and user "
            f"'{user}' will be in {groups}"
        )


def _one_in(patterns: Iterable[str], groups: Iterable[str]) -> bool:
    """Whether one of some groups is meant, as sshd's ga_match_pattern_list() has it."""
    refused = [one[1:] for one in patterns if one.startswith("!")]
    if any(_names(pattern, group) for pattern in refused for group in groups):
        return False
    return any(_names(pattern, group) for pattern in patterns for group in groups)


def _fits(pattern: str, user: str, peer: str) -> bool | None:
    """Whether ``USER[@HOST]`` means a user at an address; ``None`` where that is not known."""
    name, at, host = pattern.rpartition("@")
    if not at:
        return _names(pattern, user)
    return _comes_from(host, peer) if _names(name, user) else False


def _comes_from(patterns: str, peer: str) -> bool | None:
    """Whether a list of hosts has an address; ``None`` where that is not known: it has a name."""
    fit = [_is_at(one.strip(), peer) for one in patterns.split(",")]
    refused = [one for one in patterns.split(",") if one.strip().startswith("!")]
    if any(_is_at(one.strip()[1:], peer) is True for one in refused):
        return False
    return True if True in fit else None if None in fit else False


def _is_at(pattern: str, peer: str) -> bool | None:
    if pattern.startswith("!"):
        return False
    try:
        address = ipaddress.ip_address(peer)
        if "/" in pattern:
            return address in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return None
    if _names(pattern, peer):
        return True
    return False if re.fullmatch(r"[0-9a-fA-F:.*?]*", pattern) else None


def _names(pattern: str, user: str) -> bool:
    """Whether a pattern of ``*`` and ``?`` fits a name: PATTERNS in ssh_config(5)."""
    if pattern.startswith("!"):
        return False
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, user, re.DOTALL) is not None


def _key(login: Login, found: NextLogin) -> Iterator[_Fault]:
    if found.sshd != "asked" or found.unread or login.is_certificate:
        return
    if _is_set(found, "authorizedkeyscommand") or _is_set(found, "trustedusercakeys"):
        return
    files = " or ".join(found.held or found.looked) or "any file (AuthorizedKeysFile none)"
    if not found.held:
        yield _Fault(f"the key that this connection used ({login.fingerprint}) is not in {files}")
        return
    judged = [_entry(_options(entry, login), found) for entry in found.entries]
    if judged and None not in judged:
        best = next((fault for fault in judged if fault and not fault.certain), judged[0])
        assert best is not None
        text = f"the key that this connection used ({login.fingerprint}) is in {files}, {best.text}"
        yield _Fault(text, best.certain)


def _options(entry: str, login: Login) -> dict[str, str]:
    """Read the options of a line of authorized_keys: sshd(8). Of two the first counts."""
    before = re.split(rf"(?:^|\s){re.escape(login.kind)}\s+{re.escape(login.key)}", entry)[0]
    found = re.findall(r'([a-zA-Z0-9-]+)(?:="((?:[^"\\]|\\.)*)")?(?:,|$)', before.strip())
    return {name.lower(): value for name, value in reversed(found)}


def _entry(options: dict[str, str], found: NextLogin) -> _Fault | None:
    """Find what keeps a line of authorized_keys from letting its key in."""
    if "cert-authority" in options:
        return _Fault("as an authority of certificates (cert-authority)")
    if "from" in options and (here := _comes_from(options["from"], found.peer)) is not True:
        return _Fault(
            f'from="{options["from"]}", and this is {found.peer or "elsewhere"}', here is False
        )
    until = options.get("expiry-time", "")
    ends = _moment(until.removesuffix("Z"))
    now = _moment(found.clock[until.endswith("Z")]) if len(found.clock) > 1 else None
    if ends and now and ends - now <= timedelta(days=1):
        return _Fault(f'with expiry-time="{until}"', ends < now)
    if "command" in options:
        return _Fault(
            "with a command of its own, which sshd runs in place of others", certain=False
        )
    return None


def _is_set(found: NextLogin, keyword: str) -> bool:
    return any(value != "none" for value in found.says.get(keyword, ()))


def _root(login: Login, found: NextLogin) -> Iterator[_Fault]:
    """Find what keeps a user from becoming root: sudoers(5), as NixOS writes it."""
    if not login.sudo or login.user == "root" or found.rules is None:
        return
    leaves = "" if "wheel" not in found.leaves else f" ('{login.user}' leaves the group wheel)"
    if login.by not in ("sudo", "sudo-rs"):
        if leaves:
            yield _Fault(f"{login.by} may want the group wheel{leaves}", certain=False, root=True)
        return
    rules = [rule for line in found.rules if (rule := _Rule.parse(line, login.user, found.groups))]
    mine = [rule for rule in rules if rule.meant]
    if not mine:
        certain = all(rule.meant is False for rule in rules)
        text = f"no rule of its sudo is for user '{login.user}'{leaves}"
        yield _Fault(text if certain else f"{text}, by its name", certain, root=True)
    elif not any(rule.everything for rule in mine):
        text = f"its sudo lets user '{login.user}' run some commands alone{leaves}"
        yield _Fault(text, certain=False, root=True)
    elif not login.password and _asks(mine, found.rules):
        text = f"its sudo will ask user '{login.user}' for a password{leaves}"
        yield _Fault(text, certain=False, root=True)


def _asks(mine: Iterable[_Rule], lines: Iterable[str]) -> bool:
    """Whether the last of the rules that let a user do everything asks for a password."""
    last = [one for one in mine if one.everything][-1]
    return last.asks and not any("!authenticate" in line for line in lines)


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule of sudoers.

    Attributes:
        meant: Whether it is for a user; ``None`` where that is not known.
        everything: Whether it lets run any command as root.
        asks: Whether it asks for a password before.
    """

    meant: bool | None
    everything: bool
    asks: bool

    @classmethod
    def parse(cls, line: str, user: str, groups: Iterable[str] | None) -> _Rule | None:
        """Read a line; ``None``: it is no rule for anybody."""
        whom, equals, what = line.partition("=")
        words = whom.replace("\t", " ").strip().rpartition(" ")
        if not equals or re.match(r"(Defaults|[A-Z][a-z]+_Alias)\b", whom.strip()):
            return None
        fit = [_is_meant(one.strip().strip('"'), user, groups) for one in words[0].split(",")]
        meant = True if True in fit else None if None in fit else False
        if any(one.strip().startswith("!") for one in words[0].split(",")) or words[2] != "ALL":
            meant = None if meant is not False else False
        runas = re.match(r"\s*\(\s*(ALL|root)\b", what) or not what.strip().startswith("(")
        commands = re.sub(r"^\s*\([^)]*\)", "", what)
        everything = bool(runas) and bool(re.search(r"(^|[\s:,])ALL\s*(,|$)", commands))
        return cls(meant, everything, "NOPASSWD:" not in commands.replace(" ", ""))


def _is_meant(who: str, user: str, groups: Iterable[str] | None) -> bool | None:
    if who in ("ALL", user):
        return True
    if who.startswith("%") and re.fullmatch(r"%[a-z_][a-z0-9_-]*", who):
        return who[1:] in groups if groups is not None else None
    return False if re.fullmatch(r"[a-z_][a-z0-9_-]*", who) else None
