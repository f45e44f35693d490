"""``secrets create``, ``edit``, ``show``, ``rekey`` and ``recover``, as a person types them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pyrage
import pytest
from secret_fleet import ed25519_key

pytestmark = pytest.mark.usefixtures("nix")
HOST = ed25519_key()
OTHER = ed25519_key()
PLAIN = '{\n  "a.age".publicKeys = [ ME HOST ];\n}\n'
Done = subprocess.CompletedProcess[bytes]


class Secrets:
    """A git repository with a ``secrets.nix``, and a private key of mine."""

    def __init__(self, folder: Path, text: str) -> None:
        self.root = folder / "repo"
        self.root.mkdir()
        identity = pyrage.x25519.Identity.generate()
        self.key = folder / "key"
        self.key.write_text(f"{identity}\n")
        self.me = str(identity.to_public())
        self.rules(text)
        subprocess.run(("git", "init", "-q", str(self.root)), check=True)

    def rules(self, text: str) -> None:
        """Write the ``secrets.nix``."""
        text = text.replace("ME", f'"{self.me}"').replace("HOST", f'"{HOST}"')
        (self.root / "secrets.nix").write_text(text)

    def words(self, *words: str) -> tuple[str, ...]:
        """A command line."""
        key = () if words[0] == "recover" else ("--identity", str(self.key))
        command = (sys.executable, "-m", "orchestrator", "secrets", *words)
        return (*command, "--rules", str(self.root / "secrets.nix"), *key)

    def run(self, *words: str, stdin: bytes = b"") -> Done:
        """Type a command, with no terminal at all, wherever the tests run."""
        argv = self.words(*words)
        return subprocess.run(
            argv, input=stdin, capture_output=True, start_new_session=True, check=False
        )

    def type(self, *words: str, prompt: bytes, answer: bytes, **env: str) -> tuple[int, bytes]:
        """Type a command on a terminal, and an answer once it asks."""
        child, terminal = pty.fork()
        if child == 0:
            os.execve(sys.executable, self.words(*words), {**os.environ, **env})
        said = b""
        with contextlib.suppress(OSError):  # EIO: the terminal's other end is closed
            while chunk := os.read(terminal, 4096):
                said += chunk
                if prompt in said and answer:
                    os.write(terminal, answer)
                    answer = b""
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said

    def content(self) -> dict[str, bytes]:
        """Every file but git's own."""
        files = (f for f in self.root.rglob("*") if f.is_file() and ".git" not in f.parts)
        return {str(file.relative_to(self.root)): file.read_bytes() for file in files}


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    """One secret, made."""
    made = Secrets(tmp_path, PLAIN)
    done = made.run("create", "a", stdin=b"first")
    assert done.returncode == 0, done.stderr
    return made


def test_a_secrets_life(secrets: Secrets) -> None:
    """Created, changed, encrypted again for one more, shown; never in an output unasked."""
    done = secrets.run("edit", "a.age", stdin=b"second")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"second" not in done.stderr
    assert secrets.run("show", "a").stdout == b"second"
    secrets.rules(PLAIN.replace("HOST", f'HOST "{OTHER}"'))
    done = secrets.run("rekey", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"done": ["a.age"], "right": [], "absent": [], "damaged": []}
    assert secrets.run("rekey").stdout == b""
    assert secrets.run("show", "a").stdout == b"second"
    assert secrets.run("recover").returncode == 0
    assert secrets.content().keys() == {"a.age", "secrets.nix", "secrets.lock.json"}


def test_a_script_reads_what_was_written(secrets: Secrets) -> None:
    """The secret, the files that changed, whether a key at hand opens it; never the plaintext."""
    done = secrets.run("create", "new", "--like", "a", "--json", stdin=b"PLAIN-1")
    found = json.loads(done.stdout)
    changed = {"new.age", "secrets.nix", "secrets.lock.json"}
    assert (done.returncode, set(found.pop("changed"))) == (0, changed)
    assert found == {"ok": True, "secret": "new.age", "opened": True}
    done = secrets.run("edit", "new", "--json", stdin=b"PLAIN-2")
    found = json.loads(done.stdout)
    assert set(found.pop("changed")) == {"new.age", "secrets.lock.json"}
    assert found == {"ok": True, "secret": "new.age"}
    done = secrets.run("edit", "new", "--json", stdin=b"PLAIN-2")
    assert json.loads(done.stdout) == {"ok": True, "secret": "new.age", "changed": []}
    done = secrets.run("create", "new", "--json", stdin=b"PLAIN-3")
    found = json.loads(done.stdout)
    assert (done.returncode, found["ok"]) == (2, False)
    assert found["error"]["message"] == "new.age is there already"
    assert b"PLAIN" not in done.stdout + done.stderr


def test_what_a_killed_create_left_goes_with_recover(secrets: Secrets) -> None:
    """What a killed `create` left is named, and `recover` leaves nothing to recover."""
    (secrets.root / ".orchestrator-0123abcd.nix").write_text("{ }")
    done = secrets.run("recover")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr == b"removed what a killed create had left: .orchestrator-0123abcd.nix\n"
    assert secrets.content().keys() == {"a.age", "secrets.nix", "secrets.lock.json"}
    assert secrets.run("recover").stderr == b"nothing was interrupted\n"


def test_what_git_has_to_be_told_is_said(secrets: Secrets) -> None:
    """The files that a flake does not see, and the line that keeps git's hands off."""
    done = secrets.run("edit", "a", stdin=b"second")
    assert b"add -- a.age secrets.lock.json" in done.stderr
    assert b"*.age binary" in done.stderr
    (secrets.root / ".gitattributes").write_text("*.age binary\n")
    subprocess.run(("git", "-C", str(secrets.root), "add", "."), check=True)
    assert secrets.run("edit", "a", stdin=b"third").stderr == b"a.age is written\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        '{ "a.age".publicKeys = [ ME HOST ]; }',
        'let all = [ ME HOST ]; in\n{\n  "a.age".publicKeys = all;\n}\n# the end\n',
        '{ ... }: rec {\n\t"a.age" = { publicKeys = [ ME HOST ]; };\n}\n',
        '{ "x.age".publicKeys = [ ME ]; } // {\n  "a.age".publicKeys = [ ME HOST ];\n}',
    ],
)
@pytest.mark.parametrize("name", ["new", 'sub/a "${b}" \\c'])
def test_a_rule_is_added_where_nix_then_reads_the_old_ones_and_it(
    tmp_path: Path, text: str, name: str
) -> None:
    """Like another's, or for keys that are named; all other text stays."""
    secrets = Secrets(tmp_path, text)
    head, _, tail = (secrets.root / "secrets.nix").read_text().rpartition("}")
    done = secrets.run("create", name, "--like", "a", stdin=b"value")
    assert done.returncode == 0, done.stderr
    assert secrets.run("show", name).stdout == b"value"
    after = (secrets.root / "secrets.nix").read_text()
    assert after.startswith(head.rstrip())
    assert after.endswith(tail)
    done = secrets.run("create", "third", "--recipient", OTHER, stdin=b"value")
    assert done.returncode == 0, done.stderr
    assert b"none of your private keys opens it" in done.stderr


def test_all_other_bytes_of_the_rules_stay(secrets: Secrets) -> None:
    """Line ends of another system, and letters of another age."""
    rules = secrets.root / "secrets.nix"
    old = rules.read_bytes().replace(b"\n", b"\r\n").replace(b"{", b"# caf\xe9\r\n{", 1)
    rules.write_bytes(old)
    done = secrets.run("create", "new", "--like", "a", stdin=b"value")
    assert done.returncode == 0, done.stderr
    added = f'  "new.age".publicKeys = [ "{secrets.me}" "{HOST}" ];\r\n'.encode()
    assert rules.read_bytes() == old.replace(b"}\r\n", added + b"}\r\n")


@pytest.mark.parametrize(
    "text",
    [
        "import ./other.nix",
        'builtins.listToAttrs [ { name = "a.age"; value.publicKeys = [ ME HOST ]; } ]',
        'builtins.mapAttrs (_: keys: { publicKeys = keys; }) { "a.age" = [ ME HOST ]; }',
        '{ "a.age".publicKeys = [ ME HOST ]; } # }',
    ],
)
def test_where_it_cannot_be_added_the_line_is_told_and_nothing_changes(
    tmp_path: Path, text: str
) -> None:
    """No file is made, and ``secrets.nix`` keeps every byte."""
    secrets = Secrets(tmp_path, text)
    (secrets.root / "other.nix").write_text(f'{{ "a.age".publicKeys = [ "{secrets.me}" ]; }}')
    before = secrets.content()
    done = secrets.run("create", "new", "--recipient", OTHER, stdin=b"value")
    assert done.returncode == 2
    assert f'"new.age".publicKeys = [ "{OTHER}" ];'.encode() in done.stderr
    assert secrets.content() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "a"), "is there already"),
        (("create", "new"), "--like SECRET"),
        (("create", "../new", "--like", "a"), "no path within"),
        (("create", "new", "--recipient", "ssh-rsa short"), "the key"),
        (("create", "a", "--like", "a"), "has a rule already"),
        (("edit", "b"), "no rule for b"),
        (("show", "a.agee"), "is it a.age?"),
    ],
)
def test_what_cannot_be_done_is_told(secrets: Secrets, words: tuple[str, ...], said: str) -> None:
    """With the exit code of a usage error, and nothing written."""
    before = secrets.content()
    done = secrets.run(*words, stdin=b"value")
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr.decode()
    assert secrets.content() == before


def test_no_terminal_and_nothing_on_standard_input_erases_nothing(secrets: Secrets) -> None:
    """Without a terminal and with an empty standard input, as in cron, no secret is erased."""
    assert secrets.run("edit", "a").returncode == 2
    assert secrets.run("rekey", "--all").returncode == 0
    assert secrets.run("show", "a").stdout == b"first"


def test_what_was_interrupted_is_not_written(secrets: Secrets) -> None:
    """Ctrl-C ends whoever writes the new value, too: it came half."""
    before = secrets.content()
    words = secrets.words("edit", "a")
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.write(b"hal")
        child.stdin.flush()
        _wait_until_read(child)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate()
    assert (child.returncode, b"is written" in said) == (130, False)
    assert secrets.content() == before


def _wait_until_read(child: subprocess.Popen[bytes]) -> None:
    """Wait until a pipe is empty: its reader is at it."""
    assert child.stdin is not None
    unread = bytearray(4)
    while True:
        fcntl.ioctl(child.stdin.fileno(), termios.FIONREAD, unread)
        if int.from_bytes(unread, sys.byteorder) == 0:
            return
        time.sleep(0.01)


def test_an_editor_on_a_terminal(secrets: Secrets, tmp_path: Path) -> None:
    """The person's editor changes it; the line for git's attributes is offered."""
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\ncat "$1" >"$SEEN"; printf edited >"$1"\n')
    editor.chmod(0o755)
    env = {"EDITOR": str(editor), "VISUAL": "", "SEEN": str(tmp_path / "seen")}
    code, said = secrets.type("edit", "a", prompt=b"Add it?", answer=b"y\n", **env)
    assert code == 0, said
    assert (tmp_path / "seen").read_bytes() == b"first"
    assert secrets.run("show", "a").stdout == b"edited"
    assert (secrets.root / ".gitattributes").read_text() == "*.age binary\n"


def test_an_encrypted_key_is_asked_for_once(tmp_path: Path) -> None:
    """Although several files are decrypted; and what is typed is not shown."""
    secrets = Secrets(tmp_path, PLAIN)
    key = tmp_path / "locked"
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "pass word", "-f", key), check=True)
    public = key.with_suffix(".pub").read_text().strip()
    names = ("a", "b", "c")
    secrets.rules("{" + "".join(f'"{n}.age".publicKeys = [ "{public}" ];' for n in names) + "}")
    (secrets.root / ".gitattributes").write_text("*.age binary\n")
    for name in names:
        assert secrets.run("create", name, stdin=b"value").returncode == 0
    secrets.key = key
    code, said = secrets.type("rekey", "--all", prompt=b"passphrase of", answer=b"pass word\n")
    assert code == 0, said
    assert said.count(b"passphrase of") == 1
    assert b"3 re-encrypted" in said
    assert b"pass word" not in said


def test_a_reader_that_goes_away_is_no_error(secrets: Secrets) -> None:
    """``show a | head -c1`` on a large secret ends quietly."""
    assert secrets.run("edit", "a", stdin=b"x" * 2**20).returncode == 0
    with subprocess.Popen(
        secrets.words("show", "a"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as shown:
        assert shown.stdout is not None
        assert shown.stderr is not None
        assert shown.stdout.read(1) == b"x"
        shown.stdout.close()
        assert (shown.stderr.read(), shown.wait()) == (b"", 0)
