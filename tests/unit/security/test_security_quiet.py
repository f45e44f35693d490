"""What hosts that live have, and no configuration names: none of it is an alarm."""

from __future__ import annotations

from security_answers import (
    DECLARED,
    KEY,
    NGINX,
    OLD,
    OTHER,
    found,
    listening,
    process,
    severities,
    transient,
)

from orchestrator.core.values import replace
from orchestrator.risk.model import Password
from orchestrator.security.model import Account, Base, Declared, Wrapper
from orchestrator.security.plan.advisories import read
from orchestrator.security.plan.vulnerabilities import difference


def test_what_systemd_makes_itself_is_its_own() -> None:
    """Scopes, slices, generated mounts, its own sockets and a drop-in by the system: nothing."""
    assert not found(
        ("unit", "session-3.scope", "/run/systemd/transient/session-3.scope", "yes", "a", "", ""),
        ("unit", "boot.mount", "/run/systemd/generator/boot.mount", "no", "active", "", ""),
        ("unit", "dev-x.swap", "", "no", "active", "", ""),
        (
            *("unit", "nginx.service", "/etc/systemd/system/nginx.service", "no", "active"),
            *(f"{NGINX}/nginx.service.d/overrides.conf", ""),
        ),
        ("unit-file", "/run/systemd/transient/run-1.service", ""),
        ("unit-file", "/etc/systemd/user/a.service", "/etc/static/systemd/user/a.service"),
        *listening("tcp", "00000000:0016", 1),
    )


def test_a_container_s_port_is_a_note_whether_or_not_it_is_let_in() -> None:
    """What a container of the host's network listens at is its own."""
    rows = (
        *process(20, 0, "/usr/bin/x", "/system.slice/docker-ab.scope"),
        ("inside", 20),
        *listening("tcp", "00000000:01BB", 20),
    )
    said = found(*rows, declared=replace(DECLARED, engines=("docker",)))
    assert set(severities(said.values()).values()) == {"note"}


def test_helpers_of_the_running_and_of_the_earlier_system_are_no_alarm() -> None:
    """A boot or a switch sets them; until then the earlier system's may stand there."""
    said = found(
        ("helper", "modprobe", "/run/current-system/sw/bin/modprobe"),
        ("helper", "poweroff_cmd", "/sbin/poweroff"),
        ("helper", "core_pattern", f"|{OLD}/bin/dump %P"),
    )
    assert severities(said.values()) == {"helper:core_pattern": "note"}


def test_wrappers_that_are_declared_are_none_unless_they_gain_rights() -> None:
    """A declared setuid wrapper counts for itself; one without setuid that has it does not."""
    wrappers = {"su": Wrapper(True, False, ""), "ping": Wrapper(False, False, "cap_net_raw+p")}
    declared = replace(DECLARED, wrappers=wrappers)
    rows = (
        ("wrapper", 4511, "root", "root", "su"),
        ("wrapper", 511, "root", "root", "ping"),
        ("wrapper", 400, "root", "root", "su.real"),
    )
    assert found(*rows, declared=declared) == {}
    said = found(("wrapper", 4511, "root", "root", "ping"), declared=declared)
    assert severities(said.values()) == {"setuid:/run/wrappers/bin/ping": "critical"}


def test_keys_that_may_be_in_files_that_were_not_read_are_low() -> None:
    """Where files of keys are built, a key that is not known may be one of theirs."""
    account = Account(None, True, ("users", "wheel"), Password.SET, (f"{KEY} a",), unread=True)
    declared = replace(DECLARED, accounts={**(DECLARED.accounts or {}), "anna": account})
    said = found(("key", "/home/anna/.ssh/authorized_keys", 1000, OTHER), declared=declared)
    assert [*severities(said.values()).values()] == ["low"]


def test_without_a_configuration_people_are_known_by_their_numbers() -> None:
    """A person's own programs are notes, too, where accounts are not known."""
    group = "/user.slice/user-1000.slice/user@1000.service/app.slice/a.service"
    said = found(*process(20, 1000, "/home/anna/bin/x", group), declared=Declared())
    assert severities(said.values()) == {"process:/home/anna/bin/x": "note"}


def test_a_table_of_cron_s_that_the_image_has_or_a_person_may_have_is_no_alarm() -> None:
    """Where cron is declared people have tables of their own; root's is told all the same."""
    rows = (("cron", "anna", "/var/cron/tabs/anna"), ("cron", "root", "/var/cron/tabs/root"))
    said = found(*rows, declared=replace(DECLARED, cron=True))
    assert severities(said.values()) == {
        "cron:/var/cron/tabs/anna": "note",
        "cron:/var/cron/tabs/root": "moderate",
    }
    base = Base(frozenset({"/var/cron/tabs/anna", "/var/cron/tabs/root", "/etc/x"}))
    assert found(*rows, ("etc", "x", "changed"), base=base) == {}


def test_a_deployment_s_own_units_and_a_dynamic_account_are_no_alarm() -> None:
    """The guard runs in a transient unit, as root, with a shell of the system's."""
    unit = "orchestrator-guard-ab12.service"
    rows = process(20, 0, f"{NGINX}/bin/sh", f"/system.slice/{unit}")
    dynamic = process(21, 61234, f"{NGINX}/bin/x", "/system.slice/nginx.service")
    said = found(*rows, *dynamic, transient(unit))
    assert severities(said.values()) == {f"unit:{unit}": "note"}


def test_two_words_of_one_advisory_are_one_vulnerability() -> None:
    """Of two feeds that have it, what is left counts; hardware and half an entry do not."""
    one = {"package": {"name": "curl"}, "ranges": [{"events": [{"introduced": "0"}]}]}
    two = {"package": {"name": "curl"}, "versions": ["1"]}
    feed = [{"id": "CVE-1-1", "affected": [one, "x", {"package": {}}]}, {"id": "CVE-1-1"}]
    feed.append({"id": "CVE-1-1", "affected": [two]})
    match = {"vulnerable": True, "criteria": "cpe:2.3:h:v:curl:1:*:*:*:*:*:*:*"}
    nodes = [{"nodes": [{"cpeMatch": [match, {"vulnerable": True, "criteria": "cpe"}]}]}]
    feed.append({"vulnerabilities": [{"cve": {"id": "CVE-1-2", "configurations": nodes}}]})
    versions = {"curl": frozenset({"1"})}
    assert [one.id for one in difference(versions, versions, read(feed), {})] == ["CVE-1-1"]
