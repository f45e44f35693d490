"""Whether the deployer's own login will be let in by a host's next system."""

from __future__ import annotations

import re

from orchestrator.core.checks import Check, Login, NextLogin, Shortfall

_NO_SHELLS = frozenset({"nologin", "false"})


def refused_login(login: Login, found: NextLogin) -> Shortfall | None:
    """Find for certain that nobody gets in as this connection did; ``None``: it may well.

    What cannot be told (keys by a command, an authority's certificates, a file by another name) is
    never found: the guard sees it after the activation.

    Args:
        login: By whom and with which key the connection was made.
        found: What the host said.
    """
    why = _account(login, found) or _sshd(login, found) or _key(login, found)
    if why is None:
        return None
    return Shortfall(
        Check.ACCOUNTS,
        f"its new system does not let this deployer in: {why}",
        f"give the key to users.users.{login.user}.openssh.authorizedKeys.keys in the host's "
        "configuration (in the example fleet: `users: {NAME: {ssh_keys: […]}}` in the inventory, "
        f"of somebody in `wheel`). The key: {login.kind} {login.key}",
        ("getent", "passwd", login.user),
    )


def _account(login: Login, found: NextLogin) -> str | None:
    if found.removed:
        return f"it takes the account of user '{login.user}' away"
    shell = found.then.shell if found.then else ""
    if shell.rpartition("/")[2] in _NO_SHELLS:
        return f"the login shell of user '{login.user}' will be {shell}"
    return None


def _sshd(login: Login, found: NextLogin) -> str | None:
    if found.sshd == "gone":
        return "it has no sshd (services.openssh.enable)"
    if found.sshd != "asked":
        return None
    says, user = found.says, login.user
    root = says.get("permitrootlogin", ("yes",))[0]
    if user == "root" and root in ("no", "forced-commands-only"):
        return f"its sshd has PermitRootLogin {root}"
    if says.get("pubkeyauthentication") == ("no",):
        return "its sshd takes no keys (PubkeyAuthentication no)"
    if any(_names(pattern, user) for pattern in says.get("denyusers", ()) if "@" not in pattern):
        return f"its sshd lets user '{user}' not in (DenyUsers)"
    allowed = says.get("allowusers", ())
    if allowed and not any(_names(pattern.split("@")[0], user) for pattern in allowed):
        return f"its sshd lets only {', '.join(allowed)} in (AllowUsers)"
    return None


def _names(pattern: str, user: str) -> bool:
    """Whether a pattern of ``*`` and ``?`` fits a name: PATTERNS in ssh_config(5)."""
    if pattern.startswith("!"):
        return False
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, user, re.DOTALL) is not None


def _key(login: Login, found: NextLogin) -> str | None:
    if found.sshd != "asked" or found.held or found.unread or login.is_certificate:
        return None
    if _is_set(found, "authorizedkeyscommand") or _is_set(found, "trustedusercakeys"):
        return None
    files = " or ".join(found.looked) or "any file (AuthorizedKeysFile none)"
    return f"the key that this connection used ({login.fingerprint}) is not in {files}"


def _is_set(found: NextLogin, keyword: str) -> bool:
    return any(value != "none" for value in found.says.get(keyword, ()))
