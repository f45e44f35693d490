"""``orchestrator secrets`` as people type it: a fleet's, anybody's repository, a hostile one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest
from secret_fleet import Repository, ed25519_key, encrypt, sound

from orchestrator.secrets.plan.explain import EXPLANATIONS

pytestmark = pytest.mark.usefixtures("nix")
ORCHESTRATOR = Path(sys.executable).with_name("orchestrator")


@pytest.fixture
def made(tmp_path: Path) -> Repository:
    """A sound repository of 16 secrets that is a fleet, with the hosts' keys known."""
    repository = sound(tmp_path / "repository", 16, 8)
    hosts = "".join(f"  {name}: {{}}\n" for name in repository.keys if name.startswith("h"))
    (repository.root / "inventory").mkdir()
    (repository.root / "inventory/hosts.yaml").write_text(f"hosts:\n{hosts}")
    repository.write()
    repository.fleet()
    (tmp_path / ".ssh").mkdir()
    (tmp_path / "known_hosts").rename(tmp_path / ".ssh/known_hosts")
    # ssh takes `~` for the home that the system knows of, whatever $HOME says.
    known = f"UserKnownHostsFile {tmp_path}/.ssh/known_hosts\n"
    (tmp_path / ".ssh/config").write_text(known)
    return repository


def type_in(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder; its parent is the home."""
    return subprocess.run(
        (ORCHESTRATOR, *words),
        cwd=folder,
        env={**os.environ, "HOME": str(folder.parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_sound_fleet_passes(made: Repository) -> None:
    """Exit 0, one line; ``--strict`` and ``--json`` find nothing, either."""
    done = type_in(made.root, "secrets", "check", "--no-configurations")
    assert (done.returncode, done.stdout) == (0, "secrets: 16 checked, nothing is wrong\n")
    done = type_in(made.root, "secrets", "check", "--no-configurations", "--strict", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])


def test_a_warning_is_an_error_only_when_that_is_wanted(made: Repository) -> None:
    """Exit 0 with it, exit 1 with ``--strict``."""
    (made.root / "secrets/stray.age").write_bytes(encrypt([ed25519_key()]))
    words = ("secrets", "check", "--no-configurations")
    done = type_in(made.root, *words)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "secrets: 16 checked, 1 warning")
    assert done.stdout.startswith("warning: FILE-UNDECLARED secrets/stray.age: ")
    done = type_in(made.root, *words, "--strict")
    assert done.returncode == 1
    assert done.stdout.startswith("error: FILE-UNDECLARED secrets/stray.age: ")


def test_json_has_what_a_script_wants(made: Repository) -> None:
    """A list of objects, and nothing else on standard output."""
    path, names = next(iter(made.rules.items()))
    made.encrypt(path, without=(names[0],))
    made.write()
    done = type_in(made.root, "secrets", "check", "--no-configurations", "--json")
    assert done.returncode == 1
    (one,) = json.loads(done.stdout)
    assert set(one) == {"id", "severity", "path", "host", "message", "fix"}
    assert (one["id"], one["severity"], one["path"]) == ("REKEY-NEEDED", "error", path)
    assert one["host"] == names[0]
    assert one["message"].endswith(f"Fix: {one['fix']}")
    assert one["fix"] == f"orchestrator secrets rekey {path}"


def test_a_host_of_which_nothing_is_known_is_not_said_to_be_right(made: Repository) -> None:
    """Exit 2, and how its key becomes known; a host that is known is checked."""
    words = ("secrets", "check", "--no-configurations")
    assert type_in(made.root, *words, "h1").returncode == 0
    known = made.root.parent / ".ssh/known_hosts"
    lines = known.read_text().splitlines(keepends=True)
    known.write_text("".join(line for line in lines if not line.startswith("h1 ")))
    done = type_in(made.root, *words, "h1")
    assert done.returncode == 2
    assert "no secret is known to be for h1" in done.stderr
    assert "orchestrator host trust h1" in done.stderr


def test_a_configuration_that_does_not_evaluate_is_told(made: Repository) -> None:
    """There is no flake: what is not known of a host is never left out in silence."""
    done = type_in(made.root, "secrets", "check", "h1")
    assert done.returncode == 1
    assert "error: host 'h1':" in done.stderr


def test_validate_proves_secrets(made: Repository) -> None:
    """An error of theirs is its error."""
    done = type_in(made.root, "check", "--inventory", "--syntax", "--secrets")
    assert done.returncode == 0
    assert "secrets: 16 checked, nothing is wrong" in done.stderr
    (made.root / next(iter(made.rules))).write_text("plain text")
    done = type_in(made.root, "check", "--inventory", "--syntax", "--secrets")
    assert done.returncode == 1
    assert "AGE-FORMAT" in done.stderr


def test_any_repository_is_checked_by_its_rules(made: Repository) -> None:
    """No fleet, no git, no known host: what can be proved is proved."""
    (made.root / "inventory/hosts.yaml").unlink()
    for path in sorted((made.root / ".git").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (made.root / ".git").rmdir()
    rules = str(made.root / "secrets.nix")
    done = type_in(Path("/"), "secrets", "check", "--rules", rules)
    assert (done.returncode, done.stdout) == (0, "secrets: 16 checked, nothing is wrong\n")
    done = type_in(Path("/"), "secrets", "check", "h1", "--rules", rules)
    assert done.returncode == 2
    done = type_in(Path("/"), "secrets", "check", "--rules", "/none.nix")
    assert done.returncode == 2
    assert "there is no /none.nix" in done.stderr


def test_without_a_fleet_the_nearest_rules_are_meant(made: Repository) -> None:
    """Without a fleet the nearest rules are meant, so a finding's command works in any folder."""
    (made.root / "inventory/hosts.yaml").unlink()
    name = next(iter(made.rules))
    (made.root / name).unlink()
    below = made.root / "below"
    below.mkdir()
    done = type_in(below, "secrets", "check")
    assert f"orchestrator secrets create {name}" in done.stdout
    done = type_in(below, "secrets", "rekey")
    assert (done.returncode, f"{name} has a rule and is not there" in done.stderr) == (0, True)
    done = type_in(below, "secrets", "check", "h1")
    assert (done.returncode, "no fleet" in done.stderr) == (2, True)
    assert type_in(Path("/"), "secrets", "check").returncode == 2


def test_status_and_recipients_say_who_reads_what(made: Repository) -> None:
    """`secrets status` and `recipients` say who reads what, as tables and as JSON."""
    done = type_in(made.root, "secrets", "status", "--json")
    secrets = {one["path"]: one for one in json.loads(done.stdout)}
    assert secrets.keys() == made.rules.keys()
    for path, names in made.rules.items():
        assert secrets[path]["hosts"] == [names[0]]
        assert len(secrets[path]["others"]) == len(names) - 1
        assert secrets[path]["size"] == len(b"a value")
    table = type_in(made.root, "secrets", "status", "h1").stdout.splitlines()
    assert [line.split()[0] for line in table[1:]] == ["secrets/s001.age", "secrets/s009.age"]
    done = type_in(made.root, "secrets", "recipients", "--json")
    declared = {one["name"]: one["declared"] for one in json.loads(done.stdout)}
    assert declared["h1"] == 2
    assert done.returncode == 0
    assert "h1 (host)" in type_in(made.root, "secrets", "recipients").stdout


def test_every_id_is_explained_and_documented() -> None:
    """Every finding's id is explained by the command and in the documentation."""
    text = type_in(Path("/"), "secrets", "explain").stdout
    page = (Path(__file__).parents[2] / "docs/secrets.md").read_text()
    for name, one in EXPLANATIONS.items():
        assert one.cure in text
        assert f"| `{name}` | {one.severity.value} | {one.verifies} |" in page
    assert type_in(Path("/"), "secrets", "explain", "rekey-needed").stdout.startswith("REKEY-NEED")
    assert type_in(Path("/"), "secrets", "explain", "NO-SUCH").returncode == 2


def test_a_hostile_repository_is_told_about_and_nothing_else_happens(tmp_path: Path) -> None:
    """Paths that block, never end or lead out, and names that a terminal obeys: within bounds."""
    root = tmp_path / "hostile"
    root.mkdir()
    key = ed25519_key()
    os.mkfifo(root / "pipe.age")
    (root / "zero.age").symlink_to("/dev/zero")
    (root / "loop.age").symlink_to("loop.age")
    (root / "out.age").symlink_to("/etc/passwd")
    (root / "folder.age").mkdir()
    (root / "-rf $(id) `id` 'x'.age").write_bytes(encrypt([key]))
    for name, head in (
        ("sparse.age", b""),
        ("armored.age", b"-----BEGIN AGE ENCRYPTED FILE-----\n"),
    ):
        with (root / name).open("wb") as file:
            file.write(head)
            file.truncate(5 * 2**30)
    header = b"age-encryption.org/v1\n"
    (root / "many.age").write_bytes(header + b"-> a b\n\n" * 400_000)
    (root / "long.age").write_bytes(header + b"-> " + b"a" * 3_000_000)
    (root / "\x1b]0;owned\x07.age").write_bytes(encrypt([key]))
    names = [*(path.name for path in root.iterdir()), "/etc/shadow", "../up.age", "no\x1b[2Jne.age"]
    entries = "".join(f"{json.dumps(name)}.publicKeys = [ {json.dumps(key)} ];" for name in names)
    rules = entries.replace("\\u001b", "\x1b").replace("\\u0007", "\x07").replace("$(", "\\$(")
    (root / "secrets.nix").write_text(f"{{ {rules} }}")
    code = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30));"
    code += "from orchestrator.cli.main import main; main()"
    done = subprocess.run(
        (sys.executable, "-c", code, "secrets", "check", "--rules", str(root / "secrets.nix")),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    said = {line.split()[1:3][0] for line in done.stdout.splitlines()[:-1]}
    assert said <= {"RULES-PATH", "FILE-READ", "FILE-MISSING", "AGE-FORMAT"}
    for name in ("pipe", "zero", "loop", "out", "folder", "sparse", "armored", "many", "long"):
        assert any(f" {name}.age: " in line for line in done.stdout.splitlines()), name


def test_with_a_private_key_files_are_decrypted_too(made: Repository, tmp_path: Path) -> None:
    """A flipped bit behind a sound header is seen then; the newline of chance is none any more."""
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "key.txt").write_text(f"{identity}\n")
    made.keys["p0"] = str(identity.to_public())
    theirs = [path for path, names in made.rules.items() if "p0" in names]
    for path in theirs:
        made.encrypt(path)
    damaged, chance = theirs[:2]
    made.files[damaged] = made.files[damaged][:-1] + bytes([made.files[damaged][-1] ^ 1])
    while not made.files[chance].endswith(b"\n"):
        made.files[chance] = pyrage.encrypt(
            b"a value", [_recipient(key) for key in made.of(chance)]
        )
    made.write_down(chance, made.of(chance))
    made.write()
    words = ("secrets", "check", "--no-configurations", "--json")
    done = type_in(made.root, *words)
    assert [(one["id"], one["path"]) for one in json.loads(done.stdout)] == [
        ("AGE-NEWLINE", chance)
    ]
    done = type_in(made.root, *words, "--identity", str(tmp_path / "key.txt"))
    assert [(one["id"], one["path"]) for one in json.loads(done.stdout)] == [
        ("AGE-DECRYPT", damaged)
    ]


def _recipient(key: str) -> pyrage.ssh.Recipient | pyrage.x25519.Recipient:
    kind = pyrage.ssh.Recipient if key.startswith("ssh-") else pyrage.x25519.Recipient
    return kind.from_str(key)
