"""The guard's program on a real host: each way to its end, and what ends it in between."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from fleet_bench import until
from guard_bench import LEFT, NAME, GuardHost

from orchestrator.core.errors import StepError, UnreachableError
from orchestrator.core.plan import Goal
from orchestrator.core.state import AttemptState
from orchestrator.core.store import OutPath
from orchestrator.host.guard import orders
from orchestrator.lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

RESUME = "orchestrator-guard-resume.service"
WAITING, CHECKING = AttemptState.WAITING, AttemptState.CHECKING
DONE, RETURNED, STUCK = AttemptState.DONE, AttemptState.RETURNED, AttemptState.STUCK


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardHost]:
    """One host for the whole file."""
    fleet = tmp_path_factory.mktemp("guard") / "fleet"
    (fleet / "inventory").mkdir(parents=True)
    (fleet / "inventory/hosts.yaml").write_text(f"hosts:\n  {NAME}:\n    address: x.invalid\n")
    patch = pytest.MonkeyPatch()
    patch.setenv("ORCHESTRATOR_LAB_HOME", str(tmp_path_factory.getbasetemp() / "labs"))
    lab = Lab.of(fleet)
    try:
        lab.up([NAME])
        host = GuardHost(lab, OutPath("/nix/store/" + "0" * 32 + "-none"))
        host.first = OutPath.parse(host.sh("readlink -f /run/current-system"))
        yield host
    finally:
        lab.down(purge=True)
        patch.undo()


@pytest.fixture
def host(made: GuardHost) -> GuardHost:
    """The host, at its first system, as if nobody ever deployed there."""
    made.reset()
    return made


def test_what_is_confirmed_is_committed(host: GuardHost) -> None:
    """Running system, profile and boot default; the record says who did it; nothing is left."""
    target = host.system("new")
    token = host.checking(target)
    assert host.systems == (target, host.first, host.first)
    host.do(orders.confirm(host.inside, token))
    host.ended(token, DONE)
    assert host.systems == (target,) * 3
    record = host.state.record
    assert record is not None
    assert (record.run, record.who, record.out_path) == (7, "me@here", target)


@pytest.mark.parametrize("contacted", [False, True])
def test_what_nobody_confirms_is_taken_back(host: GuardHost, contacted: bool) -> None:
    """Whether nobody came over a new connection, or nobody said that all is well."""
    target = host.system("new")
    if contacted:
        token = host.start(target, health_seconds=1).token
        host.until(token, WAITING)
        host.do(orders.contact(host.inside, token))
    else:
        token = host.start(target, confirm_seconds=1).token
    attempt = host.ended(token, RETURNED)
    said = "no confirmation came in time" if contacted else "no new connection came in time"
    assert attempt.why == said
    assert attempt.turned is (CHECKING if contacted else WAITING)
    assert host.systems == (host.first,) * 3
    assert host.state.record is None


def test_goal_test_commits_nothing(host: GuardHost) -> None:
    """Confirmed, it runs, and the next boot is the old system's; no record is written of it."""
    target = host.system("new")
    token = host.checking(target, Goal.TEST)
    host.do(orders.confirm(host.inside, token))
    host.ended(token, DONE)
    assert host.systems == (target, host.first, host.first)
    assert host.state.record is None


def test_goal_boot_activates_nothing(host: GuardHost) -> None:
    """The goal ``boot`` is committed at once: what runs is what ran, and is not confirmed."""
    target = host.system("new")
    token = host.start(target, Goal.BOOT).token
    host.ended(token, DONE)
    assert host.systems == (host.first, target, target)
    host.fault("reboot")
    assert host.lab.wait(NAME)
    assert host.systems == (target,) * 3


@pytest.mark.parametrize("state", ["activating", "waiting", "checking"])
def test_the_deployers_word_takes_it_back(host: GuardHost, state: str) -> None:
    """The deployer's word rolls a host back at once in each state, and ends an activation."""
    target = host.system("new", "[ $1 != test ] || sleep 100" if state == "activating" else "")
    if state == "checking":
        token = host.checking(target)
    else:
        token = host.start(target).token
        host.until(token, AttemptState(state))
    told = host.do(orders.back(host.inside, token, "a check\nfailed"))
    assert told.attempt is not None
    attempt = host.ended(token, RETURNED)
    assert attempt.why == "a check failed"
    assert attempt.turned is AttemptState(state)
    assert host.systems == (host.first,) * 3


def test_units_that_fail_are_no_failed_activation(host: GuardHost) -> None:
    """Exit 4 with the right end state: the deployer decides what that is."""
    target = host.system("new", "[ $1 != test ] || { ${0%/bin/*}/activate; exit 4; }")
    token = host.start(target).token
    attempt = host.until(token, WAITING).attempt
    assert attempt is not None
    assert attempt.exit_code == 4


@pytest.mark.parametrize(
    ("line", "why", "activation"),
    [
        ("[ $1 != test ] || exit 1", "activation failed (1)", "1"),
        ("[ $1 != test ] || { ${0%/bin/*}/activate; exit 2; }", "activation failed (2)", "2"),
        ("[ $1 != test ] || exit 0", "activation ended with 0, and the end state is wrong", "0"),
        ("[ $1 != test ] || exit 4", "activation ended with 4, and the end state is wrong", "4"),
        ("kill -KILL $$", "activation failed (killed)", "killed"),
        ("exec sleep 100", "activation did not end within 12 s", "timeout"),
        ("trap '' TERM; while :; do sleep 1; done", "activation did not end within", "timeout"),
    ],
)
def test_an_activation_that_fails_is_taken_back(
    host: GuardHost, line: str, why: str, activation: str
) -> None:
    """The end state counts beside the exit code; what hangs is ended, however it clings."""
    target = host.system("new", f"[ $1 = test ] || exit 0; echo about to fail; {line}")
    token = host.start(target, activate_seconds=12).token
    attempt = host.ended(token, RETURNED)
    assert attempt.why.startswith(why), attempt
    assert attempt.activation == activation
    until(lambda: "about to fail" in host.journal())
    assert host.systems == (host.first,) * 3


def test_what_a_short_activation_says_is_heard(host: GuardHost) -> None:
    """Though whoever hears it begins late: it has no session of its own when all is over."""
    late = "/usr/local/bin/setsid"
    host.sh(
        f"printf '#!/bin/sh\\nsleep 5\\nexec /usr/bin/setsid \"$@\"\\n' > {late}; chmod 755 {late}"
    )
    try:
        token = host.start(host.system("new", "[ $1 != test ] || { echo spoken; exit 1; }")).token
        told = host.until(token, RETURNED)
    finally:
        host.sh(f"rm {late}")
    assert "spoken" in told.log


ACTIVATED = "[ $1 != test ] || {{ ${{0%/bin/*}}/activate; {}; exit 4; }}"
"""Activated, and the exit code is that of units that failed."""

OVERWRITTEN = ACTIVATED.replace("{{", "{{ unset BASH_ENV;", 1)
"""Likewise, and how the script ended cannot be asked."""

FAILS = (
    r"mkdir -p /run/x; printf '#!/bin/bash\n%s\nexit 3\n' "
    '"{}" > /run/x/activate; chmod 755 /run/x/activate; /run/x/activate'
)
"""Another activation script, which says something and fails."""


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ("echo Failed to run activate script", "activation failed (4): Failed to run activate"),
        (
            "echo \"Activation script snippet 'data' failed (1)\"; "
            "echo Failed to run activate script",
            "activation failed (4): Activation script snippet 'data' failed (1)",
        ),
        ("printf 'no newline; Failed to run activate script'", "activation failed (4): no newline"),
        (
            "echo Failed to run activate script; : > /run/orchestrator/log",
            "activation failed (4): Failed to run activate script",
        ),
        ("yes | head -c 20000000", "activation failed (4): not all that it said could be read"),
    ],
)
def test_a_failed_script_is_known_though_the_exit_code_hides_it(
    host: GuardHost, says: str, why: str
) -> None:
    """A failed script is known by what it said, though the exit code hides it."""
    token = host.start(host.system("new", OVERWRITTEN.format(says))).token
    attempt = host.ended(token, RETURNED)
    assert attempt.why.startswith(why)
    assert attempt.activation == "4"
    assert host.systems == (host.first,) * 3


@pytest.mark.parametrize(
    "says",
    [
        "true",
        "echo reloading user units for me",
        r"printf 'warning: a\\0b\\r'",
        "head -c 20000000 /dev/zero",
    ],
)
def test_a_script_that_fails_is_known_whatever_it_says(host: GuardHost, says: str) -> None:
    """A script's own exit code is noted beside what it prints, so that its failure is known."""
    token = host.start(host.system("new", ACTIVATED.format(FAILS.format(says)))).token
    attempt = host.ended(token, RETURNED)
    assert attempt.why == "activation failed (4): its activation script failed (3)"
    assert host.systems == (host.first,) * 3


@pytest.mark.parametrize(
    "says", ["echo Failed to run activate script", "head -c 20000000 /dev/zero"]
)
def test_a_script_that_went_well_is_known_whatever_others_say(host: GuardHost, says: str) -> None:
    """A user's login shell, or a unit, may print anything after it."""
    token = host.start(host.system("new", ACTIVATED.format(says))).token
    host.until(token, WAITING)
    host.do(orders.back(host.inside, token, "no"))
    host.ended(token, RETURNED)


@pytest.mark.parametrize("code", [0, 4])
def test_a_script_that_did_not_run_to_its_end_is_no_success(host: GuardHost, code: int) -> None:
    """The system that runs is deployed again, and no path tells whether anything was done."""
    same = host.system("same", f"[ $1 != test ] || [ ! -e /run/broken ] || exit {code}")
    host.sh(f"nix-env --profile /nix/var/nix/profiles/system --set {same}")
    host.sh(f"{same}/bin/switch-to-configuration switch; touch /run/broken")
    token = host.start(same).token
    host.until(token, AttemptState.RETURNING)
    host.sh("rm /run/broken")
    attempt = host.ended(token, RETURNED)
    said = "its activation script did not run to its end"
    assert attempt.why == f"activation failed ({code}): {said}"


def test_a_failed_script_on_the_way_back_is_told(host: GuardHost) -> None:
    """What runs is the old system, and not all of it was put back: that is not "as before"."""
    fails = "[ ! -e /run/broken ] || echo Failed to run activate script"
    old = host.system("old", OVERWRITTEN.format(fails))
    host.sh(f"nix-env --profile /nix/var/nix/profiles/system --set {old}")
    host.sh(f"{old}/bin/switch-to-configuration test; {old}/bin/switch-to-configuration boot")
    token = host.checking(host.system("new"))
    host.sh("touch /run/broken")
    host.do(orders.back(host.inside, token, "no"))
    attempt = host.ended(token, STUCK)
    assert "test: 4, and Failed to run activate script" in attempt.why


LOCK = "/run/nixos/switch-to-configuration.lock"
HOLD = "systemd-run --quiet --unit=holds {} flock {} {} sleep 300"


def hold(host: GuardHost, who: str, how: str = "--shared") -> None:
    """Have somebody lock the switch's file."""
    host.sh(HOLD.format(f"--property=User={who}", how, LOCK))
    until(lambda: host.sh(f"flock --nonblock {LOCK} true || echo held") == "held")


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_lock_of_one_who_is_not_root_keeps_nobody(host: GuardHost, confirmed: bool) -> None:
    """A lock that another user holds stops neither commit nor roll-back, and then is root's."""
    host.sh(f"chmod 644 {LOCK}")
    target = host.system("new")
    token = host.checking(target)
    # As it would be had somebody opened it before.
    host.sh(f"chmod 644 {LOCK}")
    hold(host, "nobody")
    try:
        if confirmed:
            host.do(orders.confirm(host.inside, token))
        else:
            host.do(orders.back(host.inside, token, "no"))
        host.ended(token, DONE if confirmed else RETURNED)
        assert host.systems == ((target if confirmed else host.first),) * 3
        assert host.sh(f"stat -c %a {LOCK}") == "600"
        assert "others than root had locked" in host.journal()
        assert host.sh("systemctl is-active holds") == "active"
    finally:
        host.sh("systemctl stop holds")


def test_one_who_is_not_root_cannot_open_the_lock_once_a_guard_is_at_work(host: GuardHost) -> None:
    """Real NixOS's file is made before anybody could, though nothing was switched yet."""
    host.sh("rm -rf /run/nixos")
    token = host.checking(host.system("new"))
    assert host.sh(f"stat -c %a:%u {LOCK}") == "600:0"
    as_nobody = "setpriv --reuid=nobody --clear-groups"
    assert host.sh(f"{as_nobody} cat {LOCK} 2>/dev/null || echo refused") == "refused"
    host.do(orders.back(host.inside, token, "no"))
    host.ended(token, RETURNED)


def test_a_switch_of_roots_is_waited_for_on_the_way_back(host: GuardHost) -> None:
    """The guard waits for root's own switch, and then rolls back without being stuck."""
    token = host.checking(host.system("new"))
    hold(host, "root", "--exclusive")
    host.do(orders.back(host.inside, token, "no"))
    host.until(token, AttemptState.RETURNING)
    time.sleep(8)  # longer than its three tries took
    assert host.state.attempt is not None
    assert host.state.attempt.state is AttemptState.RETURNING
    host.sh("systemctl stop holds")
    host.ended(token, RETURNED)
    assert host.systems == (host.first,) * 3


def test_a_switch_of_roots_that_never_ends_keeps_no_host(host: GuardHost) -> None:
    """Waited for as long as an activation may take; who it was is told."""
    token = host.checking(host.system("new"), activate_seconds=15)
    hold(host, "root", "--exclusive")
    try:
        host.do(orders.back(host.inside, token, "no"))
        host.ended(token, RETURNED)
        assert host.systems == (host.first,) * 3
        assert "going back nevertheless" in host.journal()
    finally:
        host.sh("systemctl stop holds")


def test_nothing_is_touched_beside_a_switch_of_roots(host: GuardHost) -> None:
    """A start waits for it; where that goes on, or changed the host, it leaves the host alone."""
    other, target = host.system("other"), host.system("new")
    hold(host, "root", "--exclusive")
    token = host.start(target, activate_seconds=3).token
    attempt = host.ended(token, RETURNED)
    assert f"has locked {LOCK}" in attempt.why
    assert attempt.activation == ""
    token = host.start(target).token
    host.sh(f"ln -sfn {other} /run/current-system; systemctl stop holds")
    attempt = host.ended(token, RETURNED)
    assert attempt.why.startswith("it changed meanwhile: /run/current-system is")
    assert host.systems == (other, host.first, host.first)


def test_what_an_activation_leaves_does_not_hold_the_guard(host: GuardHost) -> None:
    """A daemon that keeps its output open and hears no TERM is ended with the activation."""
    daemon = "(trap '' TERM; exec 9>&-; while :; do sleep 1; done) & echo $! > /run/daemon"
    target = host.system("new", f"[ $1 != test ] || {{ {daemon}; }}")
    token = host.checking(target)
    assert host.sh('kill -0 "$(cat /run/daemon)" 2>&1 || echo gone').endswith("gone")
    host.do(orders.confirm(host.inside, token))
    host.ended(token, DONE)


def test_the_log_is_told_as_it_grows(host: GuardHost) -> None:
    """The log of an attempt is given from where it was last read, so no line comes twice."""
    target = host.system("new", "echo said once by $1")
    token = host.start(target).token
    told = host.until(token, WAITING)
    assert told.log.count("said once by test") == 1
    host.do(orders.contact(host.inside, token))
    host.do(orders.confirm(host.inside, token))
    host.ended(token, DONE)
    more = host.do(orders.await_(host.inside, token, CHECKING, 5, told.position))
    assert "said once by test" not in more.log
    assert "said once by boot" in more.log


def test_both_systems_are_kept_from_collection_meanwhile(host: GuardHost) -> None:
    """The new system, and all that a roll-back needs; afterwards nothing of ours keeps them."""
    ran = host.system("ran")
    target = host.system("kept", "[ $1 != test ] || sleep 2")
    host.sh(f"{ran}/bin/switch-to-configuration test")
    dead = "nix-store --gc --print-dead 2>/dev/null"
    token = host.start(target).token
    host.until(token, AttemptState.ACTIVATING)
    # Not by the processes alone that have it open just now.
    assert "gcroots/orchestrator" in host.sh(f"nix-store --query --roots {target}")
    host.until(token, WAITING)
    assert ran.path not in host.sh(dead)
    host.do(orders.back(host.inside, token, "enough"))
    host.ended(token, RETURNED)
    assert target.path in host.sh(dead)


def test_odd_beginnings_are_what_it_goes_back_to(host: GuardHost) -> None:
    """What runs, the profile and the boot default may differ: each is as it was."""
    running, profile, target = (host.system(name) for name in ("running", "profile", "new"))
    host.sh(f"nix-env --profile /nix/var/nix/profiles/system --set {profile}")
    host.sh(f"{host.first}/bin/switch-to-configuration boot")
    host.sh(f"{running}/bin/switch-to-configuration test")
    odd = (running, profile, host.first)
    assert host.systems == odd
    generations = host.sh("ls -d /nix/var/nix/profiles/system-*-link").splitlines()
    token = host.checking(target)
    # The commit fails half way: everything is to be rolled back.
    host.sh(
        "mkdir /run/broken; mount --bind /run/broken /boot/loader; mount -o remount,ro,bind "
        "/boot/loader"
    )
    host.do(orders.confirm(host.inside, token))
    host.until(token, AttemptState.RETURNING)
    host.sh("umount /boot/loader")
    host.ended(token, RETURNED)
    assert host.systems == odd
    assert set(generations) <= set(host.sh("ls -d /nix/var/nix/profiles/system-*-link").split())


QUICKER = (
    "[ $1 != test ] || [ -e /run/broken ] || { touch /run/broken; "
    f"systemd-run --quiet --unit=holds flock {LOCK} sleep 300; "
    f"while flock --nonblock {LOCK} true; do sleep 0.1; done; "
    "echo Could not acquire lock >&2; exit 11; }"
)
"""Somebody else's switch takes the lock between the guard's look at it and the real program's."""


def test_a_switch_that_was_quicker_is_waited_for(host: GuardHost) -> None:
    """Who is waited for is told meanwhile, and then the deployment goes on."""
    token = host.start(host.system("new", QUICKER)).token
    until(lambda: host.sh(f"flock --nonblock {LOCK} true || echo held") == "held")
    until(lambda: "waiting: process" in host.sh("cat /run/orchestrator/attempt"))
    host.sh("systemctl stop holds")
    attempt = host.until(token, WAITING).attempt
    assert attempt is not None
    assert attempt.why == ""
    host.do(orders.back(host.inside, token, "no"))
    host.ended(token, RETURNED)


def test_a_switch_that_was_quicker_and_goes_on_is_left_alone(host: GuardHost) -> None:
    """Nothing was activated: nothing is put back either, and the other's lock stays its own."""
    made = host.sh("stat -c '%i %z' /run/current-system")
    token = host.start(host.system("new", QUICKER), activate_seconds=8).token
    try:
        attempt = host.ended(token, RETURNED)
        assert attempt.untouched
        assert f"has locked {LOCK}" in attempt.why
        assert host.sh("stat -c '%i %z' /run/current-system") == made
        assert host.sh(f"flock --nonblock {LOCK} true || echo held") == "held"
    finally:
        host.sh("systemctl stop holds; rm -rf /run/broken")


def test_a_switch_that_was_quicker_and_changed_the_host_is_left_alone(host: GuardHost) -> None:
    """What it activated is nobody's to take back: it is not what was recorded."""
    other = host.system("other")
    token = host.start(host.system("new", QUICKER)).token
    until(lambda: "waiting: process" in host.sh("cat /run/orchestrator/attempt"))
    host.sh(f"ln -sfn {other} /run/current-system; systemctl stop holds")
    attempt = host.ended(token, RETURNED)
    assert attempt.untouched
    assert attempt.why.startswith("it changed meanwhile: /run/current-system is")
    assert host.systems == (other, host.first, host.first)


def test_exit_11_of_nobody_who_can_be_found_is_never_stuck(host: GuardHost) -> None:
    """A lock is gone each time the guard looks: the host was not changed, and that is said."""
    always = "[ $1 != test ] || [ ! -e /run/broken ] || { echo Could not acquire lock; exit 11; }"
    old = host.system("old", always)
    host.sh(f"nix-env --profile /nix/var/nix/profiles/system --set {old}")
    host.sh(f"{old}/bin/switch-to-configuration switch; touch /run/broken")
    attempt = host.ended(host.start(host.system("new", always)).token, RETURNED)
    host.sh("rm -rf /run/broken")
    assert (attempt.untouched, attempt.activation) == (True, "11")
    assert attempt.why == "somebody else's switch is at work"
    assert host.systems == (old,) * 3


def test_the_same_system_is_deployed_and_taken_back(host: GuardHost) -> None:
    """Forced upon a host that is at it: done, or back, it is where it was."""
    token = host.checking(host.first)
    host.do(orders.confirm(host.inside, token))
    host.ended(token, DONE)
    token = host.checking(host.first)
    host.do(orders.back(host.inside, token, "no"))
    host.ended(token, RETURNED)
    assert host.systems == (host.first,) * 3


@pytest.mark.parametrize("state", ["activating", "waiting", "checking", "committing"])
def test_a_guard_that_is_killed_goes_on(host: GuardHost, state: str) -> None:
    """Started again by systemd, it waits where it waited, and where it acted it rolls back."""
    slow = {"activating": "[ $1 != test ] || sleep 9", "committing": "[ $1 != boot ] || sleep 9"}
    target = host.system("new", slow.get(state, ""))
    if state in ("activating", "waiting"):
        token = host.start(target).token
        host.until(token, AttemptState(state))
    else:
        token = host.checking(target)
        if state == "committing":
            host.do(orders.confirm(host.inside, token))
    host.kill_guard(token)
    until(lambda: "Scheduled restart" in host.journal())
    if state in ("activating", "committing"):
        attempt = host.ended(token, RETURNED)
        assert attempt.why.startswith("the guard was ended while it")
        assert host.systems == (host.first,) * 3
        return
    host.do(orders.contact(host.inside, token))
    host.until(token, CHECKING)
    host.do(orders.confirm(host.inside, token))
    host.ended(token, DONE)
    assert host.systems == (target,) * 3


def test_a_guard_that_is_killed_on_the_way_back_goes_back(host: GuardHost) -> None:
    """A guard killed while it rolls back is resumed and ends the roll-back, however often."""
    old = host.system("old", "[ $1 != test ] || [ ! -e /run/broken ] || sleep 3")
    host.sh(f"nix-env --profile /nix/var/nix/profiles/system --set {old}")
    host.sh(f"{old}/bin/switch-to-configuration switch")
    token = host.checking(host.system("new"))
    host.sh("mkdir /run/broken")
    host.do(orders.back(host.inside, token, "no"))
    for _ in range(2):
        host.until(token, AttemptState.RETURNING)
        host.kill_guard(token)
    host.sh("rmdir /run/broken")
    host.ended(token, RETURNED)
    assert host.systems == (old,) * 3


def test_a_guard_that_is_stopped_is_resumed(host: GuardHost) -> None:
    """Whoever asks next has it go on: there is no state in which nobody would."""
    token = host.checking(host.system("new"))
    host.sh(f"systemctl stop orchestrator-guard-{token}.service")
    assert host.state.attempt is not None
    assert host.state.attempt.state is CHECKING
    host.do(orders.resume(host.inside, token))
    host.do(orders.back(host.inside, token, "no"))
    host.ended(token, RETURNED)
    assert host.systems == (host.first,) * 3


@pytest.mark.parametrize("unattended", [True, False])
@pytest.mark.parametrize("state", ["activating", "waiting", "checking", "committing"])
def test_a_power_cut_ends_at_one_of_both(host: GuardHost, state: str, unattended: bool) -> None:
    """The next boot rolls it back with nobody there, or the next deployer does."""
    slow = {"activating": "[ $1 != test ] || sleep 9", "committing": "[ $1 != boot ] || sleep 9"}
    target = host.system("new", slow.get(state, ""))
    if state in ("activating", "waiting"):
        token = host.start(target).token
        host.until(token, AttemptState(state))
    else:
        token = host.checking(target)
        if state == "committing":
            host.do(orders.confirm(host.inside, token))
            host.until(token, AttemptState.COMMITTING)
    if not unattended:
        host.sh("rm -r /etc/systemd/system.control; sync")
    host.cut_power()
    host.boot()
    if unattended:
        until_ended(host)
    else:
        assert host.state.attempt is not None
        assert host.state.attempt.state.in_flight
        host.do(orders.resume(host.inside, token))
    attempt = host.ended(token, RETURNED)
    assert attempt.why.startswith("the host booted")
    assert host.systems == (host.first,) * 3


def test_the_boots_unit_leaves_a_guard_that_is_at_work_alone(host: GuardHost) -> None:
    """An activation may reload systemd and start what its targets want."""
    target = host.system("new", "[ $1 != test ] || systemctl daemon-reload")
    token = host.checking(target)
    unit = RESUME
    assert host.sh(f"systemctl show --property LoadState --value {unit}") == "loaded"
    assert host.sh(f"systemctl start multi-user.target {unit} 2>&1") == ""
    until(lambda: host.sh(f"systemctl is-active {unit}") == "inactive")
    attempt = host.state.attempt
    assert attempt is not None
    assert attempt.state is CHECKING
    host.do(orders.confirm(host.inside, token))
    host.ended(token, DONE)
    # Its end is told first, then systemd forgets the unit.
    until(lambda: host.sh(f"systemctl show --property LoadState --value {unit}") == "not-found")


def until_ended(host: GuardHost) -> None:
    """Wait until the attempt has ended, and say nothing to its guard meanwhile."""

    def has_ended() -> bool:
        attempt = host.state.attempt
        return attempt is not None and not attempt.state.in_flight

    until(has_ended)


@pytest.mark.parametrize("moment", ["committed", "returning"])
def test_a_power_cut_at_the_end(host: GuardHost, moment: str) -> None:
    """What was committed stays; what rolled back goes on rolling back."""
    target = host.system("new")
    if moment == "returning":
        old = host.system("old", "[ $1 != test ] || [ ! -e /run/broken ] || sleep 9")
        host.sh(f"nix-env --profile /nix/var/nix/profiles/system --set {old}")
        host.sh(f"{old}/bin/switch-to-configuration switch; mkdir /run/broken")
    before = host.systems
    token = host.checking(target)
    if moment == "returning":
        host.do(orders.back(host.inside, token, "no"))
        host.until(token, AttemptState.RETURNING)
    else:
        # What the guard does in this state is done, and the power goes before it can tell.
        host.sh("systemctl stop orchestrator-guard-*")
        host.sh("sed -i 's/^state=.*/state=committing/' /var/lib/orchestrator/attempt")
        host.sh(f"nix-env --profile /nix/var/nix/profiles/system --set {target}")
        host.sh(f"{target}/bin/switch-to-configuration boot; sync")
    host.cut_power()
    host.boot()
    host.ended(token, DONE if moment == "committed" else RETURNED)
    assert host.systems == ((target,) * 3 if moment == "committed" else before)


def test_a_full_disk_stops_an_attempt_before_it_begins(host: GuardHost) -> None:
    """Where it could not be written down, nothing is touched, and nothing of it is left."""
    target = host.system("new")
    host.sh("mkdir -p /var/lib/orchestrator; mount -t tmpfs -o size=4k none /var/lib/orchestrator")
    try:
        with pytest.raises(StepError, match="is the disk full"):
            host.start(target)
        assert host.sh(LEFT) == ""
        assert host.systems == (host.first,) * 3
        assert host.state.attempt is None
    finally:
        host.sh("umount /var/lib/orchestrator")
    token = host.checking(target)
    host.do(orders.confirm(host.inside, token))
    host.ended(token, DONE)


def test_a_store_that_cannot_be_written_stops_it_too(host: GuardHost) -> None:
    """A store that cannot be written stops an attempt before anything is touched."""
    target = host.system("new")
    host.sh(
        "mkdir -p /nix/var/nix/gcroots/orchestrator; cd /nix/var/nix/gcroots/; "
        "mount --bind orchestrator orchestrator; mount -o remount,ro,bind $PWD/orchestrator"
    )
    try:
        with pytest.raises(StepError, match="is the disk full"):
            host.start(target)
        assert host.systems == (host.first,) * 3
    finally:
        host.sh("umount /nix/var/nix/gcroots/orchestrator")
    assert host.sh("ls -A /run/orchestrator /var/lib/orchestrator | grep -e asked -e attempt") == ""


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_disk_that_fills_meanwhile_stops_no_guard(host: GuardHost, confirmed: bool) -> None:
    """A disk that fills stops no guard: it goes on from memory, and reports the truth."""
    target = host.system("new")
    token = host.checking(target)
    host.sh("mount -t tmpfs -o size=4k,ro none /var/lib/orchestrator")
    try:
        if confirmed:
            host.do(orders.confirm(host.inside, token))
        else:
            host.do(orders.back(host.inside, token, "no"))
        attempt = host.ended(token, DONE if confirmed else RETURNED)
        assert attempt.why == ("the record could not be written" if confirmed else "no")
    finally:
        host.sh("umount /var/lib/orchestrator")
    assert host.systems == ((target if confirmed else host.first),) * 3
    # After a boot only the copy on the disk is there, which knows nothing of the end.
    host.fault("reboot")
    assert host.lab.wait(NAME)
    host.do(orders.resume(host.inside, token))
    host.ended(token, DONE if confirmed else RETURNED)
    assert host.systems == ((target if confirmed else host.first),) * 3


def test_memory_that_runs_out_takes_the_activation(host: GuardHost) -> None:
    """Memory that runs out ends the activation and not the guard, which rolls back."""
    eats = "a=x; while :; do a=$a$a; done"
    target = host.system("new", f"[ $1 != test ] || {{ sleep 1; {eats}; }}")
    token = host.start(target).token
    host.fault("memory-full", "64m")
    try:
        attempt = host.ended(token, RETURNED)
    finally:
        host.fault("heal")
    assert attempt.activation in ("killed", "2")
    assert "Scheduled restart" not in host.journal()
    assert host.systems == (host.first,) * 3


def test_a_profile_that_cannot_be_set_is_taken_back(host: GuardHost) -> None:
    """The commit fails before the boot loader is touched."""
    token = host.checking(host.system("new"))
    folder = "/nix/var/nix/profiles"
    host.sh(f"mount --bind {folder} {folder}; mount -o remount,ro,bind {folder}")
    try:
        host.do(orders.confirm(host.inside, token))
        attempt = host.ended(token, RETURNED)
    finally:
        host.sh(f"umount {folder}")
    assert attempt.why.startswith("the system profile could not be set")
    assert host.systems == (host.first,) * 3


def test_a_boot_loader_that_fails_is_taken_back(host: GuardHost) -> None:
    """The new system's installer fails, the old one's does not."""
    token = host.checking(host.system("new", "[ $1 != boot ] || exit 1"))
    host.do(orders.confirm(host.inside, token))
    attempt = host.ended(token, RETURNED)
    assert attempt.why == "the boot loader could not be installed (1)"
    assert host.systems == (host.first,) * 3


@pytest.mark.parametrize("written", [False, True])
def test_an_old_boot_loader_that_fails_too(host: GuardHost, written: bool) -> None:
    """The boot default decides: back it is where nothing was written, and stuck where it was."""
    old = host.system("old", "[ $1 != boot ] || [ ! -e /run/broken ] || exit 1")
    host.sh(f"nix-env --profile /nix/var/nix/profiles/system --set {old}")
    host.sh(f"{old}/bin/switch-to-configuration switch; {old}/bin/switch-to-configuration boot")
    host.sh("mkdir /run/broken")
    then = "again=1 $0 $1 || exit; [ $1 != boot ] || exit 1; exit 0"
    fails = f'[ "${{again-}}" ] || {{ {then}; }}' if written else "[ $1 != boot ] || exit 1"
    target = host.system("new", fails)
    token = host.checking(target)
    host.do(orders.confirm(host.inside, token))
    attempt = host.ended(token, STUCK if written else RETURNED)
    if not written:
        assert host.systems == (old,) * 3
        return
    assert "going back failed: the boot default is" in attempt.why
    assert host.systems == (old, old, target)
    # It can be deployed again, and is what a person is told that it is.
    host.sh("rmdir /run/broken")
    token = host.checking(host.first)
    host.do(orders.back(host.inside, token, "no"))
    host.ended(token, RETURNED)
    assert host.systems == (old, old, target)


def test_a_boot_default_that_is_no_generation_comes_back(host: GuardHost) -> None:
    """A boot default that is no generation comes back, though its entry was removed."""
    odd = host.system("odd")
    host.sh(f"nix-env --profile /nix/var/nix/profiles/system --set {odd}")
    host.sh(
        f"{host.first}/bin/switch-to-configuration boot; {odd}/bin/switch-to-configuration test"
    )
    host.sh("nix-env --profile /nix/var/nix/profiles/system --delete-generations old")
    before = (odd, odd, host.first)
    assert host.systems == before
    then = "again=1 $0 $1 || exit; [ $1 != boot ] || exit 1; exit 0"
    token = host.checking(host.system("new", f'[ "${{again-}}" ] || {{ {then}; }}'))
    host.do(orders.confirm(host.inside, token))
    host.ended(token, RETURNED)
    assert host.systems == before


def test_a_way_back_that_fails_is_told_and_the_next_attempt_works(host: GuardHost) -> None:
    """Stuck, loudly: the boot default is the old system's, and what runs is said as it is."""
    old = host.system("old", "[ ! -e /run/broken ] || exit 1")
    host.sh(f"nix-env --profile /nix/var/nix/profiles/system --set {old}")
    host.sh(f"{old}/bin/switch-to-configuration switch")
    target = host.system("new")
    token = host.checking(target)
    host.sh("mkdir /run/broken")
    host.do(orders.back(host.inside, token, "no"))
    attempt = host.ended(token, STUCK)
    assert attempt.why.startswith("no; going back failed: /run/current-system is")
    assert "GOING BACK FAILED" in host.journal()
    assert host.systems == (target, old, old)
    host.sh("rmdir /run/broken")
    token = host.checking(target)
    host.do(orders.confirm(host.inside, token))
    host.ended(token, DONE)


def test_words_that_come_too_late_change_nothing(host: GuardHost) -> None:
    """A guard that has begun to roll back takes no contact and no confirmation, and says so."""
    old = host.system("old", "[ $1 != test ] || [ ! -e /run/broken ] || sleep 2")
    host.sh(f"nix-env --profile /nix/var/nix/profiles/system --set {old}")
    host.sh(f"{old}/bin/switch-to-configuration switch; mkdir /run/broken")
    token = host.start(host.system("new"), confirm_seconds=1).token
    host.until(token, AttemptState.RETURNING)
    for verb in (orders.contact, orders.confirm):
        told = host.do(verb(host.inside, token))
        assert told.attempt is not None
        assert told.attempt.state is AttemptState.RETURNING
    host.ended(token, RETURNED)
    told = host.do(orders.confirm(host.inside, token))
    assert told.attempt is not None
    assert told.attempt.state is RETURNED
    assert host.systems == (old,) * 3


def test_a_confirmation_at_the_deadline_is_one_or_the_other(host: GuardHost) -> None:
    """Whatever the guard decides is what the host then is, and what it says."""
    target = host.system("new")
    seen = set()
    for late, seconds in ((0.0, 60), *((late, 1) for late in (0.9, 0.95, 1.0, 1.05, 1.1, 2.0))):
        host.reset()
        token = host.start(target, health_seconds=seconds).token
        host.until(token, WAITING)
        host.do(orders.contact(host.inside, token))
        time.sleep(late)
        host.do(orders.confirm(host.inside, token))
        host.do(orders.confirm(host.inside, token))
        attempt = host.until(token, DONE, RETURNED).attempt
        assert attempt is not None
        seen.add(attempt.state)
        assert host.systems == ((target if attempt.state is DONE else host.first),) * 3
    assert seen == {DONE, RETURNED}


def test_another_attempts_words_are_nobodys(host: GuardHost) -> None:
    """Another attempt's words neither confirm nor roll back nor begin beside one in flight."""
    token = host.checking(host.system("new"))
    for verb in (orders.contact, orders.confirm, orders.resume, orders.seen):
        assert host.do(verb(host.inside, "another")).attempt is None
    assert host.do(orders.back(host.inside, "another", "no")).attempt is None
    with pytest.raises(StepError, match=r"an attempt of me@here is in flight there \(checking\)"):
        host.start(host.system("third"))
    attempt = host.state.attempt
    assert attempt is not None
    assert (attempt.token, attempt.state) == (token, CHECKING)


def test_what_was_given_up_never_begins(host: GuardHost) -> None:
    """A start that comes after its deployer was told that there is none."""
    attempt = host.attempt(host.system("new"))
    told = host.do(orders.await_(host.inside, attempt.token, AttemptState.RECORDED, 1))
    assert told.attempt is None
    with pytest.raises(StepError, match="it was given up before it began"):
        host.do(orders.start(host.inside, attempt))
    assert host.systems == (host.first,) * 3


def test_a_start_that_was_cut_off_never_begins(host: GuardHost) -> None:
    """Written down, and no unit was started: whoever asks next has it ended."""
    attempt = host.attempt(host.system("new"))
    host.sh(
        "mkdir -p /run/broken; printf '#!/bin/sh\nkill -9 $PPID\n' > /run/broken/systemd-run; "
        "chmod +x /run/broken/systemd-run; "
        "mount --bind /run/broken/systemd-run /usr/bin/systemd-run"
    )
    try:
        with pytest.raises(UnreachableError):
            host.do(orders.start(host.inside, attempt))
    finally:
        host.sh("umount /usr/bin/systemd-run")
    ended = host.ended(attempt.token, RETURNED)
    assert ended.why == "it never began"
    assert host.systems == (host.first,) * 3


def test_a_host_that_changed_meanwhile_is_left_alone(host: GuardHost) -> None:
    """What is to be gone back to must be what is there."""
    attempt = host.attempt(host.system("new"))
    host.sh(f"{host.system('other')}/bin/switch-to-configuration test")
    with pytest.raises(StepError, match="it changed since it was asked: /run/current-system is"):
        host.do(orders.start(host.inside, attempt))
    assert host.sh(LEFT) == ""


def test_a_check_before_the_switch_keeps_nobody_from_going_back(host: GuardHost) -> None:
    """NixOS's pre-switch checks refuse a switch; the roll-back has none."""
    old = host.system("old", '[ $1 != test ] || [ "${NIXOS_NO_CHECK-}" = 1 ] || exit 1')
    host.sh(f"nix-env --profile /nix/var/nix/profiles/system --set {old}")
    host.sh(f"NIXOS_NO_CHECK=1 {old}/bin/switch-to-configuration switch")
    host.sh(f"NIXOS_NO_CHECK=1 {old}/bin/switch-to-configuration test")
    token = host.checking(host.system("new"))
    host.do(orders.back(host.inside, token, "no"))
    host.ended(token, RETURNED)
    assert host.systems == (old,) * 3


def test_its_end_is_seen_once(host: GuardHost) -> None:
    """That an attempt's end was seen is noted in memory and on the host's disk."""
    token = host.start(host.system("new"), confirm_seconds=1).token
    assert not host.ended(token, RETURNED).seen
    host.do(orders.seen(host.inside, token))
    assert host.state.attempt is not None
    assert host.state.attempt.seen
    assert "seen=1" in host.sh("cat /var/lib/orchestrator/attempt")
