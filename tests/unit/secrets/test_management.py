"""Creating, editing and rekeying neither lose a secret nor leave a plaintext behind."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from killer import When, run_and_kill
from secret_bench import VALUES, Bench, keys_of, rule, run, vault

from orchestrator.core.errors import RefusedError, StepError, UsageError
from orchestrator.secrets.files.files import NAME, parse
from orchestrator.secrets.manage import Plan, create, edit
from orchestrator.secrets.model.repository import Rule, fingerprint
from orchestrator.secrets.rekey import Rekeyed, rekey
from orchestrator.secrets.sealing import recover


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A repository with three secrets."""
    return Bench(tmp_path)


def test_what_is_created_is_read_by_whom_its_rule_names(bench: Bench) -> None:
    """What is created is read by me and the host, byte for byte, and by nobody else."""
    assert bench.values(bench.mine) == VALUES
    assert bench.values(keys_of(bench.folder, "host")) == VALUES
    with pytest.raises(StepError, match="none of your private keys"):
        bench.values(keys_of(bench.folder, "new"))


def test_the_lock_file_tells_the_recipients(bench: Bench) -> None:
    """The lock file has the recipients of every secret that was encrypted here."""
    entries = parse((bench.root / NAME).read_bytes())
    wanted = {fingerprint(one) for one in bench.rule("a.age").recipients}
    assert {path: entry.recipients for path, entry in entries.items()} == dict.fromkeys(
        VALUES, wanted
    )


def test_an_edit_changes_one_secret(bench: Bench) -> None:
    """To edit one secret changes its file and the lock file, and no byte of others."""
    before = bench.content()
    now = bench.vault()
    changed = run(
        edit(now, bench.rule("a.age"), bench.mine, lambda old: old + b"more", without_me=False)
    )
    assert set(changed) == {"a.age", NAME}
    assert bench.values(bench.mine) == {**VALUES, "a.age": b"VALUE-a\nmore"}
    after = bench.content()
    assert {path for path in after if after[path] != before[path]} == {"a.age", NAME}


def _raise(error: Exception) -> Callable[[bytes], bytes]:
    def change(_: bytes) -> bytes:
        raise error

    return change


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda old: old, None),
        (lambda _: b"", UsageError),
        (lambda _: b" \n", UsageError),
        (_raise(StepError("the editor ended badly")), StepError),
    ],
    ids=["unchanged", "empty", "white", "failed"],
)
def test_what_was_not_meant_is_not_written(
    bench: Bench, change: Callable[[bytes], bytes], error: type[Exception] | None
) -> None:
    """Unchanged, emptied, or left by an editor that failed: every file stays as it is."""
    before = bench.content()
    work = edit(bench.vault(), bench.rule("a.age"), bench.mine, change, without_me=False)
    if error is None:
        assert run(work) == ()
    else:
        with pytest.raises(error):
            run(work)
    assert bench.content() == before


@pytest.mark.parametrize("path", ["a.age", "secrets.nix"])
def test_who_edits_what_another_changed_meanwhile_is_told(bench: Bench, path: str) -> None:
    """An edit of what somebody changed meanwhile is refused, and the other's file stays."""

    def slowly(_: bytes) -> bytes:
        (bench.root / path).write_bytes(b"another's")
        return b"mine"

    with pytest.raises(RefusedError, match=re.escape(path)):
        run(edit(bench.vault(), bench.rule("a.age"), bench.mine, slowly, without_me=False))
    assert bench.content()[path] == b"another's"


def test_creating_never_replaces(bench: Bench) -> None:
    """`create` replaces neither what is there nor what appeared while the editor was open."""
    before = bench.content()
    with pytest.raises(UsageError, match="is there already"):
        run(create(bench.vault(), Plan(bench.rule("a.age")), bench.mine, lambda _: b"x"))

    def slowly(_: bytes) -> bytes:
        (bench.root / "new.age").write_bytes(b"another's")
        return b"mine"

    with pytest.raises(RefusedError, match=r"new\.age"):
        run(create(bench.vault(), Plan(bench.rule("new.age")), bench.mine, slowly))
    assert bench.content() == {**before, "new.age": b"another's"}


def test_rekey_writes_only_what_needs_it(bench: Bench) -> None:
    """`rekey` writes only what needs it, and everything with ``--all``; the values stay."""
    before = bench.content()
    assert bench.rekey() == Rekeyed((), right=tuple(sorted(VALUES)))
    assert bench.content() == before
    assert set(bench.rekey(bench.new).done) == set(VALUES)
    assert bench.rekey(bench.new).done == ()
    assert bench.values(keys_of(bench.folder, "new")) == VALUES
    assert set(bench.rekey(bench.new, every=True).done) == set(VALUES)
    assert set(bench.rekey().done) == set(VALUES), "a key too many counts, too"
    with pytest.raises(StepError):
        bench.values(keys_of(bench.folder, "new"))


def test_a_file_that_a_stranger_reads_is_encrypted_anew(bench: Bench) -> None:
    """A host that left reads with an SSH key, which the header names and nobody here knows."""
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    gone = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert set(bench.rekey(gone).done) == set(VALUES)
    assert bench.rekey(gone).done == ()
    (bench.root / NAME).unlink()
    assert set(bench.rekey().done) == set(VALUES)
    assert bench.rekey().done == ()


def test_a_secret_that_cannot_be_decrypted_stops_the_whole_rekey(bench: Bench) -> None:
    """A secret that cannot be decrypted is named, and the rekey changes no file."""
    only_host = rule("c.age", bench.host)
    (bench.root / "c.age").unlink()
    run(create(vault(bench.root, only_host), Plan(only_host), bench.mine, lambda _: b"x"))
    before = bench.content()
    with pytest.raises(StepError, match=r"(?s)1 of 3.*nothing was written.*c\.age"):
        bench.rekey(bench.new)
    assert bench.content() == before


def test_a_damaged_file_is_named_and_left_alone(bench: Bench) -> None:
    """Rekey names a damaged file and does not touch it, and encrypts all others."""
    (bench.root / "a.age").write_bytes(b"<<<<<<< HEAD\n")
    done = bench.rekey(bench.new)
    assert (set(done.done), done.damaged) == ({"c.age", "deep/b.age"}, ("a.age",))
    assert bench.content()["a.age"] == b"<<<<<<< HEAD\n"


def test_nobody_makes_their_own_secrets_unreadable_unasked(bench: Bench) -> None:
    """Only with --without-me; nothing is written before."""
    before = bench.content()
    away = vault(bench.root, *(rule(path, bench.new) for path in VALUES))
    rules = away.rules.rules
    with pytest.raises(RefusedError, match="could open this any more"):
        run(rekey(away, rules, bench.mine, every=False, without_me=False))
    assert bench.content() == before
    run(rekey(away, rules, bench.mine, every=False, without_me=True))
    assert bench.values(keys_of(bench.folder, "new")) == VALUES


def test_a_key_that_is_no_key_is_told_before_anything_is_typed(bench: Bench) -> None:
    """A recipient that is no key is an error before the editor opens."""
    bad = Rule("a.age", ("nonsense",), (), unusable=(("nonsense", "is no key"),))
    for rules in (bad, Rule("a.age", (), ())):
        now = vault(bench.root, rules)
        with pytest.raises(UsageError):
            run(edit(now, rules, bench.mine, _raise(AssertionError()), without_me=False))


def test_values_are_in_no_repr_and_no_error(bench: Bench) -> None:
    """What is drawn, logged or raised never holds a plaintext."""
    (bench.root / "a.age").write_bytes(VALUES["a.age"])
    with pytest.raises(StepError) as raised:
        bench.values(bench.mine)
    assert "VALUE" not in f"{raised.value!r} {raised.value.hint}"


def work_of(name: str, bench: Bench) -> Callable[[], object]:
    """What is killed: an edit, a creation, a rekey."""
    if name == "edit":
        a = bench.rule("a.age")
        return lambda: run(
            edit(bench.vault(), a, bench.mine, lambda _: b"VALUE-new", without_me=False)
        )
    if name == "create":
        plan = Plan(bench.rule("made/new.age"), b'{ "made/new.age" = null; }\n')
        return lambda: run(create(bench.vault(), plan, bench.mine, lambda _: b"VALUE-new"))
    return lambda: bench.rekey(bench.new)


@pytest.mark.parametrize(("name", "step"), [("create", 3), ("edit", 1), ("rekey", 3)])
def test_killed_at_any_call_nothing_is_lost_and_nothing_is_plain(
    tmp_path: Path, name: str, step: int
) -> None:
    """After SIGKILL at calls all over and a recovery: all old or all new, nothing in plaintext."""
    bench = Bench(tmp_path)
    old = bench.content()
    number, ends = 0, set()
    killed = True
    while killed:
        number += step
        killed = run_and_kill(work_of(name, bench), number, When.TORN)
        assert not any(b"VALUE" in content for content in bench.content().values())
        asyncio.run(recover(bench.vault().place))
        now = bench.content()
        changed = {path for path in {*now, *old} if now.get(path) != old.get(path)}
        assert changed in (set(), expected_changes(name)), f"a mixture after call {number}"
        assert bench.values(bench.mine).keys() == VALUES.keys()
        ends.add(bool(changed))
        _restore(bench.root, old)
    assert number > 20
    assert ends == {True, False}


def expected_changes(name: str) -> set[str]:
    """The files that change together."""
    match name:
        case "edit":
            return {"a.age", NAME}
        case "create":
            return {"made/new.age", "secrets.nix", NAME}
        case _:
            return {*VALUES, NAME}


def _restore(root: Path, old: dict[str, bytes]) -> None:
    for path in {str(f.relative_to(root)) for f in root.rglob("*") if f.is_file()} - old.keys():
        (root / path).unlink()
    for path, content in old.items():
        (root / path).write_bytes(content)


def test_those_who_change_different_secrets_at_once_all_win(bench: Bench) -> None:
    """The lock file, which they share, has what each of them wrote."""
    children = []
    for path in VALUES:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                work = edit(
                    bench.vault(), bench.rule(path), bench.mine, lambda _: b"new", without_me=False
                )
                code = len(run(work)) - 2
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(VALUES)
    assert bench.values(bench.mine) == dict.fromkeys(VALUES, b"new")
    assert bench.rekey().done == ()
