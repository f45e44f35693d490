"""Terms of people: who gets in, and who becomes root."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.core.risk import Term
from orchestrator.risk.model import Account, Login, Password, Ssh, Sudo, Sudoer, Wrapper
from orchestrator.risk.plan import weights

_SSH = "services.openssh.settings"

LIKE_ROOT = frozenset({"disk", "docker", "incus-admin", "libvirtd", "lxd", "podman"})
"""Groups whose members are root in all but name: what they may use starts or reads anything."""

NIXOS = frozenset(
    {
        "chsh",
        "dbus-daemon-launch-helper",
        "fusermount",
        "fusermount3",
        "mount",
        "newgidmap",
        "newgrp",
        "newuidmap",
        "passwd",
        "ping",
        "sg",
        "su",
        "sudo",
        "sudoedit",
        "umount",
        "unix_chkpwd",
    }
)
"""Wrappers that NixOS has by itself: each host has them, and so they tell nothing of it."""


def account(name: str, one: Account) -> Iterator[Term]:
    """How an account lets somebody in."""
    option = f"users.users.{name}"
    if one.password is Password.EMPTY:
        what = f"anybody may log in as {name}: its password is empty"
        yield Term(f"password:{name}", what, weights.EMPTY_PASSWORD, option)
    elif one.password is Password.STORED and (one.person or name == "root"):
        what = f"{name}'s password is in the store, where everybody on the host can read it"
        yield Term(f"password:{name}", what, weights.STORED_PASSWORD, option)


def members(
    accounts: Mapping[str, Account | None], groups: Mapping[str, tuple[str, ...]], group: str
) -> tuple[str, ...]:
    """Who is in a group, by their own entries or by the group's; sorted."""
    own = {name for name, one in accounts.items() if one is not None and group in one.groups}
    return tuple(sorted(own.union(groups.get(group, ()))))


def privileged(
    accounts: Mapping[str, Account | None], groups: Mapping[str, tuple[str, ...]]
) -> Iterator[Term]:
    """Who is in wheel, or in a group that is as good."""
    for name in members(accounts, groups, "wheel"):
        one = accounts.get(name)
        keys = f" ({one.keys} keys may log in)" if one is not None and one.keys else ""
        what, option = f"{name} is in wheel{keys}", f"users.users.{name}.extraGroups"
        yield Term(f"wheel:{name}", what, weights.WHEEL, option)
    for group in sorted(LIKE_ROOT):
        for name in members(accounts, groups, group):
            what = f"{name} is in {group}, which is as good as root"
            option = f"users.users.{name}.extraGroups"
            yield Term(f"group:{group}:{name}", what, weights.LIKE_ROOT, option)


def ssh(sshd: Ssh, root_keys: int) -> Iterator[Term]:
    """What sshd takes; ``root_keys`` is how many keys root has."""
    if not sshd.enable:
        return
    # What the configuration leaves open is sshd's default: passwords are taken.
    by_password = not (_is_off(sshd.passwords) and _is_off(sshd.keyboard))
    if by_password:
        said = "PasswordAuthentication" if not _is_off(sshd.passwords) else _KEYBOARD
        yield Term("ssh:passwords", "sshd takes passwords", weights.SSH_PASSWORDS, _of(said))
    if _is_on(sshd.empty):
        what = "sshd takes empty passwords"
        yield Term("ssh:empty", what, weights.EMPTY_ALLOWED, _of("PermitEmptyPasswords"))
    if _is_on(sshd.root) and by_password:
        what = "root may log in by password over SSH"
        yield Term("ssh:root", what, weights.ROOT_BY_PASSWORD, _of("PermitRootLogin"))
    elif not _is_off(sshd.root) and root_keys:
        what = f"root may log in by {root_keys} keys over SSH"
        yield Term("ssh:root", what, weights.ROOT_BY_KEY, _of("PermitRootLogin"))
    if sshd.own:
        what = f"has {len(sshd.own)} lines of sshd's own, which are not read"
        option = "services.openssh.extraConfig"
        yield Term("unread:ssh", what, weights.OWN_LINES, option, known=False)


_KEYBOARD = "KbdInteractiveAuthentication"


def _of(setting: str) -> str:
    return f"{_SSH}.{setting}"


def _is_on(value: bool | str | None) -> bool:
    return value is True or value == "yes"


def _is_off(value: bool | str | None) -> bool:
    return value is False or value == "no"


def sudo(one: Sudo) -> Iterator[Term]:
    """Who becomes root without a password."""
    if not one.enable:
        return
    option = f"security.{one.name}"
    if one.wheel_asks is False:
        what = f"wheel becomes root without a password ({one.name})"
        yield Term(f"{one.name}:wheel", what, weights.FREE_SUDO, f"{option}.wheelNeedsPassword")
    for rule in one.rules:
        yield from _free(one.name, rule, wheel_known=one.wheel_asks is False)
    if one.own:
        what = f"has {len(one.own)} lines of {one.name}'s own, which are not read"
        yield Term(
            f"unread:{one.name}", what, weights.OWN_LINES, f"{option}.extraConfig", known=False
        )


def _free(name: str, rule: Sudoer, *, wheel_known: bool) -> Iterator[Term]:
    """Who runs a rule's commands without a password: root does so anyway."""
    for who in rule.who if rule.free else ():
        if who == "root" or (who == "%wheel" and wheel_known and rule.all):
            continue
        weight = weights.FREE_SUDO if rule.all else weights.FREE_COMMAND
        which = "becomes root" if rule.all else "runs some commands as root"
        what, kind = f"{who} {which} without a password ({name})", "all" if rule.all else "some"
        yield Term(f"{name}:{kind}:{who}", what, weight, f"security.{name}.extraRules")


def wrapper(name: str, one: Wrapper) -> Iterator[Term]:
    """A program with rights that its user has not, where NixOS has it not by itself."""
    if not one.enable or name in NIXOS:
        return
    option = f"security.wrappers.{name}"
    if one.setuid and one.owner in ("root", "0", ""):
        yield Term(f"wrapper:{name}", f"{name} is setuid root", weights.SETUID, option)
    elif one.setuid or one.setgid:
        what = f"{name} is {'setuid' if one.setuid else 'setgid'}"
        yield Term(f"wrapper:{name}", what, weights.CAPABLE, option)
    elif one.capabilities:
        what = f"{name} has {one.capabilities}"
        yield Term(f"wrapper:{name}", what, weights.CAPABLE, option)


def login(one: Login) -> Iterator[Term]:
    """Who is logged in at the machine itself, without being asked who he is."""
    for user, where, option in (
        (one.console, "the console", "services.getty.autologinUser"),
        (one.display, "the desktop", "services.displayManager.autoLogin.user"),
    ):
        if user is not None:
            weight = weights.ROOT_LOGIN if user == "root" else weights.AUTO_LOGIN
            what = f"{where} logs in as {user} without a password"
            yield Term(f"login:{where.rpartition(' ')[2]}", what, weight, option)
    if one.emergency not in (False, ""):
        what = "a boot that fails gives a root shell without a password"
        option = "boot.initrd.systemd.emergencyAccess"
        # A text is a password's hash there.
        weight = weights.AUTO_LOGIN if one.emergency is True else weights.WHEEL
        yield Term("login:emergency", what, weight, option)
