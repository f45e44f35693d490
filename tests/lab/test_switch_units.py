"""What NixOS's switch does with units, the system's and users'; and with no D-Bus to do it by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fleet_bench import Bench, Done, example_fleet, in_lab

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST = "dex5550"  # the deploy user's, with sudo
SYSTEM = ("running", "profile", "boot_default")
MARKER = 'environment.etc."marker".text = "{}";\n'
USER = "setpriv --reuid 1000 --regid 1000 --clear-groups env XDG_RUNTIME_DIR=/run/user/1000"
LINGER = (
    "systemctl unmask systemd-logind && systemctl start systemd-logind && "
    "loginctl enable-linger deploy && systemctl start user@1000.service"
)
"""A lab host has no logind unless it is asked for."""

BUS = "dbus.socket dbus.service"
NO_BUS = f"systemctl stop {BUS}; rm -f /run/dbus/system_bus_socket"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One host, deployed once, on which the deploy user's own manager runs."""
    bench = example_fleet(tmp_path_factory.mktemp("units"))
    with in_lab(bench, HOST):
        first = bench.deploy(HOST, "--no-verify")
        assert first.rc == 0, first
        manager = bench.on(HOST, LINGER)
        assert manager.rc == 0, manager
        yield bench


@pytest.fixture
def fleet(lab: Bench) -> Iterator[Bench]:
    """The host, as the example has it, with a D-Bus."""
    lab.on(HOST, f"systemctl reset-failed {BUS}; systemctl start dbus.socket")
    lab.reset()
    done = lab.deploy(HOST, "--no-verify")
    assert done.rc == 0, done
    assert not [text for text in host_of(done).get("warnings", ()) if "exit 4" in text], done
    assert lab.on(HOST, "rm -f /run/order").rc == 0
    yield lab
    lab.reset()


def host_of(done: Done) -> dict[str, Any]:
    """The host's part of a report."""
    host: dict[str, Any] = done.report["hosts"][HOST]
    return host


def systems(fleet: Bench) -> list[str]:
    """What the host runs, its profile, and what it boots."""
    state = fleet.state(HOST)
    return [state[key] for key in SYSTEM]


def deployed(fleet: Bench, body: str) -> Done:
    """Deploy a change of the host that goes well."""
    fleet.module(HOST, body)
    done = fleet.deploy(HOST, "--no-verify")
    assert done.outcomes == {HOST: "deployed"}, done
    assert systems(fleet) == [host_of(done)["out_path"]] * 3
    return done


def service(name: str, settings: str, scope: str = "systemd") -> str:
    """Give the host a unit that runs for ever, and starts with its target."""
    target = "default.target" if ".user" in scope else "multi-user.target"
    return (
        f'{scope}.services.{name} = {{ wantedBy = [ "{target}" ];'
        f' serviceConfig.ExecStart = "/usr/bin/sleep infinity"; {settings} }};\n'
    )


def main_pid(fleet: Bench, unit: str, systemctl: str = "systemctl") -> str:
    """The process that a unit runs; another one after each start."""
    pid = fleet.on(HOST, f"{systemctl} show --property MainPID --value {unit}").out.strip()
    assert pid not in ("", "0"), unit
    return pid


def ordered(number: int, settings: str) -> str:
    """A unit, which writes down when it is stopped and started, and a snippet that does."""
    snippet = 'echo "activated" >> /run/order'
    return (
        f'systemd.services.watched = {{ wantedBy = [ "multi-user.target" ]; {settings}'
        f' environment.NUMBER = "{number}"; script = "echo started >> /run/order";'
        ' serviceConfig = { Type = "oneshot"; RemainAfterExit = true;'
        " ExecStop = \"/bin/sh -c 'echo stopped >> /run/order'\"; }; };\n"
        f"system.activationScripts.order.text = {json.dumps(snippet)};\n"
    )


@pytest.mark.parametrize(
    ("settings", "order"),
    [
        ("", ["stopped", "activated", "started"]),
        ("stopIfChanged = false;", ["activated", "stopped", "started"]),
    ],
)
def test_a_changed_unit_is_stopped_before_the_activation(
    fleet: Bench, settings: str, order: list[str]
) -> None:
    """Unless it says ``stopIfChanged = false``; both ways it is told as restarted."""
    deployed(fleet, ordered(1, settings))
    assert fleet.on(HOST, "rm /run/order").rc == 0
    done = deployed(fleet, ordered(2, settings))
    assert fleet.on(HOST, "cat /run/order").out.split() == order
    assert host_of(done)["changed"]["units"]["restarted"] == ["watched.service"], done


def test_what_says_nothing_of_how_a_unit_runs_does_not_restart_it(fleet: Bench) -> None:
    """Another description is no change; a trigger for a reload, or another reload, is a reload."""
    reload = "serviceConfig.ExecReload = \"/bin/sh -c 'echo {} >> /run/order'\";"
    deployed(fleet, service("still", reload.format("one")))
    pid = main_pid(fleet, "still")
    deployed(fleet, service("still", reload.format("one") + 'description = "said otherwise";'))
    assert fleet.on(HOST, "cat /run/order").rc != 0
    done = deployed(fleet, service("still", reload.format("two")))
    assert host_of(done)["changed"]["units"]["reloaded"] == ["still.service"], done
    trigger = 'reloadTriggers = [ "another" ];'
    deployed(fleet, service("still", reload.format("two") + trigger))
    assert fleet.on(HOST, "cat /run/order").out.split() == ["two", "two"]
    assert main_pid(fleet, "still") == pid


def test_a_systemd_that_is_another_one_is_executed_again(fleet: Bench) -> None:
    """Units run on, the guard's among them, and what hangs on the reactivation runs again."""
    early = (
        "systemd.services.early = { unitConfig.DefaultDependencies = false;"
        ' requiredBy = [ "sysinit-reactivation.target" ];'
        ' before = [ "sysinit-reactivation.target" ]; script = "echo early >> /run/order";'
        ' serviceConfig.Type = "oneshot"; };\n'
    )
    deployed(fleet, early + service("still", ""))
    pid = main_pid(fleet, "still")
    assert fleet.on(HOST, "rm /run/order").rc == 0
    other = 'systemd.package = pkgs.systemd // { outPath = "${pkgs.htop}"; };'
    done = deployed(fleet, early + service("still", "") + other)
    assert "restarting systemd..." in fleet.run("run", "logs", str(done.report["run"]), HOST).out
    assert main_pid(fleet, "still") == pid
    assert set(fleet.on(HOST, "cat /run/order").out.split()) == {"early"}


def test_units_of_users_are_switched_by_their_own_managers(fleet: Bench) -> None:
    """One that changed is restarted, one that is gone is stopped, as the user."""
    scope, systemctl = "systemd.user", f"{USER} systemctl --user"
    other = service("other", "", scope)
    deployed(fleet, service("mine", 'environment.NUMBER = "1";', scope) + other)
    before = main_pid(fleet, "mine", systemctl)
    assert fleet.on(HOST, f"stat -c %u /proc/{before}").out.strip() == "1000"
    deployed(fleet, service("mine", 'environment.NUMBER = "2";', scope))
    after = main_pid(fleet, "mine", systemctl)
    assert after != before
    assert "NUMBER=2" in fleet.on(HOST, f"tr '\\0' '\\n' < /proc/{after}/environ").out
    assert fleet.on(HOST, f"{systemctl} is-active other").out.strip() == "inactive"


@pytest.mark.parametrize(
    "body",
    [
        'system.userActivationScripts.mine.text = "exit 3";',
        'systemd.user.services.mine = { wantedBy = [ "default.target" ];'
        ' environment.NUMBER = "{}"; reloadIfChanged = true; serviceConfig = {'
        ' ExecReload = "/bin/false"; ExecStart = "/usr/bin/sleep infinity"; }; };',
    ],
)
def test_a_users_part_that_fails_is_a_warning_of_the_deployment(fleet: Bench, body: str) -> None:
    """The system is not taken back for one user's: deployed, and it is said whose failed."""
    if "{}" in body:
        deployed(fleet, body.replace("{}", "1"))
    done = deployed(fleet, body.replace("{}", "2"))
    assert any("exit 4" in text and "deploy" in text for text in host_of(done)["warnings"]), done


def test_without_d_bus_nothing_is_changed(fleet: Bench) -> None:
    """NixOS's switch ends before it does anything, and the host is not called stuck."""
    before = systems(fleet)
    made = fleet.on(HOST, "stat -c '%i %z' /run/current-system").out
    assert fleet.on(HOST, NO_BUS).rc == 0
    fleet.module(HOST, MARKER.format("no bus"))
    done = fleet.deploy(HOST, "--no-verify")
    assert (done.rc, done.outcomes) == (1, {HOST: "failed"}), done
    host = host_of(done)
    assert "D-Bus does not answer" in host["message"], host
    assert "was not changed" in host["host_state"], host
    assert systems(fleet) == before
    assert fleet.on(HOST, "stat -c '%i %z' /run/current-system").out == made


@pytest.mark.parametrize("broken", [False, True])
def test_a_d_bus_that_goes_in_the_middle_is_taken_back(fleet: Bench, broken: bool) -> None:
    """The switch ends in the middle of its units; the guard has D-Bus answer again, and rolls back.

    Where the new system's own unit for it is broken, the old one's is there before it is begun.
    """
    unit = service("still", 'environment.NUMBER = "{}";')
    deployed(fleet, unit.replace("{}", "1"))
    before = systems(fleet)
    snippet = f"systemctl daemon-reload; {NO_BUS}"
    body = f"system.activationScripts.bus.text = {json.dumps(snippet)};\n"
    if broken:
        text = "[Socket]\nListenStream=/run/dbus/system_bus_socket\nExecStartPre=/bin/false\n"
        body += f'environment.etc."systemd/system/dbus.socket".text = {json.dumps(text)};'
    fleet.module(HOST, unit.replace("{}", "2") + body)
    done = fleet.deploy(HOST, "--no-verify")
    assert done.outcomes == {HOST: "rolled_back"}, done
    assert systems(fleet) == before
    environment = f"tr '\\0' '\\n' < /proc/{main_pid(fleet, 'still')}/environ"
    assert "NUMBER=1" in fleet.on(HOST, environment).out.split()
