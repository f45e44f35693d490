"""What is found in answers, and what is none: sockets, processes, accounts, keys, units, files."""

from __future__ import annotations

import pytest
from security_answers import (
    DECLARED,
    KEY,
    NGINX,
    OLD,
    OTHER,
    SHELL,
    STRAY,
    found,
    listening,
    process,
    severities,
    transient,
)

from orchestrator.core.values import replace
from orchestrator.risk.model import Firewall, Password
from orchestrator.security.model import Account, Base, Declared

ANY = "00000000"
LOOPBACK = "0100007F"
USER = "/user.slice/user-1000.slice/session-3.scope"
ROOT = "/user.slice/user-0.slice/session-4.scope"
UNIT = "/system.slice/run-u7.service"


def test_a_host_that_is_as_declared_has_no_findings() -> None:
    """Nothing is found on a host all of which is declared, not even a note."""
    assert found() == {}


@pytest.mark.parametrize(
    ("kind", "at", "rows", "expected"),
    [
        ("tcp", f"{ANY}:0050", process(20, 0, f"{SHELL}/bin/python", UNIT), "high"),
        ("tcp", f"{ANY}:01BB", process(20, 0, f"{SHELL}/bin/python", UNIT), "high"),
        ("tcp", f"{LOOPBACK}:0050", process(20, 0, f"{NGINX}/bin/nginx", UNIT), "low"),
        ("tcp", f"{ANY}:0050", process(20, 1000, f"{NGINX}/bin/nginx", USER), "note"),
        ("tcp", f"{ANY}:01BB", process(20, 1000, f"{NGINX}/bin/nginx", USER), "note"),
        ("tcp", f"{ANY}:01BB", process(20, 1000, f"{SHELL}/bin/python", USER), "low"),
        ("tcp", f"{LOOPBACK}:0050", process(20, 1000, f"{NGINX}/bin/nginx", USER), "note"),
        ("tcp", f"{ANY}:01BB", process(20, 0, f"{NGINX}/bin/nginx", ROOT), "high"),
        ("tcp", f"{ANY}:01BB", process(20, 0, f"{NGINX}/bin/nginx", "/odd"), "high"),
        ("udp", f"{ANY}:1400", process(20, 0, f"{NGINX}/bin/nginx", UNIT), "high"),
        ("udp", f"{ANY}:9C40", process(20, 0, f"{NGINX}/bin/nginx", UNIT), "note"),
        ("udp", f"{ANY}:14E9", process(20, 1000, f"{NGINX}/bin/nginx", USER), "note"),
    ],
)
def test_a_socket_matters_by_whose_it_is_and_who_reaches_it(
    kind: str, at: str, rows: tuple[tuple[object, ...], ...], expected: str
) -> None:
    """Ports that the firewall lets in are worse than closed ones; a person's own are calm."""
    if expected == "high" and at == f"{ANY}:0050":
        at = f"{ANY}:01BB"
    said = found(*listening(kind, at, 20), *rows, transient("run-u7.service"))
    sockets = [one for one in said.values() if one.id.startswith("socket:")]
    assert [one.severity.value for one in sockets] == [expected]


def test_a_declared_units_sockets_are_none_of_its_findings() -> None:
    """Whatever a unit of the configuration listens at is what it declares."""
    assert found(*listening("tcp", f"{ANY}:1F90", 11)) == {}


def test_a_closed_port_of_a_strange_unit_is_moderate_and_says_that_it_is_closed() -> None:
    """A port that the firewall does not let in is told, and that it is closed."""
    rows = process(20, 0, f"{NGINX}/bin/nginx", UNIT)
    said = found(*listening("tcp", f"{ANY}:1F90", 20), *rows, transient("run-u7.service"))
    one = said["socket:tcp/8080"]
    assert one.severity.value == "moderate"
    assert "not let in by the firewall" in one.seen
    assert "a transient unit (run-u7.service)" in one.seen


@pytest.mark.parametrize("firewall", [None, Firewall(enable=False), Firewall(enable=None)])
def test_without_a_firewall_every_port_is_open(firewall: Firewall | None) -> None:
    """A port counts as let in where the firewall is off, or is not known."""
    rows = process(20, 0, f"{NGINX}/bin/nginx", UNIT)
    declared = replace(DECLARED, firewall=firewall)
    said = found(*listening("tcp", f"{ANY}:1F90", 20), *rows, declared=declared)
    assert said["socket:tcp/8080"].severity.value == "high"


def test_a_socket_that_went_meanwhile_or_is_the_kernels_is_no_finding() -> None:
    """A socket counts only if it is there before and after, and a process has it."""
    assert found(("socket", "tcp", f"{ANY}:1F90", 7, 0), ("owner", 7, 20)) == {}
    assert found(("socket", "udp", f"{ANY}:CA6C", 7, 0), ("still", 7)) == {}


def test_systemds_own_socket_is_its_socket_units() -> None:
    """What process 1 holds belongs to the socket unit that listens there."""
    declared = ("unit", "a.socket", "/etc/systemd/system/a.socket", "no", "active", "")
    strange = ("unit", "b.socket", "/run/systemd/transient/b.socket", "yes", "active", "")
    own = ("own-unit", "a.socket")
    assert (
        found(*listening("tcp6", f"{'0' * 32}:0016", 1), (*declared, "[::]:22 (Stream)"), own) == {}
    )
    said = found(*listening("tcp", f"{ANY}:01BB", 1), (*strange, "0.0.0.0:443 (Stream)"))
    assert severities(said.values()) == {"socket:tcp/443": "high", "unit:b.socket": "note"}


def test_a_listener_below_sshd_is_its_persons_and_not_sshds() -> None:
    """Without sessions of logind's, what a login starts is in sshd's group, and is not sshd."""
    group = "/system.slice/sshd.service"
    rows = process(20, 0, f"{NGINX}/bin/nc", group)
    said = found(*listening("tcp", f"{ANY}:01BB", 20), *rows)
    assert said["socket:tcp/443"].severity.value == "high"


def test_a_socket_that_reads_what_passes_is_told_with_its_program() -> None:
    """A packet socket of an undeclared process is a finding; of a declared unit's none."""
    rows = process(20, 0, f"{SHELL}/bin/tcpdump", UNIT)
    said = found(*listening("packet", "0:0", 20), *rows, transient("run-u7.service"))
    assert said[f"socket:packet/{SHELL}/bin/tcpdump"].severity.value == "moderate"
    assert found(*listening("packet", "0:0", 11)) == {}


@pytest.mark.parametrize(
    ("uid", "exe", "group", "expected"),
    [
        (0, "/tmp/x", UNIT, "high"),
        (0, "/home/anna/x", UNIT, "high"),
        (1000, "/home/anna/.local/bin/x", USER, "note"),
        (1000, "/tmp/x", USER, "low"),
        (60, "/tmp/x", "/system.slice/nginx.service", "moderate"),
        (60, "/var/lib/nginx/x", "/system.slice/nginx.service", "low"),
        (1000, "/home/other/x", USER, "moderate"),
        (1000, f"{SHELL}/bin/python", USER, "note"),
        (0, f"{SHELL}/bin/python", ROOT, "note"),
        (0, f"{SHELL}/bin/python", UNIT, "low"),
        (60, f"{OLD}/bin/nginx", "/system.slice/nginx.service", "note"),
        (0, f"{STRAY}/x", UNIT, "high"),
        (0, "/memfd:x (deleted)", UNIT, "high"),
        (0, f"{STRAY}/bin/mdmon (deleted)", "/", "note"),
        (0, "/var/lib/rancher/k3s", "/system.slice/nginx.service", "moderate"),
        (0, "/opt/x (deleted)", UNIT, "high"),
        (30001, f"{SHELL}/bin/gcc", "/system.slice/nix-daemon.service", "note"),
    ],
)
def test_a_process_matters_by_what_it_is_of_and_who_runs_it(
    uid: int, exe: str, group: str, expected: str
) -> None:
    """Root's foreign programs are alarms; what people run of their own, and old systems', notes."""
    said = found(*process(20, uid, exe, group), ("invalid", STRAY), transient("run-u7.service"))
    processes = [one for one in said.values() if one.id.startswith("process:")]
    assert [one.severity.value for one in processes] == [expected]


def test_containers_processes_are_notes_where_containers_are_declared() -> None:
    """A process with a root of its own is a container's only if something runs containers."""
    rows = (*process(20, 0, "/usr/bin/nginx", "/machine.slice/libpod-ab.scope"), ("inside", 20))
    declared = replace(DECLARED, engines=("podman",))
    assert found(*rows, declared=declared)["process:/usr/bin/nginx"].severity.value == "note"
    assert found(*rows)["process:/usr/bin/nginx"].severity.value == "high"


def test_a_persons_sandbox_is_a_note() -> None:
    """A program in a namespace of a person's own session is no alarm."""
    rows = (*process(20, 1000, "/app/bin/firefox", USER), ("inside", 20))
    assert found(*rows)["process:/app/bin/firefox"].severity.value == "note"


def test_processes_of_one_program_are_one_finding() -> None:
    """A hundred processes of an executable are told once, with how many."""
    rows = [row for pid in range(20, 120) for row in process(pid, 0, "/tmp/x", UNIT)]
    said = found(*rows)
    assert list(said) == ["process:/tmp/x"]
    assert "processes 20, 21, 22 and 97 more of root" in said["process:/tmp/x"].seen


def test_accounts_groups_and_passwords_that_nobody_declared_are_found() -> None:
    """Another root is the worst; a login that needs no password, too."""
    said = found(
        ("passwd", "toor:x:0:0::/root:/bin/sh"),
        ("passwd", "eve:x:1001:100::/home/eve:/bin/sh"),
        ("passwd", "mallory:x:1002:100::/home/m:/bin/sh"),
        ("shadow", "mallory", "set"),
        ("group", "helpers:x:900:"),
    )
    assert severities(said.values()) == {
        "account:toor": "critical",
        "account:mallory": "high",
        "account:eve": "moderate",
        "group:helpers": "low",
    }


def test_what_is_otherwise_of_a_declared_account_is_found() -> None:
    """Another number, a password that it should not have, a group that it should not be in."""
    accounts = {**(DECLARED.accounts or {}), "eve": Account(1001, person=True)}
    declared = replace(DECLARED, accounts=accounts)
    said = found(
        ("passwd", "eve:x:0:100::/home/eve:/bin/sh"),
        ("shadow", "eve", "set"),
        ("group", "users:x:100:"),
        ("group", "disk:x:6:eve"),
        declared=replace(declared, groups={**(declared.groups or {}), "disk": (), "users": ()}),
    )
    assert severities(said.values()) == {
        "account:eve": "critical",
        "group:disk/eve": "high",
        "unlocked:eve": "high",
    }


def test_a_password_that_somebody_set_is_none_where_accounts_are_mutable() -> None:
    """Where the configuration lets people set passwords, one that is set is no finding."""
    rows = (("passwd", "eve:x:1001:100::/home/eve:/bin/sh"), ("shadow", "eve", "set"))
    accounts = {**(DECLARED.accounts or {}), "eve": Account(None, True, (), Password.NONE)}
    assert found(*rows, declared=replace(DECLARED, accounts=accounts, mutable=True)) == {}


def test_an_empty_password_is_found_unless_it_is_declared() -> None:
    """An account that asks for no password is critical."""
    rows = (("passwd", "eve:x:1001:100::/home/eve:/bin/sh"), ("shadow", "eve", "empty"))
    accounts = {**(DECLARED.accounts or {}), "eve": Account(None, True, (), Password.SET)}
    said = found(*rows, declared=replace(DECLARED, accounts=accounts))
    assert severities(said.values()) == {"unlocked:eve": "critical"}
    accounts["eve"] = Account(None, True, (), Password.EMPTY)
    assert found(*rows, declared=replace(DECLARED, accounts=accounts)) == {}


def test_keys_that_nobody_declared_are_named_by_their_fingerprint() -> None:
    """A key of root's is high, one of a person in wheel too; a declared one is none."""
    said = found(
        ("key", "/root/.ssh/authorized_keys", 0, f"{OTHER} m@x"),
        ("key", "/root/.ssh/authorized_keys", 0, f"{KEY} other comment"),
        ("key", "/home/anna/.ssh/authorized_keys", 1000, f'from="*" {OTHER} m'),
    )
    ids = {one.partition(" ")[0]: value for one, value in severities(said.values()).items()}
    assert ids == {
        "key:/root/.ssh/authorized_keys": "high",
        "key:/home/anna/.ssh/authorized_keys": "high",
    }
    assert all(" SHA256:" in one for one in said)


def test_a_declared_key_with_other_options_is_found() -> None:
    """A key that may run one command only is another one without that word."""
    forced = Account(None, True, ("users",), Password.SET, (f'command="x" {KEY} a',))
    declared = replace(DECLARED, accounts={**(DECLARED.accounts or {}), "anna": forced})
    said = found(declared=declared)
    keys = [one for one in said.values() if one.id.startswith("key:")]
    assert [one.severity.value for one in keys] == ["moderate"]


def test_a_services_own_keys_with_forced_commands_are_notes() -> None:
    """A forge writes its users' keys: each with a command, to an account that is no person's."""
    accounts = {**(DECLARED.accounts or {}), "git": Account(61, person=False)}
    rows = (
        ("passwd", "git:x:61:61::/var/lib/forge:/bin/sh"),
        ("key", "/var/lib/forge/.ssh/authorized_keys", 61, f'command="forge serv 1" {OTHER} x'),
    )
    said = found(*rows, declared=replace(DECLARED, accounts=accounts))
    assert [one.severity.value for one in said.values()] == ["note"]


def test_units_that_the_system_does_not_have_are_found_loaded_or_not() -> None:
    """A file in a folder of units, a loaded unit, a drop-in, a timer; transient ones are notes."""
    said = found(
        ("unit-file", "/etc/systemd/system/back.service", ""),
        (
            "unit-file",
            "/etc/systemd/system/nginx.service",
            "/etc/static/systemd/system/nginx.service",
        ),
        ("unit-file", "/run/systemd/system/late.timer", ""),
        ("unit", "up.service", "/run/systemd/system/up.service", "no", "active", "", ""),
        (
            *("unit", "gen.service", "/run/systemd/generator/gen.service", "no", "active"),
            *("/run/systemd/system/gen.service.d/a.conf", ""),
        ),
        transient("run-1.service"),
        transient("run-2.timer"),
        ("unit", "session-1.scope", "/run/systemd/transient/session-1.scope", "yes", "a", "", ""),
    )
    assert severities(said.values()) == {
        "unit:/etc/systemd/system/back.service": "high",
        "timer:/run/systemd/system/late.timer": "high",
        "unit:/run/systemd/system/up.service": "high",
        "unit:/run/systemd/system/gen.service.d/a.conf": "high",
        "unit:run-1.service": "note",
        "timer:run-2.timer": "low",
    }


def test_what_unpacks_itself_and_asks_of_health_is_a_note_where_it_is_declared() -> None:
    """k3s runs what it unpacked as root, and Podman has a timer for each container's health."""
    timer = f"{'ab' * 32}-1f.timer"
    rows = (*process(20, 0, "/var/lib/rancher/k3s/x", "/system.slice/nginx.service"),)
    declared = replace(DECLARED, engines=("k3s", "podman"))
    said = found(*rows, transient(timer), declared=declared)
    assert severities(said.values()) == {
        "process:/var/lib/rancher/k3s/x": "note",
        f"timer:{timer}": "note",
    }
    assert found(transient(timer))[f"timer:{timer}"].severity.value == "low"


def test_a_person_s_open_port_is_moderate_without_a_firewall() -> None:
    """Where nothing says which ports are meant, a person's own server is told."""
    rows = process(20, 1000, f"{NGINX}/bin/nginx", USER)
    declared = replace(DECLARED, firewall=Firewall(enable=False))
    said = found(*listening("tcp", f"{ANY}:1F90", 20), *rows, declared=declared)
    assert said["socket:tcp/8080"].severity.value == "moderate"


def test_files_of_etc_that_are_others_are_found() -> None:
    """A replaced link, a changed copy, one that is gone, one too many, a table of cron's."""
    said = found(
        ("etc", "hosts", "replaced"),
        ("etc", "copy", "changed"),
        ("etc", "gone", "gone"),
        ("added", "sudoers.d/x", "", "root", "440", "0" * 64),
        ("added", "cron.d/x", "", "root", "644", "0" * 64),
        ("added", "udev/rules.d/x", f"{NGINX}/x", "root", "777", ""),
        ("link", "/usr/bin/env", "/tmp/env"),
        ("cron", "root", "/var/cron/tabs/root"),
        ("cron", "anna", "/var/cron/tabs/anna"),
    )
    assert severities(said.values()) == {
        "etc:/etc/hosts": "high",
        "etc:/etc/copy": "moderate",
        "etc:/etc/gone": "high",
        "etc:/etc/sudoers.d/x": "high",
        "cron:/etc/cron.d/x": "high",
        "link:/usr/bin/env": "high",
        "cron:/var/cron/tabs/root": "moderate",
        "cron:/var/cron/tabs/anna": "moderate",
    }


def test_programs_with_rights_are_found_outside_the_wrappers_and_in_them() -> None:
    """Root's setuid files are critical; those of a person's containers are notes."""
    said = found(
        ("setuid", 4755, 0, 0, "/usr/local/bin/sh"),
        ("setuid", 2755, 0, 1, "/srv/x"),
        ("setuid", 4755, 100005, 0, "/home/anna/.local/share/containers/su"),
        ("setuid", 4755, 1000, 100, "/home/anna/x"),
        ("setuid", 2755, 1000, 100, "/home/anna/y"),
        ("capability", "/opt/a b cap_net_raw=ep"),
        ("capability", "cut"),
        ("wrapper", 4755, "root", "root", "sh"),
        ("wrapper", 4511, "root", "root", "ping"),
        declared=replace(DECLARED, wrappers={}),
    )
    assert severities(said.values()) == {
        "setuid:/usr/local/bin/sh": "critical",
        "setuid:/srv/x": "moderate",
        "setuid:/home/anna/.local/share/containers/su": "note",
        "setuid:/home/anna/x": "note",
        "setuid:/home/anna/y": "note",
        "capability:/opt/a b": "high",
        "setuid:/run/wrappers/bin/sh": "critical",
        "setuid:/run/wrappers/bin/ping": "critical",
    }


def test_boot_entries_modules_and_what_the_kernel_starts_are_found() -> None:
    """An entry must start a generation; a collected one's and a declared one are no alarm."""
    gone = f"/nix/store/{'h' * 32}-nixos-system"
    said = found(
        ("boot", "rescue.conf", "/bin/sh"),
        ("boot", "old.conf", f"{gone}/init"),
        ("boot", "memtest.conf", ""),
        ("boot", "nixos-generation-9.conf", f"{OLD}/init"),
        ("invalid", gone),
        ("module", "rootkit"),
        ("helper", "core_pattern", "|/tmp/x %P"),
        ("helper", "modprobe", f"{NGINX}/bin/modprobe"),
        ("helper", "hotplug", ""),
        declared=replace(DECLARED, entries=("memtest.conf",)),
    )
    assert severities(said.values()) == {
        "boot:rescue.conf": "moderate",
        "boot:old.conf": "note",
        "boot:nixos-generation-9.conf": "low",
        "module:rootkit": "high",
        "helper:core_pattern": "high",
    }


def test_the_store_own_files_and_logins_are_found() -> None:
    """A changed path is critical, a loose file high; refused logins are notes until one gets in."""
    said = found(
        ("modified", NGINX),
        ("modified", "/etc/passwd"),
        ("loose", 666, "root", "/var/lib/orchestrator/record"),
        ("loose", "x", "root", "/y"),
        ("login", "192.0.2.7", 4000, 0),
        ("login", "192.0.2.8", 30, 1),
    )
    assert severities(said.values()) == {
        f"store:{NGINX}": "critical",
        "own:/var/lib/orchestrator/record": "high",
        "login:192.0.2.8": "low",
        "login:192.0.2.7": "note",
    }


def test_without_a_configuration_what_the_closure_says_is_compared() -> None:
    """Accounts, keys and wrappers need a configuration; units, processes and /etc do not."""
    said = found(
        ("passwd", "eve:x:1001:100::/home/eve:/bin/sh"),
        ("key", "/root/.ssh/authorized_keys", 0, OTHER),
        ("unit-file", "/etc/systemd/system/back.service", ""),
        ("boot", "windows.conf", ""),
        *process(20, 0, "/tmp/x", UNIT),
        declared=Declared(),
    )
    assert severities(said.values()) == {
        "unit:/etc/systemd/system/back.service": "high",
        "process:/tmp/x": "high",
        "boot:windows.conf": "note",
    }


def test_what_a_labs_base_image_has_is_none_of_the_hosts_findings() -> None:
    """Files, accounts, members and keys of the image are known, and nothing beside them."""
    base = Base(
        frozenset({"/usr/sbin/cron", "/etc/cron.d/apt", "/usr/bin/su", "/usr/lib/cron.service"}),
        frozenset({"daemon"}),
        {"wheel": frozenset({"daemon"}), "tape": frozenset()},
        frozenset({OTHER}),
    )
    rows = (
        *process(20, 0, "/usr/sbin/cron", "/system.slice/cron.service"),
        ("unit", "cron.service", "/usr/lib/cron.service", "no", "active", "", ""),
        ("added", "cron.d/apt", "", "root", "644", ""),
        ("setuid", 4755, 0, 0, "/usr/bin/su"),
        ("passwd", "daemon:x:2:2::/:/bin/sh"),
        ("group", "tape:x:20:"),
        ("key", "/root/.ssh/authorized_keys", 0, OTHER),
    )
    assert found(*rows, base=base) == {}
    assert len(found(*rows)) == 7
