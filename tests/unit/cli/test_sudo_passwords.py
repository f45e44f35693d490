"""A sudo password: who is given it is said before it is typed, and nobody else is given it."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from orchestrator.cli import opening
from orchestrator.cli.options import Target
from orchestrator.core.errors import UsageError
from orchestrator.core.host import Connect, Fleet, Host
from orchestrator.core.values import replace
from orchestrator.ssh.sudo import Passwords

ASK = Target(ask_sudo_password=True)


def host(name: str, *, tags: tuple[str, ...] = (), **connect: object) -> Host:
    """One host, reached as ``deploy`` where nothing else is said."""
    to = Connect(**{"address": f"{name}.example", "user": "deploy", **connect})  # type: ignore[arg-type]
    return Host(name, name, to, tags=tags)


def fleet(*hosts: Host) -> Fleet:
    """A fleet of these."""
    return Fleet("f", "/f", "/f", hosts={one.name: one for one in hosts})


FLEET = fleet(
    host("db1", tags=("db",)),
    host("db2", tags=("db",)),
    host("web1"),
    host("root1", user="root"),
    host("none1", sudo=False),
    host("free1", sudo_password=False),
)


def named(found: Fleet, target: Target) -> list[list[str]]:
    """Who is given a password, by name."""
    return [[one.name for one in group] for group in opening.recipients(found, target)]


def asked(
    monkeypatch: pytest.MonkeyPatch, found: Fleet, target: Target, *typed: str
) -> tuple[list[str], Passwords]:
    """Ask on a terminal; give the questions and what came of them."""
    questions: list[str] = []
    answers = iter(typed)

    def prompt(text: str, **_: object) -> str:
        questions.append(text)
        return next(answers)

    monkeypatch.setattr(click, "prompt", prompt)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    return questions, opening.ask_passwords(found, target)


def test_it_is_said_to_whom_a_password_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each host that is given a password from the command line is named."""
    target = replace(ASK, selectors=("db*", "root1"))
    questions, passwords = asked(monkeypatch, FLEET, target, "secret")
    assert questions == ["sudo password for db1, db2"]
    given = {name for name, one in FLEET.hosts.items() if passwords.of(one)}
    assert given == {"db1", "db2"}


def test_hosts_that_take_none_are_given_none() -> None:
    """Root logins, hosts without sudo, hosts of which the inventory says that sudo does not ask."""
    assert named(FLEET, ASK) == [["db1", "db2", "web1"]]


def test_where_the_inventory_says_who_wants_one_no_other_is_given_it() -> None:
    """A host that was taken over may say that its sudo asks; that does not get it the password."""
    marked = fleet(*FLEET.hosts.values(), host("asks1", sudo_password=True))
    assert named(marked, ASK) == [["asks1"]]
    assert named(marked, replace(ASK, selectors=("web1",))) == []


def test_groups_have_passwords_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """One question for each, and the rest of the run's hosts apart."""
    target = replace(ASK, sudo_password_for=("tag:db",))
    questions, passwords = asked(monkeypatch, FLEET, target, "for db", "for the rest")
    assert questions == ["sudo password for db1, db2", "sudo password for web1"]
    secrets = {name: passwords.of(one) for name, one in FLEET.hosts.items()}
    assert {name: one.secret for name, one in secrets.items() if one} == {
        "db1": "for db",
        "db2": "for db",
        "web1": "for the rest",
    }
    assert secrets["db1"] is not secrets["db2"]


def test_only_named_groups_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only for named groups a password is asked, also for hosts such as one that builds."""
    target = Target(selectors=("db1",), sudo_password_for=("web1",))
    questions, passwords = asked(monkeypatch, FLEET, target, "x")
    assert questions == ["sudo password for web1"]
    assert passwords.of(FLEET.hosts["db1"]) is None


@pytest.mark.parametrize("name", ["root1", "none1", "free1"])
def test_to_name_a_host_that_takes_none_is_an_error(name: str) -> None:
    """A person who does so thinks of another host."""
    with pytest.raises(UsageError, match="takes no sudo password"):
        named(FLEET, Target(sudo_password_for=(name,)))


def test_to_name_a_host_twice_is_an_error() -> None:
    """A host that two options name for a sudo password is an error: it has one."""
    with pytest.raises(UsageError, match="'db1' twice"):
        named(FLEET, Target(sudo_password_for=("db1", "tag:db")))


def test_another_host_by_the_same_name_is_given_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The inventory may change while hosts are watched: the password was for the one that was."""
    _, passwords = asked(monkeypatch, FLEET, ASK, "secret")
    web = FLEET.hosts["web1"]
    moved = replace(web, connect=replace(web.connect, address="elsewhere.example"))
    assert passwords.of(web) is not None
    assert passwords.of(moved) is None


def test_without_a_terminal_nobody_is_asked() -> None:
    """A sudo password that needs a terminal is an error where there is none."""
    for target in (ASK, Target(sudo_password_for=("web1",))):
        with pytest.raises(UsageError, match="needs a terminal"):
            opening.ask_passwords(FLEET, target)


def test_many_hosts_are_all_named() -> None:
    """A question of a line is asked after a list of all."""
    many = fleet(*(host(f"h{number}") for number in range(40)))

    @click.command()
    def command() -> None:
        click.echo(opening._question(tuple(many.hosts.values())))

    done = CliRunner().invoke(command)
    assert all(name in done.output.replace(",", " ").split() for name in many.hosts)
    assert done.output.splitlines()[-1] == "sudo password for these 40 hosts"
