"""Who may log in to a host's next system: what the host says of it, and what is certain then."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from orchestrator.core.checks import Account, Login, NextLogin, Shortfall
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.process import CommandResult
from orchestrator.core.store import OutPath
from orchestrator.core.values import replace
from orchestrator.deploy.plan.accounts import judged_login
from orchestrator.host import guard
from orchestrator.host.accounts import ACCOUNTS, ask_next_login, parse_next_login

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIOAE0T3Q3qg1Q9o7tS9R6m0Y4tq2lT5Qm0o6E5sJ3h0k"
LOGIN = Login("deploy", "ssh-ed25519", KEY)
ROOT = Login("root", "ssh-ed25519", KEY)
CERTIFICATE = Login("deploy", "ssh-ed25519-cert-v01@openssh.com", KEY)
OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system")
NOW = "now=999:/home/deploy:/bin/sh"
MOVED = "came=192.0.2.1:22\n"
KEYS = "/home/deploy/.ssh/authorized_keys"
YES = "sshd.pubkeyauthentication=yes\nsshd.permitrootlogin=prohibit-password\n"
ASKED = f"{NOW}\nsshd=asked\n{YES}"
HELD = f"{ASKED}looked={KEYS}\nheld={KEYS}\n"
LACKED = f"{ASKED}looked={KEYS}\nlooked=/etc/ssh/authorized_keys.d/deploy\n"

SHELLS = tuple(
    tuple(words) for words in (("sh",), ("bash",), ("busybox", "sh")) if shutil.which(words[0])
)


def spec(*users: dict[str, object], mutable: bool = True) -> str:
    """Write users-groups.json into an answer's line."""
    return f"spec={json.dumps({'mutableUsers': mutable, 'users': users, 'groups': []})}\n"


def account(**more: object) -> dict[str, object]:
    """The deploy user's entry."""
    return {"name": "deploy", "home": "/home/deploy", "shell": "/bin/sh", **more}


def until(day: str) -> str:
    """An answer's line for an account that ends on a day."""
    return spec(account(expires=day))


GROUPS = "groups=staff wheel\n" + spec()

LDAP = "groups=ops wheel\nkept=ops\ndirectory=yes\n" + spec(mutable=False)


@pytest.mark.parametrize(
    ("login", "answer", "found"),
    [
        (LOGIN, HELD, None),
        (LOGIN, HELD + spec(account()), None),
        (LOGIN, LACKED, f"is not in {KEYS} or /etc/ssh/authorized_keys.d/deploy"),
        (LOGIN, ASKED, "is not in any file (AuthorizedKeysFile none)"),
        (CERTIFICATE, LACKED, None),
        (LOGIN, LACKED + "unread=yes\n", None),
        (LOGIN, LACKED + "sshd.authorizedkeyscommand=/bin/keys %u\n", None),
        (LOGIN, LACKED + "sshd.trustedusercakeys=/etc/ssh/ca\n", None),
        (LOGIN, LACKED + "sshd.trustedusercakeys=none\n", "is not in"),
        (LOGIN, NOW + "\nsshd=gone\n", "it has no sshd"),
        (LOGIN, NOW + "\nsshd=line 1: Bad configuration option: Broken\n", None),
        (LOGIN, NOW + "\n", None),
        (LOGIN, HELD + "sshd.denyusers=guest\nsshd.denyusers=dep*\n", "DenyUsers"),
        (LOGIN, HELD + "sshd.denyusers=deploy@192.0.2.7\n", "DenyUsers?"),
        (LOGIN, HELD + "sshd.denyusers=deploy@192.0.2.7\npeer=192.0.2.7\n", "DenyUsers"),
        (LOGIN, HELD + "sshd.denyusers=deploy@192.0.2.7\npeer=192.0.2.8\n", None),
        (LOGIN, HELD + "sshd.allowusers=ops\nsshd.allowusers=d?p\n", "only ops, d?p in"),
        (LOGIN, HELD + "sshd.allowusers=ops\nsshd.allowusers=de?loy@192.0.2.*\n", "AllowUsers?"),
        (LOGIN, HELD + "sshd.allowusers=de?loy@192.0.2.*\npeer=192.0.2.8\n", None),
        (LOGIN, HELD + "sshd.allowusers=de?loy@192.0.2.*\npeer=198.51.100.8\n", "AllowUsers"),
        (LOGIN, HELD + "sshd.allowusers=!deploy\n", "AllowUsers"),
        (LOGIN, HELD + "sshd.allowusers=[d]eploy\n", "AllowUsers"),
        (LOGIN, HELD.replace("authentication=yes", "authentication=no"), "takes no keys"),
        (LOGIN, HELD.replace("prohibit-password", "no"), None),
        (ROOT, HELD.replace("prohibit-password", "no"), "PermitRootLogin no"),
        (ROOT, HELD, None),
        (LOGIN, HELD + spec(mutable=False), "takes the account of user 'deploy' away"),
        (LOGIN, HELD + spec(mutable=False) + "directory=yes\n", None),
        (LOGIN, HELD + spec(), None),
        (LOGIN, HELD + spec() + "declared=yes\n", "takes the account of user 'deploy' away"),
        (LOGIN, HELD + spec(account() | {"shell": "/run/sw/bin/nologin"}), "login shell"),
        (LOGIN, HELD + spec(account() | {"shell": None}), None),
        (LOGIN, HELD + GROUPS + "sshd.allowgroups=wheel\n", None),
        (LOGIN, HELD + GROUPS + "sshd.allowgroups=ops\nsshd.allowgroups=st*\n", None),
        (LOGIN, HELD + GROUPS + "sshd.allowgroups=ops\n", "will be in staff, wheel"),
        (LOGIN, HELD + GROUPS + "sshd.allowgroups=*\nsshd.allowgroups=!staff\n", "AllowGroups"),
        (LOGIN, HELD + GROUPS + "sshd.denygroups=staff\n", "DenyGroups"),
        (LOGIN, HELD + GROUPS + "sshd.denygroups=ops\n", None),
        (LOGIN, HELD + "sshd.allowgroups=ops\n", "not known?"),
        (LOGIN, HELD + LDAP + "sshd.allowgroups=ops\n", None),
        (LOGIN, HELD + LDAP + "sshd.allowgroups=wheel\n", "will be in ops"),
        (LOGIN, HELD + "clock=20261129120000 20261129110000\n" + until("2026-11-29"), "expires"),
        (LOGIN, HELD + "clock=20261129120000 20261129110000\n" + until("2026-11-30"), "expires?"),
        (LOGIN, HELD + "clock=20261129120000 20261129110000\n" + until("2027-01-01"), None),
        (LOGIN, HELD + "clock=x 20261399110000\n" + until("2026-11-29"), None),
        (LOGIN, HELD + "sshd.usepam=no\nlocked=yes\n", "locked password?"),
        (LOGIN, HELD + "sshd.usepam=yes\nlocked=yes\n", None),
        (
            LOGIN,
            HELD + MOVED + "listens=0.0.0.0:2222\nlistens=[::]:2222\n",
            "no more on 192.0.2.1:22",
        ),
        (LOGIN, HELD + MOVED + "listens=198.51.100.1:22\n", "no more on 192.0.2.1:22, where?"),
        (LOGIN, HELD + MOVED + "listens=here\nlistens=:x\n", None),
        (LOGIN, HELD + "spec=[1]\n", None),
        (LOGIN, HELD + 'spec={"mutableUsers":false,"users":7}\n', None),
        (LOGIN, HELD + "spec={\n", None),
    ],
)
def test_only_what_is_certain_shuts_a_deployer_out(
    login: Login, answer: str, found: str | None
) -> None:
    """What cannot be told for certain refuses nothing; what can is named. `?`: a warning."""
    check(judged_login(login, parse_next_login(answer.split("\n"), login.user)), found)


def check(short: tuple[Shortfall, ...], found: str | None) -> None:
    """One thing was found, with these words; `?` behind them where it is a warning."""
    if found is None:
        assert short == ()
    else:
        (one,) = short
        assert one.refuses is not found.endswith("?")
        assert found.removesuffix("?") in one.text


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("", None),
        ('from="192.0.2.0/24,!192.0.2.9" ', None),
        ('from="192.0.2.?",no-pty ', None),
        ('from="198.51.100.*,!192.0.2.7" ', "from="),
        ('from="!192.0.2.7,192.0.2.*" ', "from="),
        ('from="*.example.org" ', "from=?"),
        ("cert-authority ", "cert-authority"),
        ('expiry-time="20261129" ', "expiry-time"),
        ('expiry-time="202611291130Z" ', "expiry-time?"),
        ('expiry-time="202611291130" ', "expiry-time"),
        ('expiry-time="20280101" ', None),
        ('environment="A=\\"from=,",command="/bin/backup" ', "command of its own?"),
    ],
)
def test_options_of_the_key_that_keep_it_out_are_named(options: str, found: str | None) -> None:
    """Of a key in several lines the one that lets in counts."""
    answer = f"{HELD}peer=192.0.2.7\nclock=20261129120000 20261129110000\n"
    entry = f"entry={options}ssh-ed25519 {KEY} somebody\n"
    check(judged_login(LOGIN, parse_next_login((answer + entry).split("\n"), "deploy")), found)
    plain = f"entry=ssh-ed25519 {KEY}\n"
    good = parse_next_login((answer + entry + plain).split("\n"), "deploy")
    assert judged_login(LOGIN, good) == ()


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        (("deploy ALL=(ALL:ALL) NOPASSWD:SETENV: ALL",), None),
        (("%wheel ALL=(ALL:ALL) SETENV: NOPASSWD: ALL",), None),
        (("ALL ALL = NOPASSWD: ALL",), None),
        ((), "no rule of its sudo"),
        (("root ALL=(ALL:ALL) SETENV: ALL", "Defaults env_keep+=A", "%ops ALL=ALL"), "no rule of"),
        (("deploy ALL=(postgres) NOPASSWD: ALL",), "some commands alone?"),
        (("deploy ALL=NOPASSWD: /bin/true",), "some commands alone?"),
        (("ADMINS ALL=NOPASSWD: ALL", "User_Alias ADMINS = deploy"), "no rule of?"),
        (("#1000 ALL=NOPASSWD: ALL",), "no rule of?"),
        (("deploy web1=NOPASSWD: ALL",), "no rule of?"),
        (("%wheel ALL=(ALL:ALL) ALL",), "will ask user 'deploy' for a password?"),
        (("deploy ALL=NOPASSWD: ALL", "%wheel ALL=ALL"), "for a password?"),
        (("%wheel ALL=ALL", "deploy ALL=NOPASSWD: ALL"), None),
        (("%wheel ALL=ALL", "Defaults:deploy !authenticate"), None),
    ],
)
def test_a_sudo_that_is_lost_is_named_before(rules: tuple[str, ...], found: str | None) -> None:
    """Without any rule for the user nobody becomes root; what asks or is unclear is a warning."""
    answer = HELD + GROUPS + "sudoers=asked\n" + "".join(f"rule={rule}\n" for rule in rules)
    said = parse_next_login(answer.split("\n"), "deploy")
    check(judged_login(replace(LOGIN, sudo=True), said), found)
    assert judged_login(LOGIN, said) == ()
    assert judged_login(replace(ROOT, sudo=True), said) == ()


@pytest.mark.parametrize(
    ("declared", "mutable", "found"),
    [(True, True, "no rule of"), (False, True, None), (False, False, "no rule of")],
)
def test_a_group_that_is_left_takes_its_rule_away(
    declared: bool, mutable: bool, found: str | None
) -> None:
    """Who was added by hand stays where accounts may be changed, and was never declared."""
    groups = [{"name": "wheel", "members": ["ops"]}, {"name": "users"}]
    text = {"mutableUsers": mutable, "users": [account(group="users")], "groups": groups}
    answer = f"{HELD}groups=users wheel\nspec={json.dumps(text)}\nsudoers=asked\n"
    answer += "rule=%wheel ALL=NOPASSWD: ALL\n" + ("declared=yes\n" if declared else "")
    said = parse_next_login(answer.split("\n"), "deploy")
    check(judged_login(replace(LOGIN, sudo=True), said), found)
    other = judged_login(replace(LOGIN, sudo=True, by="doas"), said)
    check(other, None if found is None else "leaves the group wheel?")


def test_sudoers_and_what_they_include_are_read_as_they_will_be(tmp_path: Path) -> None:
    """Files of the next system stand before those that are there; others stay."""
    for name, text in (
        (
            "etc/sudoers",
            "# no rule\nroot ALL=(ALL) \\\n  ALL\n@includedir /etc/sudoers.d\n#1 ALL=ALL\n",
        ),
        ("etc/sudoers.d/10-new", "%wheel ALL=ALL\n#include /etc/sudoers.d/more.rules\n"),
        ("etc/sudoers.d/more.rules", "ops ALL=ALL\n"),
    ):
        file = tmp_path / "new" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    argv = ("sh", "-c", ACCOUNTS, "sh", str(tmp_path / "new"), "root", KEY, str(tmp_path))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
    found = parse_next_login(done.stdout.splitlines(), "root")
    assert found.rules is not None
    mine = [rule for rule in found.rules if rule.startswith(("root", "%wheel", "ops", "#1"))]
    for rule in ("root ALL=(ALL)   ALL", "%wheel ALL=ALL", "ops ALL=ALL", "#1 ALL=ALL"):
        assert mine.count(rule) >= 1, found.rules
    assert mine.index("%wheel ALL=ALL") < mine.index("ops ALL=ALL") < mine.index("#1 ALL=ALL")


def test_the_remedy_has_the_key_to_declare() -> None:
    """Whoever reads the refusal can copy the key into the configuration."""
    (found,) = judged_login(LOGIN, parse_next_login(LACKED.split("\n"), "deploy"))
    assert f"ssh-ed25519 {KEY}" in found.remedy
    assert "users.users.deploy.openssh.authorizedKeys.keys" in found.remedy
    assert LOGIN.fingerprint in found.text


STANDS_IN = {
    "getent": 'case $1 in passwd) echo "amy:x:5000:100::/home/amy:/bin/sh" ;; esac',
    "id": 'echo "root ops"',
}


def test_a_directorys_accounts_groups_and_rules_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What LDAP has of a user, and not `/etc`, is not taken away by `mutableUsers = false`."""
    for name, text in STANDS_IN.items():
        (tmp_path / name).write_text(f"#!{shutil.which('sh')}\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "new/etc").mkdir(parents=True)
    argv = ("sh", "-c", ACCOUNTS, "sh", str(tmp_path / "new"), "amy", KEY, str(tmp_path))

    def ask() -> NextLogin:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
        return parse_next_login([spec(mutable=False).strip(), *done.stdout.split("\n")], "amy")

    found = ask()
    assert found.now == Account("/home/amy", "/bin/sh")
    assert (found.removed, found.groups, found.leaves) == (False, {"ops"}, {"root"})
    assert found.rules is not None
    (tmp_path / "new/etc/nsswitch.conf").write_text("passwd: files sss\nsudoers: files sss\n")
    assert ask().rules is None


WEAK = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs to be root")
@pytest.mark.parametrize("closed", ["home", "home/.ssh", "home/.ssh/authorized_keys"])
def test_keys_in_a_home_that_root_cannot_look_into_shut_nobody_out(
    tmp_path: Path, closed: str
) -> None:
    """Of a home on NFS root may see nothing, where sshd reads the keys as the user."""
    for name, text in (
        ("etc/ssh/sshd_config", ""),
        ("sw/bin/sshd", "#!/bin/sh\necho 'authorizedkeysfile .ssh/authorized_keys'\n"),
        ("home/.ssh/authorized_keys", f"ssh-ed25519 {KEY}\n"),
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
        file.chmod(0o755)
    argv = (*WEAK, "sh", "-c", ACCOUNTS, "sh", str(tmp_path), "root", KEY, str(tmp_path / "home"))

    def ask() -> NextLogin:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
        return parse_next_login(done.stdout.split("\n"), "root")

    assert ask().held
    os.chown(tmp_path / closed, 54321, 54321)
    (tmp_path / closed).chmod(0o700)
    found = ask()
    assert not found.held
    assert judged_login(LOGIN, found) == ()


@dataclass
class Says:
    """A host that gives one answer after the other."""

    answers: list[str]
    homes: list[str] = field(default_factory=list)

    async def run(self, argv: Sequence[str], *, deadline: float) -> CommandResult:
        """Answer."""
        assert deadline > 0
        self.homes.append(argv[-1])
        return CommandResult(0, self.answers.pop(0).encode(), b"")

    def repeat(self, argv: Sequence[str]) -> str:
        """Give a command line."""
        return " ".join(argv)


def test_keys_are_looked_for_in_the_home_that_the_user_will_have() -> None:
    """Where the next system moves the home, the host is asked once more, of that one."""
    moved = spec(account(home="/var/lib/deploy"))
    host = Says([HELD + moved + "end=\n", LACKED + moved + "end=\n"])
    found = asyncio.run(ask_next_login(cast(Executor, host), OUT, LOGIN))
    assert host.homes == ["", "/var/lib/deploy"]
    assert found.then == Account("/var/lib/deploy", "/bin/sh")
    assert found.held == ()


@pytest.mark.parametrize("users", [[account()], []], ids=["same home", "not declared"])
def test_a_host_whose_homes_stay_is_asked_once(users: list[dict[str, object]]) -> None:
    """One question is enough where the home is as it was, or nothing is declared of it."""
    host = Says([HELD + spec(*users) + "end=\n"])
    assert asyncio.run(ask_next_login(cast(Executor, host), OUT, LOGIN)).held == (KEYS,)


def test_an_answer_that_breaks_off_is_an_error() -> None:
    """What was not said to the end is nothing to go by."""
    with pytest.raises(StepError, match="did not say who may log in"):
        asyncio.run(ask_next_login(cast(Executor, Says([HELD])), OUT, LOGIN))


@pytest.mark.parametrize(
    ("files", "certain"),
    [
        (".ssh/authorized_keys /etc/ssh/authorized_keys.d/%u-nobody", True),
        (".ssh/authorized_keys /run/no-secrets/keys/%u", False),
        ("/var/lib/no-such-folder/%u", False),
        ("%h/.ssh/none", True),
    ],
)
def test_keys_that_the_activation_may_yet_write_shut_nobody_out(
    tmp_path: Path, files: str, certain: bool
) -> None:
    """A file outside of ``/etc`` and the home may be a secret that is not decrypted yet."""
    for name, text in (
        ("etc/ssh/sshd_config", ""),
        ("sw/bin/sshd", f"#!/bin/sh\necho 'authorizedkeysfile {files}'\n"),
    ):
        file = tmp_path / "new" / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
        file.chmod(0o755)
    argv = ("sh", "-c", ACCOUNTS, "sh", str(tmp_path / "new"), "root", KEY, str(tmp_path))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
    found = parse_next_login(done.stdout.splitlines(), "root")
    assert found.sshd == "asked"
    assert any(one.refuses for one in judged_login(ROOT, found)) is certain


SPEAKS = """\
#!/bin/sh
echo 'UsePAM yes'
echo 'AuthorizedKeysFile %h/.ssh/authorized_keys /etc/ssh/authorized_keys.d/%u'
echo 'PermitRootLogin no'
"""


@pytest.mark.parametrize(
    ("came", "then", "now", "found"),
    [
        ("192.0.2.1 22", ["0.0.0.0:22", "[::]:22"], ["0.0.0.0:22"], ()),
        ("192.0.2.1 22", ["0.0.0.0:2222"], ["0.0.0.0:22"], ("0.0.0.0:2222",)),
        ("192.0.2.1 22", ["192.0.2.1:22"], ["0.0.0.0:22"], ()),
        ("192.0.2.1 22", ["198.51.100.1:22"], ["192.0.2.1:22"], ("198.51.100.1:22",)),
        ("2001:db8::1 22", ["[::]:22"], ["[::]:22"], ()),
        ("2001:db8::1 22", ["0.0.0.0:22"], ["[::]:22"], ("0.0.0.0:22",)),
        ("192.0.2.1 2022", ["0.0.0.0:2222"], ["0.0.0.0:22"], ()),
    ],
    ids=["stays", "port", "same address", "address", "IPv6", "IPv4 alone", "of another sshd"],
)
def test_an_sshd_that_moves_is_found_where_this_connection_came_to_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    came: str,
    then: list[str],
    now: list[str],
    found: tuple[str, ...],
) -> None:
    """What the new system's sshd will listen on is compared with where the connection came to."""
    config = tmp_path / "new/etc/ssh/sshd_config"
    sshd = tmp_path / "new/sw/bin/sshd"
    for file in (config, sshd):
        file.parent.mkdir(parents=True)
        file.write_text("")
    lines = [[f"echo 'ListenAddress {one}'" for one in each] for each in (then, now)]
    text = "case $* in *-f*) {} ;; *) {} ;; esac".format(*map("; ".join, lines))
    sshd.write_text(f"#!{shutil.which('sh')}\n{text}\n")
    sshd.chmod(0o755)
    monkeypatch.setenv("SSH_CONNECTION", f"192.0.2.9 4242 {came}")
    argv = ("sh", "-c", ACCOUNTS, "sh", str(tmp_path / "new"), "deploy", KEY, "/home/deploy")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert parse_next_login(done.stdout.split("\n"), "deploy").listens == found


@pytest.mark.parametrize("text", [SPEAKS, SPEAKS.lower()])
def test_an_sshd_is_understood_in_capitals_and_without(tmp_path: Path, text: str) -> None:
    """OpenSSH 10.6 says `AuthorizedKeysFile` where those before say `authorizedkeysfile`."""
    config = tmp_path / "new/etc/ssh/sshd_config"
    sshd = tmp_path / "new/sw/bin/sshd"
    for file in (config, sshd):
        file.parent.mkdir(parents=True)
        file.write_text(text)
    sshd.write_text(text.replace("#!/bin/sh\n", f"#!{shutil.which('sh')}\n"))
    sshd.chmod(0o755)
    argv = ("sh", "-c", ACCOUNTS, "sh", str(tmp_path / "new"), "deploy", KEY, "/home/deploy")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    said = done.stdout.split("\n")
    assert "sshd=asked" in said
    assert "sshd.permitrootlogin=no" in said
    assert [line for line in said if line.startswith("looked=")] == [
        "looked=/home/deploy/.ssh/authorized_keys",
        "looked=/etc/ssh/authorized_keys.d/deploy",
    ]


@pytest.mark.parametrize("keyword", ["HostKey", "hostkey"])
def test_the_guard_understands_an_sshd_in_capitals_and_without(
    tmp_path: Path, keyword: str
) -> None:
    """What it records of the door is found by the keyword, whatever its letters."""
    (tmp_path / "sshd").write_text(f"port 22\n{keyword} /etc/ssh/key\n{keyword} /etc/ssh/two\n")
    functions = Path(guard.__file__).with_name("door_files.sh")
    argv = ("sh", "-c", '. "$1"; door=$2; sshd_says hostkey', "sh", str(functions), str(tmp_path))
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout == "/etc/ssh/key\n/etc/ssh/two\n"


def test_what_is_asked_for_logins_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders that keys are looked for in do not go with the script's own, which does not stay."""
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    kept = home / ".ssh/authorized_keys"
    config, sshd = tmp_path / "new/etc/ssh/sshd_config", tmp_path / "new/sw/bin/sshd"
    for file in (kept, config, sshd):
        file.parent.mkdir(parents=True)
        file.write_text("ssh-ed25519 AAAAanother")
    scratch.mkdir()
    sshd.write_text(f"#!{shutil.which('sh')}\necho 'AuthorizedKeysFile .ssh/authorized_keys'\n")
    sshd.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(scratch))
    for shell in SHELLS:
        argv = (*shell, "-c", ACCOUNTS, "sh", str(tmp_path / "new"), "root", KEY, str(home))
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
        assert f"looked={kept}" in done.stdout
        assert kept.read_text() == "ssh-ed25519 AAAAanother"
        assert not list(scratch.iterdir())
