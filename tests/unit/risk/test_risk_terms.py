"""What of a configuration is a term, and what it weighs."""

from __future__ import annotations

from typing import Any

import pytest
from surfaces import BARE, PLAIN

from orchestrator.core.risk import Risk, Term
from orchestrator.core.values import replace
from orchestrator.risk.evaluate import PARTS
from orchestrator.risk.model import (
    Account,
    Container,
    Firewall,
    Kernel,
    Login,
    Opened,
    Password,
    Service,
    Ssh,
    Store,
    Sudo,
    Sudoer,
    Surface,
    Unit,
    Wrapper,
)
from orchestrator.risk.plan import score


def terms(**parts: Any) -> dict[str, Term]:
    """The terms of a configuration that is plain but for some parts, by their ids."""
    return {one.id: one for one in score.terms(replace(PLAIN, **parts))}


def words(**parts: Any) -> dict[str, int]:
    """What each is, and its weight."""
    return {one.what: one.weight for one in terms(**parts).values()}


def test_what_opens_nothing_has_no_terms() -> None:
    """A configuration whose parts are all known and closed is at minimal risk."""
    found = score.assess(score.terms(PLAIN))
    assert (found.terms, found.score, found.level) == ((), 0, Risk.MINIMAL)


def test_a_part_that_is_not_known_is_a_term_of_its_own() -> None:
    """What could not be evaluated weighs as much as two ports, and is marked as not known."""
    found = score.assess(score.terms(Surface()))
    assert {one.known for one in found.terms} == {False}
    assert {one.weight for one in found.terms} == {10}
    assert len(found.terms) == len(PARTS)
    assert found.level is Risk.CRITICAL


def test_why_a_part_is_not_known_is_said() -> None:
    """The words of Nix's error stand in the term, where there are any."""
    surface = replace(PLAIN, kernel=None, failures={"kernel": "attribute 'x' missing"})
    (term,) = score.terms(surface)
    assert term.what == "not known: what boot.kernel says: attribute 'x' missing"


@pytest.mark.parametrize("part", ["services", "accounts", "wrappers", "containers"])
def test_an_entry_that_is_not_known_is_a_term_and_the_others_are_read(part: str) -> None:
    """One service that does not evaluate hides no other."""
    found = terms(**{part: {"odd": None}})
    assert [(one.known, one.id) for one in found.values()] == [(False, f"unread:{part}:odd")]


OPENED = Opened(tcp=(22, 6379), udp=(53,), tcp_ranges=((8000, 8009),), udp_ranges=((1, 65535),))


def test_ports_are_told_with_whom_they_are_open_to() -> None:
    """To everybody they weigh more than on one interface; known services and long ranges most."""
    assert words(firewall=Firewall(enable=True, everybody=OPENED)) == {
        "opens 22/tcp to everybody": 5,
        "opens 6379/tcp to everybody (Redis)": 10,
        "opens 53/udp to everybody": 5,
        "opens 8000-8009/tcp to everybody": 10,
        "opens 1-65535/udp to everybody": 40,
    }
    assert words(firewall=Firewall(enable=True, interfaces={"lan0": OPENED})) == {
        "opens 22/tcp on lan0": 2,
        "opens 6379/tcp on lan0": 2,
        "opens 53/udp on lan0": 2,
        "opens 8000-8009/tcp on lan0": 2,
        "opens 1-65535/udp on lan0": 2,
    }


@pytest.mark.parametrize(("last", "weight"), [(1, 5), (2, 10), (10, 10), (11, 20), (1001, 40)])
def test_a_range_weighs_by_how_many_ports_it_has(last: int, weight: int) -> None:
    """One port in a range weighs as one port; from a thousand on as no firewall at all."""
    opened = Opened(udp_ranges=((1, last),))
    assert list(words(firewall=Firewall(enable=True, everybody=opened)).values()) == [weight]


def test_a_firewall_that_is_off_weighs_beside_what_it_would_let_in() -> None:
    """To switch it off never makes less of the ports that are named."""
    on = words(firewall=Firewall(enable=True, everybody=OPENED))
    off = words(firewall=Firewall(enable=False, everybody=OPENED))
    assert off.items() > on.items()
    assert sum(off.values()) - sum(on.values()) == 40
    (unsaid,) = terms(firewall=Firewall(enable=None)).values()
    assert not unsaid.known


def test_what_goes_past_the_firewall_is_told() -> None:
    """Trusted interfaces but the loopback, forwarded ports, rules of its own, containers' ports."""
    wall = Firewall(
        enable=True,
        trusted=("lo", "vpn0"),
        forwards=(443, "80:90"),
        own=("networking.firewall.extraCommands",),
    )
    assert words(firewall=wall) == {
        "lets in everything that comes by vpn0": 5,
        "passes port 443 on to another machine": 5,
        "passes port 80:90 on to another machine": 5,
        "has firewall rules of its own, which are not read": 10,
    }
    ports = ("8080:80", "127.0.0.1:9:9", "[::1]:9:9")
    box = Container(ports=ports, privileged=True)
    assert words(containers={"box": box}) == {
        "container box publishes 8080:80 past the firewall": 5,
        "container box is privileged: who breaks out of it is root": 20,
    }


FULL = {
    "ProtectSystem": "strict",
    "ProtectHome": True,
    "PrivateTmp": "yes",
    "NoNewPrivileges": True,
}


@pytest.mark.parametrize(
    ("one", "what"),
    [
        (BARE, "web runs as root without hardening"),
        (replace(BARE, user="root"), "web runs as root without hardening"),
        (replace(BARE, user=0), "web runs as root without hardening"),
        (
            replace(BARE, hardening={"PrivateTmp": False, "ProtectHome": "no"}),
            "web runs as root without hardening",
        ),
        (
            replace(BARE, hardening={"PrivateTmp": True}),
            "web runs as root with little hardening (PrivateTmp)",
        ),
        (replace(BARE, hardening=FULL), "web runs as root, confined"),
        (replace(BARE, user="web"), None),
        (replace(BARE, dynamic=True), None),
        (replace(BARE, dynamic="yes"), None),
        (replace(BARE, unit=Unit.OFF), None),
        (replace(BARE, unit=Unit.PART), "web is a package's unit, which is not read"),
        (replace(BARE, unit=Unit.PART, user="web"), None),
        (replace(BARE, type="oneshot"), None),
    ],
)
def test_a_service_that_stays_root_is_told_by_its_hardening(one: Service, what: str | None) -> None:
    """No user of its own, and it does not end: how it is confined is said, and weighs."""
    assert list(words(services={"web": one})) == ([] if what is None else [what])


def test_services_that_every_nixos_has_tell_nothing() -> None:
    """A console's login, sshd, Nix and systemd's own are root everywhere."""
    names = ("getty@", "sshd", "nix-daemon", "systemd-timesyncd")
    assert words(services=dict.fromkeys(names, BARE)) == {}


def account(**more: Any) -> Account:
    """A person's account."""
    return Account(**{"person": True, "password": Password.SET, **more})


def test_passwords_that_are_empty_or_in_the_store_are_told() -> None:
    """An empty one is critical by itself; one in the store counts for people and root."""
    found = {
        "ada": account(password=Password.EMPTY),
        "bob": account(password=Password.STORED),
        "mail": account(password=Password.STORED, person=False),
        "root": account(password=Password.STORED, person=False),
        "zoe": account(),
    }
    assert {one.id: one.weight for one in terms(accounts=found).values()} == {
        "password:ada": 100,
        "password:bob": 15,
        "password:root": 15,
    }


def test_who_is_root_in_all_but_name_is_found_by_both_ways_into_a_group() -> None:
    """An account may name its groups, and a group its members."""
    people = {"ada": account(groups=("wheel",), keys=2), "bob": account(groups=("docker", None))}
    groups = {"wheel": ("carl",), "docker": ("bob",), "games": ("ada",)}
    assert words(accounts=people, groups=groups) == {
        "ada is in wheel (2 keys may log in)": 2,
        "carl is in wheel": 2,
        "bob is in docker, which is as good as root": 5,
    }


CLOSED = Ssh(enable=True, passwords=False, keyboard="no", root="no", empty=False)


@pytest.mark.parametrize(
    ("sshd", "found"),
    [
        (CLOSED, {}),
        (replace(CLOSED, enable=False, passwords=True, empty=True), {}),
        (replace(CLOSED, passwords=None), {"ssh:passwords": 10}),
        (replace(CLOSED, keyboard=True), {"ssh:passwords": 10}),
        (replace(CLOSED, empty="yes"), {"ssh:empty": 50}),
        (replace(CLOSED, root="yes", passwords=True), {"ssh:passwords": 10, "ssh:root": 20}),
        (replace(CLOSED, root="prohibit-password"), {"ssh:root": 3}),
        (replace(CLOSED, root="yes"), {"ssh:root": 3}),
        (replace(CLOSED, own=("Match User git",)), {"unread:ssh": 5}),
    ],
)
def test_what_sshd_takes_is_told(sshd: Ssh, found: dict[str, int]) -> None:
    """What is left to sshd is its default; without it nothing of it counts."""
    root = {"root": account(person=False, password=Password.NONE, keys=1)}
    said = {one.id: one.weight for one in terms(ssh=sshd, accounts=root).values()}
    assert said == found


def test_root_without_keys_does_not_log_in_by_key() -> None:
    """A setting that lets keys in counts only where root has some."""
    assert words(ssh=replace(CLOSED, root="prohibit-password")) == {}


def test_who_becomes_root_without_a_password_is_told() -> None:
    """By wheel, or by a rule: for all commands or for some; root itself is no news."""
    rules = (
        Sudoer(("root", "deploy", "%ops"), free=True, all=True),
        Sudoer(("backup",), free=True, all=False),
        Sudoer(("ada",), free=False, all=True),
    )
    assert words(sudo=(Sudo("sudo", enable=True, wheel_asks=True, rules=rules, own=("x",)),)) == {
        "deploy becomes root without a password (sudo)": 8,
        "%ops becomes root without a password (sudo)": 8,
        "backup runs some commands as root without a password (sudo)": 3,
        "has 1 lines of sudo's own, which are not read": 5,
    }
    wheel = (Sudoer(("%wheel",), free=True, all=True),)
    assert words(sudo=(Sudo("doas", enable=True, wheel_asks=False, rules=wheel),)) == {
        "wheel becomes root without a password (doas)": 8
    }
    assert words(sudo=(Sudo("sudo", enable=False, wheel_asks=False, rules=rules),)) == {}


@pytest.mark.parametrize(
    ("name", "one", "weight"),
    [
        ("sudo", Wrapper(True, "root", True, False, ""), None),
        ("pkexec", Wrapper(True, "root", True, False, ""), 5),
        ("pkexec", Wrapper(False, "root", True, False, ""), None),
        ("write", Wrapper(True, "root", False, True, ""), 3),
        ("mtr", Wrapper(True, "root", False, False, "cap_net_raw+ep"), 3),
        ("plain", Wrapper(True, "root", False, False, ""), None),
        ("game", Wrapper(True, "games", True, False, ""), 3),
    ],
)
def test_wrappers_beyond_those_of_nixos_are_told(
    name: str, one: Wrapper, weight: int | None
) -> None:
    """Setuid root weighs more than a group or a capability."""
    assert list(words(wrappers={name: one}).values()) == ([] if weight is None else [weight])


def test_whom_nix_trusts_is_told() -> None:
    """Users but root, keys but NixOS's own, no sandbox, no signatures, insecure packages."""
    keys = ("cache.nixos.org-1:AAAA", "fleet.example-1:BBBB")
    trusted = ("root", "@wheel", "deploy", "*")
    store = Store(trusted, "relaxed", signatures=False, keys=keys, insecure=("openssl-1.1",))
    assert words(store=replace(store, own=("trusted-users = *",))) == {
        "has 1 lines of Nix's own that say whom it trusts, which are not read": 5,
        "Nix trusts @wheel": 3,
        "Nix trusts deploy, who may become root": 8,
        "Nix trusts every user: each may become root": 60,
        "Nix builds outside of its sandbox": 10,
        "Nix takes what nobody signed": 25,
        "runs whatever fleet.example-1 has signed": 3,
        "permits openssl-1.1, which is known to be insecure": 5,
    }


def test_who_is_logged_in_without_being_asked_is_told() -> None:
    """At the console, on the desktop, and after a boot that fails."""
    assert words(login=Login("root", "ada", emergency=True)) == {
        "the console logs in as root without a password": 30,
        "the desktop logs in as ada without a password": 10,
        "a boot that fails gives a root shell without a password": 10,
    }


def test_hardening_of_the_kernel_that_is_off_is_told() -> None:
    """What is switched off weighs by what it gives away; what was never on, a little."""
    sysctl = {
        "kernel.kptr_restrict": 0,
        "kernel.randomize_va_space": "0",
        "kernel.perf_event_paranoid": 2,
        "kernel.yama.ptrace_scope": None,
        "fs.protected_symlinks": False,
        "kernel.unprivileged_bpf_disabled": "odd",
    }
    kernel = Kernel(("quiet", "mitigations=off"), sysctl, None, False, True)
    assert {one.id: one.weight for one in terms(kernel=kernel).values()} == {
        "kernel:mitigations=off": 20,
        "kernel:kernel.kptr_restrict": 3,
        "kernel:kernel.randomize_va_space": 15,
        "kernel:fs.protected_symlinks": 10,
        "kernel:kernel.unprivileged_bpf_disabled": 5,
        "kernel:security.lockKernelModules": 1,
        "kernel:security.protectKernelImage": 1,
    }


def test_each_term_names_the_option_that_says_so() -> None:
    """Every term has evidence, and an id of its own."""
    found = [*score.terms(Surface()), *terms(services={"web": BARE}).values()]
    assert all(one.evidence and one.what for one in found)
    assert len({one.id for one in found}) == len(found)
