"""secrets.nix, evaluated by a real Nix: what it may be, and what it may try."""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from secret_fleet import ed25519_key

from orchestrator.secrets.files.rules import RulesError, evaluate
from orchestrator.secrets.model.repository import Rule

pytestmark = pytest.mark.usefixtures("nix")
KEY = ed25519_key()


def rules(root: Path, text: str, file: str = "secrets.nix", **limits: Any) -> dict[str, Rule]:
    """Write a ``secrets.nix`` and evaluate it; its rules by their paths."""
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace("KEY", f'"{KEY}"'))
    found = asyncio.run(evaluate(path, root, **limits))
    assert found.file == str(path)
    return {rule.path: rule for rule in found.rules}


def refused(root: Path, text: str, **limits: float) -> str:
    """Give what is said of a ``secrets.nix`` that says nothing usable."""
    with pytest.raises(RulesError) as caught:
        rules(root, text, **limits)
    return caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        '{ "a.age".publicKeys = [ KEY ]; }',
        'let a = KEY; in { "a.age" = { publicKeys = [ a ]; armor = false; }; }',
        '{ ... }: { "a.age".publicKeys = [ KEY ]; }',
        '{ key ? KEY }: { "a.age".publicKeys = [ key ]; }',
        'builtins.listToAttrs [ { name = "a.age"; value.publicKeys = [ KEY ]; } ]',
        'with { k = [ KEY ]; }; rec { "a.age".publicKeys = k ++ [ ]; }',
        '{ "a.age" = { publicKeys = [ (builtins.readFile ./a.pub) ]; owner = "who"; }; }',
        "import ./sub/other.nix",
        '{ "./a.age".publicKeys = [ KEY ]; }',
    ],
)
def test_rules_may_be_written_in_every_way(tmp_path: Path, text: str) -> None:
    """What Nix makes of the file counts, and not how it is written."""
    (tmp_path / "a.pub").write_text(KEY)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/other.nix").write_text(f'{{ "a.age".publicKeys = [ "{KEY}" ]; }}')
    found = rules(tmp_path, text)
    assert [one.text for one in found["a.age"].recipients] == [KEY]
    assert found["a.age"].error is None


def test_names_start_from_the_files_folder(tmp_path: Path) -> None:
    """A rule's path is relative to the repository, wherever the file is in it."""
    found = rules(tmp_path, '{ "db/a.age".publicKeys = [ ]; }', "deep/er/secrets.nix")
    assert list(found) == ["deep/er/db/a.age"]


def test_a_repositorys_path_may_have_any_characters(tmp_path: Path) -> None:
    """Spaces, quotes, ``=``, ``${}``: none of it is spliced into Nix."""
    root = tmp_path / "a b'\"=c${x}"
    assert list(rules(root, '{ "a.age".publicKeys = [ KEY ]; }')) == ["a.age"]


def test_names_may_have_any_characters(tmp_path: Path) -> None:
    """A secret's name with quotes, spaces or line ends arrives as Nix has it."""
    names = ["a b.age", 'it\'s \\"quoted\\".age', "\\${x}.age", "-rf.age", "ä→.age", "a\\nb.age"]
    found = rules(
        tmp_path, "{" + "".join(f'"{name}".publicKeys = [ KEY ];' for name in names) + "}"
    )
    assert set(found) == {
        *("a b.age", 'it\'s "quoted".age', "${x}.age", "-rf.age", "ä→.age", "a\nb.age")
    }


@pytest.mark.parametrize("name", ["/etc/shadow", "../out.age", "a/../../out.age"])
def test_a_name_that_leads_out_is_kept_for_the_check(tmp_path: Path, name: str) -> None:
    """A rule's name that leads out of the repository is kept as it is, for the check."""
    assert list(rules(tmp_path, f'{{ "{name}".publicKeys = [ KEY ]; }}')) == [name]


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ('throw "not yet"', "its entry throws an error"),
        ('{ publicKeys = [ (throw "no") ]; }', "its entry throws an error"),
        ("assert false; { }", "its entry throws an error"),
        ("3", "its entry is an integer, not a set"),
        ("{ }", "its entry has no publicKeys"),
        ("{ publicKeys = KEY; }", "its publicKeys is a string, not a list"),
        ("{ publicKeys = [ KEY ]; armor = 1; }", "its armor is an integer, neither true nor false"),
        (
            "{ publicKeys = builtins.genList (_: KEY) 5000; }",
            "its publicKeys has 5000 keys, more than are read",
        ),
    ],
)
def test_an_entrys_mistake_stays_in_the_entry(tmp_path: Path, entry: str, error: str) -> None:
    """The others are read all the same."""
    found = rules(tmp_path, f'{{ "a.age" = {entry}; "b.age".publicKeys = [ KEY ]; }}')
    assert found["a.age"].error == error
    assert found["b.age"].error is None
    assert len(found["b.age"].recipients) == 1


def test_what_is_no_key_is_told_one_by_one(tmp_path: Path) -> None:
    """Values of other types, and a text of a megabyte, beside a key that is good."""
    big = 'builtins.concatStringsSep "" (builtins.genList (_: "0123456789") 100000)'
    keys = f"[ 1 null ./x {{ }} [ ] true (x: x) ({big}) KEY ]"
    rule = rules(tmp_path, f'{{ "a.age".publicKeys = {keys}; }}')["a.age"]
    assert [why for _, why in rule.unusable] == [
        *(
            f"is {what}, not a string"
            for what in ("an integer", "null", "a path", "a set", "a list")
        ),
        *(f"is {what}, not a string" for what in ("a boolean", "a function")),
        "has 1000000 characters, which no key has",
    ]
    assert len(rule.recipients) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "syntax error"),
        ("{ broken", "syntax error"),
        ("[ ]", "is a list, not a set of rules"),
        ("{ a }: { }", "called without required argument 'a'"),
        ('abort "enough"', "enough"),
        ("let x = x; in x", "infinite recursion"),
        ("let f = n: f (n + 1) + 1; in f 0", "stack overflow"),
        ("import /etc/passwd", "forbidden"),
        ("import ../outside.nix", "forbidden"),
        ("import ./link.nix", "forbidden"),
        ('{ "a.age".publicKeys = [ (builtins.readFile /etc/hostname) ]; }', "forbidden"),
        ('builtins.fetchurl "http://127.0.0.1:1/"', "forbidden"),
        ('import (derivation { name = "x"; system = "x"; builder = "x"; })', "disabled|not valid"),
        ('builtins.exec [ "true" ]', "exec"),
        ("import ./none.nix", "does not exist"),
    ],
)
def test_what_says_nothing_usable_is_refused_with_nixs_reason(
    tmp_path: Path, text: str, why: str
) -> None:
    """Nothing outside the repository is read, nothing is fetched, built or run."""
    root = tmp_path / "repository"
    root.mkdir()
    (tmp_path / "outside.nix").write_text("{ }")
    (root / "link.nix").symlink_to("../outside.nix")
    with pytest.raises(RulesError, match=why):
        rules(root, text)


def test_what_nix_printed_before_it_failed_does_not_count(tmp_path: Path) -> None:
    """The exit status is looked at first."""
    assert "does not evaluate" in refused(tmp_path, '{ "a.age".publicKeys = [ KEY (1 + "") ]; }')


def test_an_evaluation_without_end_is_stopped(tmp_path: Path) -> None:
    """A FIFO in the repository that is read, and a computation, both meet the deadline."""
    os.mkfifo(tmp_path / "pipe.nix")
    assert "did not end within 1 s" in refused(tmp_path, "import ./pipe.nix", deadline=1)
    each = "f: builtins.foldl' (_: f) 0 (builtins.genList (n: n) 10000)"
    forever = f"let each = {each}; in each (_: each (_: each (n: n)))"
    assert "did not end within 1 s" in refused(tmp_path, f"builtins.seq ({forever}) 1", deadline=1)


def test_an_evaluation_has_only_so_much_memory(tmp_path: Path) -> None:
    """A file of gigabytes that is read, and a list without end: the machine's memory is safe."""
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(5 * 2**30)
    text = '{ "a.age".publicKeys = [ (builtins.readFile ./sparse) ]; }'
    assert "takes more than 512 MiB" in refused(tmp_path, text, memory=2**29)
    endless = "builtins.genList (x: x) 10000000000"
    assert "takes more than 512 MiB" in refused(tmp_path, endless, memory=2**29)


def test_an_answer_without_measure_is_refused(tmp_path: Path) -> None:
    """One text that is shared costs Nix nothing, and would be gigabytes when printed."""
    text = 'let t = builtins.concatStringsSep "" (builtins.genList (_: "x") 16000); in'
    keys = "{ publicKeys = builtins.genList (_: t) 4000; }"
    entries = (
        f"builtins.listToAttrs (builtins.genList (n: {{ name = toString n; value = {keys}; }}) 9)"
    )
    assert "at most 134217728 are read" in refused(tmp_path, f"{text} {entries}")
    many = "builtins.listToAttrs (builtins.genList (n: { name = toString n; value = 1; }) 100001)"
    assert "at most 100000 are read" in refused(tmp_path, many)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A site with a tarball of a tiny nixpkgs: its URL without the scheme's certificate."""
    folder = tmp_path / "site"
    (folder / "pkgs-1/lib").mkdir(parents=True)
    (folder / "pkgs-1/default.nix").write_text("_: { lib.names = import ./lib; }")
    (folder / "pkgs-1/lib/default.nix").write_text('[ "a.age" ]')
    subprocess.run(("tar", "-C", folder, "-czf", folder / "pkgs.tar.gz", "pkgs-1"), check=True)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}/"
        made.shutdown()


PINNED = """
let pkgs = import (builtins.fetchTarball "SITEpkgs.tar.gz") { };
in builtins.listToAttrs (map (name: { inherit name; value.publicKeys = [ KEY ]; }) pkgs.lib.names)
"""


def test_a_pinned_nixpkgs_is_fetched_where_the_inventory_allows_it(
    tmp_path: Path, server: str
) -> None:
    """Without that, the hint names the key and the beginning of the URL; another URL is refused."""
    root = tmp_path / "fleet"
    text = PINNED.replace("SITE", server)
    with pytest.raises(RulesError, match="is forbidden in restricted mode") as caught:
        rules(root, text)
    assert f"`secrets: {{fetch: [{server}]}}`" in (caught.value.hint or "")
    with pytest.raises(RulesError, match="is forbidden in restricted mode"):
        rules(root, text, fetch=["https://example.org/"])
    found = rules(root, text, fetch=[server])
    assert [one.text for one in found["a.age"].recipients] == [KEY]


def test_no_server_is_asked_by_a_search_path(
    tmp_path: Path, server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nix takes a URL there in restricted mode: what it asks for could say what a file holds."""
    searched = f'[ {{ prefix = "x"; path = "{server}pkgs.tar.gz"; }} ] "x/default.nix"'
    text = f'{{ "a.age".publicKeys = [ (toString (builtins.findFile {searched})) ]; }}'
    assert rules(tmp_path / "fleet", text)["a.age"].error
    assert "GET /" not in capfd.readouterr().err
    # The server would have said so.
    urllib.request.urlopen(f"{server}pkgs.tar.gz").close()  # noqa: S310
    assert "GET /pkgs.tar.gz" in capfd.readouterr().err


def test_what_may_fetch_still_reads_nothing_of_this_machine(tmp_path: Path, server: str) -> None:
    """Leave to fetch opens neither the disk nor the store's other paths."""
    text = '{ "a.age".publicKeys = [ (builtins.readFile /etc/hostname) ]; }'
    with pytest.raises(RulesError, match="forbidden") as caught:
        rules(tmp_path / "fleet", text, fetch=[server])
    assert caught.value.hint == "it is kept to its repository: copy what it reads into that"
