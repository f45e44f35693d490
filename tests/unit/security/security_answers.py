"""Answers of hosts, made of lines as the question prints them, and what is found in them."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.risk.model import Firewall, Opened, Password
from orchestrator.security.model import Account, Base, Declared, Finding
from orchestrator.security.plan.answer import Seen, parse
from orchestrator.security.plan.judge import judge

MACHINE = "0123456789abcdef" * 2
SYSTEM = f"/nix/store/{'s' * 32}-nixos-system"
SSH = f"/nix/store/{'b' * 32}-openssh"
NGINX = f"/nix/store/{'c' * 32}-nginx"
OLD = f"/nix/store/{'d' * 32}-nginx-old"
SHELL = f"/nix/store/{'f' * 32}-python3"
STRAY = f"/nix/store/{'g' * 32}-tool"

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGEga2V5IG9mIEFubmEsIHdobyBpcyBkZWNsYXJlZCE="
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHRoaXMgaXMgbm8ga2V5IG9mIGFueWJvZHkgYXQgYWxs"

QUIET: tuple[tuple[object, ...], ...] = (
    ("machine-id", MACHINE),
    ("root", "yes"),
    ("boot-id", "b"),
    ("system", SYSTEM),
    ("booted", SYSTEM),
    ("container", "none"),
    ("state", "running"),
    ("ports", 32768, 60999),
    ("closure", SYSTEM),
    ("closure", SSH),
    ("closure", NGINX),
    ("earlier", OLD),
    ("passwd", "root:x:0:0:System administrator:/root:/bin/sh"),
    ("passwd", "anna:x:1000:100::/home/anna:/bin/sh"),
    ("passwd", "nginx:x:60:60::/var/empty:/bin/nologin"),
    ("group", "root:x:0:"),
    ("group", "wheel:x:1:anna"),
    ("group", "nginx:x:60:"),
    ("shadow", "root", "locked"),
    ("shadow", "anna", "set"),
    ("shadow", "nginx", "locked"),
    ("exe", 1, 0, f"{SSH}/systemd"),
    ("exe", 10, 0, f"{SSH}/bin/sshd"),
    ("exe", 11, 60, f"{NGINX}/bin/nginx"),
    ("cgroup", 1, "/init.scope"),
    ("cgroup", 10, "/system.slice/sshd.service"),
    ("cgroup", 11, "/system.slice/nginx.service"),
    ("unit", "sshd.service", "/etc/systemd/system/sshd.service", "no", "active", "", ""),
    ("unit", "nginx.service", "/etc/systemd/system/nginx.service", "no", "active", "", ""),
    ("own-unit", "sshd.service"),
    ("own-unit", "nginx.service"),
    ("generation", SYSTEM),
    ("boot", "nixos-generation-1.conf", f"{SYSTEM}/init"),
    ("link", "/bin/sh", f"{SSH}/bin/sh"),
    ("key", "/etc/ssh/authorized_keys.d/anna", 0, f"{KEY} anna"),
)
"""A host with nothing on it that is not declared."""

DECLARED = Declared(
    firewall=Firewall(enable=True, everybody=Opened(tcp=(22, 443), udp_ranges=((5000, 6000),))),
    accounts={
        "root": Account(0, person=False),
        "anna": Account(None, True, ("users", "wheel"), Password.SET, (f"{KEY} anna",)),
        "nginx": Account(60, person=False, groups=("nginx",)),
    },
    groups={"root": (), "wheel": (), "nginx": ()},
    mutable=False,
    wrappers={},
    engines=(),
    cron=False,
    entries=(),
)


NO_BASE = Base()


def text_of(*rows: tuple[object, ...]) -> str:
    """An answer, as it comes."""
    lines = ["\t".join(map(str, row)) for row in (*QUIET, *rows)]
    return "\n".join([*lines, f"now\t{SYSTEM}", "end\tyes"])


def seen(*rows: tuple[object, ...]) -> Seen:
    """What a host says beside what is quiet."""
    return parse(text_of(*rows))


def found(
    *rows: tuple[object, ...], declared: Declared = DECLARED, base: Base = NO_BASE
) -> dict[str, Finding]:
    """What is found, by its id."""
    return {one.id: one for one in judge(declared, seen(*rows), base)}


def severities(findings: Iterable[Finding]) -> dict[str, str]:
    """How much each matters."""
    return {one.id: one.severity.value for one in findings}


def listening(
    kind: str, at: str, pid: int, *, inode: int = 900, uid: int = 0
) -> tuple[tuple[object, ...], ...]:
    """A socket of a process."""
    return (
        ("socket", kind, at, inode, uid),
        ("still", inode),
        ("owner", inode, pid),
    )


def process(pid: int, uid: int, exe: str, group: str) -> tuple[tuple[object, ...], ...]:
    """A process in a control group."""
    return (("exe", pid, uid, exe), ("cgroup", pid, group))


def transient(name: str) -> tuple[object, ...]:
    """A unit that systemd-run made."""
    return ("unit", name, f"/run/systemd/transient/{name}", "yes", "active", "", "")
