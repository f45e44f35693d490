"""Each rule of the age v1 header, held against pyrage and the ``age`` program."""

from __future__ import annotations

import shutil
import subprocess
import tracemalloc
from pathlib import Path

import pyrage
import pytest
from age_writer import IDENTITY, PLAINTEXT, V1, by_passphrase, mac, own_stanza, payload, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.secrets.age import header
from orchestrator.secrets.age.file import AgeFormatError, base64_encode
from orchestrator.secrets.age.header import BINARY_PART, examine
from orchestrator.secrets.model.ciphertext import Ciphertext, FormatFault

FULL = b"A" * 64 + b"\n"

SOUND = {
    "an empty body": b"-> x\n\n",
    "a short body": b"-> x\nQUI\n",
    "one full line, and an empty one": b"-> x\n" + FULL + b"\n",
    "two full lines, and a short one": b"-> x\n" + FULL * 2 + b"QUJD\n",
    "63 columns cannot be, 62 can": b"-> x\n" + b"A" * 62 + b"\n",
    "every visible character": b"-> " + bytes(range(0x21, 0x7F)) + b" a b\n\n",
    "dashes as an argument": b"-> --- ->\n\n",
    "grease": b"-> _:-grease x\nQUI\n",
    "a kind of SSH's that nobody knows": b"-> ssh-other == x\n\n",
}

B31, B32 = (base64_encode(b"\1" * size) for size in (31, 32))

EARLY_RAGE = (b"-> x\n" + FULL, b"-> x\n")

BROKEN = {
    "no final line": (EARLY_RAGE[0], FormatFault.BODY),
    "no body": (EARLY_RAGE[1], FormatFault.BODY),
    "65 columns": (b"-> x\n" + b"A" * 65 + b"\n\n", FormatFault.BODY),
    "a line after the short one": (b"-> x\nQUJD\nQUJD\n", FormatFault.ARGUMENT),
    "an empty line before a stanza": (b"\n-> x\n\n", FormatFault.ARGUMENT),
    "no argument": (b"->\n\n", FormatFault.ARGUMENT),
    "an empty argument": (b"-> \n\n", FormatFault.ARGUMENT),
    "two spaces": (b"-> x  y\n\n", FormatFault.ARGUMENT),
    "a space at the end": (b"-> x \n\n", FormatFault.ARGUMENT),
    "no space after the arrow": (b"->x\n\n", FormatFault.ARGUMENT),
    "a tab": (b"-> x\ty\n\n", FormatFault.ARGUMENT),
    "a control character": (b"-> x\x01\n\n", FormatFault.ARGUMENT),
    "DEL": (b"-> x\x7f\n\n", FormatFault.ARGUMENT),
    "a letter beyond ASCII": ("-> ü\n\n".encode(), FormatFault.ARGUMENT),
    "padded": (b"-> x\nQUI=\n", FormatFault.BASE64),
    "not canonical": (b"-> x\nQUJ\n", FormatFault.BASE64),
    "a length that cannot be": (b"-> x\nA\n", FormatFault.BASE64),
    "the other alphabet": (b"-> x\n__AA\n", FormatFault.BASE64),
    "a space in a body": (b"-> x\nQU I\n", FormatFault.BASE64),
    "CRLF in a body": (b"-> x\nQUI\r\n", FormatFault.CRLF),
    "CRLF after the arguments": (b"-> x\r\n\n", FormatFault.CRLF),
    "a passphrase beside others": (
        b"-> scrypt ajMFur+EJLGaohv/dLRGnw 18\n8SHBz/ldWnjyGFQqfjat6uNBarWqqEMDS7W8X7+Xq5Q\n",
        FormatFault.MIXED_SCRYPT,
    ),
    "a merge conflict": (b"<<<<<<< HEAD\n-> x\n\n=======\n", FormatFault.CONFLICT),
}


def looked_at(data: bytes) -> Ciphertext:
    """A file, examined as it is read from a disk."""
    return examine("a.age", data[:BINARY_PART], len(data), data[-1:])


def by_pyrage(data: bytes) -> bytes | None:
    """What pyrage makes of a file."""
    try:
        return bytes(pyrage.decrypt(data, [IDENTITY]))
    except pyrage.DecryptError:
        return None


@pytest.fixture(scope="module")
def identity_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the private key."""
    path = tmp_path_factory.mktemp("identity") / "key"
    path.write_text(str(IDENTITY))
    return path


def by_age(data: bytes, identity: Path) -> bytes | None:
    """What ``age`` makes of a file."""
    argv = ["age", "--decrypt", "--identity", str(identity)]
    done = subprocess.run(argv, input=data, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


needs_age = pytest.mark.skipif(shutil.which("age") is None, reason="there is no age")


@pytest.mark.parametrize("stanza", SOUND.values(), ids=SOUND.keys())
def test_what_the_grammar_allows_is_read(stanza: bytes) -> None:
    """Whatever stands beside the recipient's own stanza, the file is sound, and pyrage opens it."""
    for data in (written(own_stanza() + stanza), written(stanza + own_stanza())):
        found = looked_at(data)
        assert (found.fault, found.plaintext_size) == (None, len(PLAINTEXT))
        assert by_pyrage(data) == PLAINTEXT


@needs_age
@pytest.mark.parametrize("stanza", SOUND.values(), ids=SOUND.keys())
def test_age_opens_what_the_grammar_allows(stanza: bytes, identity_file: Path) -> None:
    """What is sound to us is sound to the program that hosts use."""
    assert by_age(written(own_stanza() + stanza), identity_file) == PLAINTEXT


@pytest.mark.parametrize(("stanza", "fault"), BROKEN.values(), ids=BROKEN.keys())
def test_what_the_grammar_forbids_has_a_name(stanza: bytes, fault: FormatFault) -> None:
    """Each broken rule is named, and pyrage does not open the file either.

    But for the missing last line of a wrapped key: it takes what early versions of rage wrote.
    """
    data = written(own_stanza() + stanza)
    assert looked_at(data).fault is fault
    assert (by_pyrage(data) == PLAINTEXT) is (stanza in EARLY_RAGE)


MALFORMED = {
    "X25519 with an argument more": (b"-> X25519 %s x\n%s\n" % (B32, B32), FormatFault.ARGUMENT),
    "X25519 without a share": (b"-> X25519\n%s\n" % B32, FormatFault.ARGUMENT),
    "X25519 with a short share": (b"-> X25519 %s\n%s\n" % (B31, B32), FormatFault.ARGUMENT),
    "X25519 that is padded": (b"-> X25519 %s=\n%s\n" % (B32, B32), FormatFault.ARGUMENT),
    "X25519 that is not canonical": (
        b"-> X25519 %sF\n%s\n" % (B32[:-1], B32),
        FormatFault.ARGUMENT,
    ),
    "X25519 with a short key": (b"-> X25519 %s\n%s\n" % (B32, B31), FormatFault.BODY),
}


@pytest.mark.parametrize(("stanza", "fault"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_recipient_that_its_readers_refuse_is_an_error(
    stanza: bytes, fault: FormatFault, identity_file: Path
) -> None:
    """The specification has it refused; readers do so unless a key opens a stanza before it."""
    for data in (written(stanza + own_stanza()), written(own_stanza() + stanza)):
        assert looked_at(data).fault is fault
    data = written(stanza + own_stanza())
    assert by_pyrage(data) != PLAINTEXT
    if shutil.which("age"):
        assert by_age(data, identity_file) is None


TAG = base64_encode(b"\1" * 4)

MALFORMED_FOR_SSH = {
    "ed25519 alone": (b"-> ssh-ed25519\n\n", FormatFault.ARGUMENT),
    "ed25519 without a share": (b"-> ssh-ed25519 %s\n%s\n" % (TAG, B32), FormatFault.ARGUMENT),
    "ed25519 with an argument more": (
        b"-> ssh-ed25519 %s %s x\n%s\n" % (TAG, B32, B32),
        FormatFault.ARGUMENT,
    ),
    "ed25519 with a short share": (
        b"-> ssh-ed25519 %s %s\n%s\n" % (TAG, B31, B32),
        FormatFault.ARGUMENT,
    ),
    "ed25519 that is padded": (
        b"-> ssh-ed25519 %s %s=\n%s\n" % (TAG, B32, B32),
        FormatFault.ARGUMENT,
    ),
    "ed25519 whose tag is none": (b"-> ssh-ed25519 == %s\n%s\n" % (B32, B32), FormatFault.ARGUMENT),
    "ed25519 with a short key": (b"-> ssh-ed25519 %s %s\n%s\n" % (TAG, B32, B31), FormatFault.BODY),
    "rsa alone": (b"-> ssh-rsa\n\n", FormatFault.ARGUMENT),
    "rsa with an argument more": (b"-> ssh-rsa %s x\n%s\n" % (TAG, B32), FormatFault.ARGUMENT),
}


@pytest.mark.parametrize(
    ("stanza", "fault"), MALFORMED_FOR_SSH.values(), ids=MALFORMED_FOR_SSH.keys()
)
def test_a_recipient_that_ssh_keys_refuse_is_an_error(
    stanza: bytes, fault: FormatFault, tmp_path: Path
) -> None:
    """A host that opens its secrets with its SSH key comes to it, and ends there."""
    data = written(stanza + own_stanza())
    assert looked_at(data).fault is fault
    if shutil.which("age") and b" ==" not in stanza and fault is FormatFault.ARGUMENT:
        kind = stanza.split()[1].decode().removeprefix("ssh-")
        argv = ("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(tmp_path / "key"))
        subprocess.run(argv, check=True, capture_output=True)
        tried = ("age", "--decrypt", "--identity", str(tmp_path / "key"))
        done = subprocess.run(tried, input=data, capture_output=True, check=False)
        assert done.returncode == 1
        assert b"no identity matched" not in done.stderr


@needs_age
@pytest.mark.parametrize("stanza", [one for one, _ in BROKEN.values()], ids=BROKEN.keys())
def test_age_opens_nothing_that_the_grammar_forbids(stanza: bytes, identity_file: Path) -> None:
    """We call nothing broken that a host would open, but for a passphrase that stands by it.

    There the specification forbids what age 1.1 opens by another key.
    """
    if b"scrypt" not in stanza:
        assert by_age(written(own_stanza() + stanza), identity_file) is None


def ended(end: bytes) -> bytes:
    """A file whose header ends in another way."""
    head = V1 + own_stanza()
    return head + end.replace(b"MAC", mac(head + b"---")) + payload()


ENDS = {
    "no code": (b"---\n", FormatFault.MAC),
    "an empty code": (b"--- \n", FormatFault.MAC),
    "padded": (b"--- MAC=\n", FormatFault.MAC),
    "two spaces": (b"---  MAC\n", FormatFault.MAC),
    "no space": (b"---MAC\n", FormatFault.MAC),
    "a space after it": (b"--- MAC \n", FormatFault.MAC),
    "too short": (b"--- QUJD\n", FormatFault.MAC),
    "not canonical": (b"--- " + b"A" * 42 + b"B\n", FormatFault.MAC),
    "more than a code": (b"--- MACMAC\n", FormatFault.MAC),
    "CRLF": (b"--- MAC\r\n", FormatFault.CRLF),
    "a fourth dash": (b"---- MAC\n", FormatFault.MAC),
}


@pytest.mark.parametrize(("end", "fault"), ENDS.values(), ids=ENDS.keys())
def test_the_last_line_is_strict(end: bytes, fault: FormatFault) -> None:
    """The authentication code is 43 characters of canonical base64, and nothing else."""
    assert looked_at(ended(b"--- MAC\n")).fault is None
    assert looked_at(ended(end)).fault is fault
    assert by_pyrage(ended(end)) is None


@pytest.mark.parametrize("version", [b"v2", b"V1", b"v1 ", b"v10", b"", b"v1\0"])
def test_another_version_is_named(version: bytes) -> None:
    """Only v1 is known; the message says which one it is."""
    data = written(own_stanza(), b"age-encryption.org/" + version + b"\n")
    found = looked_at(data)
    assert found.fault is FormatFault.VERSION
    assert repr(version.decode()) in found.detail
    assert by_pyrage(data) is None


def test_a_header_without_a_recipient_is_none() -> None:
    """An age header without any recipient stanza is a fault of its format."""
    assert looked_at(written(b"")).fault is FormatFault.NO_STANZA


def test_a_passphrase_alone_is_sound() -> None:
    """A file encrypted by a passphrase alone is sound: that is no matter of the format."""
    assert looked_at(by_passphrase("y", b"x")).fault is None


@pytest.mark.parametrize(
    "words",
    [b"%s 10 x", b"%s", b"%s 010", b"%s 0", b"%s +1", b"%s 1000", b"%sAA 10"],
)
def test_a_passphrases_stanza_is_strict(words: bytes) -> None:
    """A salt has 16 bytes and a work factor is a plain number: all else is refused unread."""
    salt = base64_encode(bytes(16))
    data = written(b"-> scrypt %s\n%s\n" % (words % salt, B32))
    assert looked_at(data).fault is FormatFault.ARGUMENT
    with pytest.raises(pyrage.DecryptError):
        pyrage.passphrase.decrypt(data, "y")


def test_what_is_read_is_what_was_written() -> None:
    """Kinds, arguments, bodies, size and digest are those of the file."""
    data = written(own_stanza() + b"-> p256tag AAECAw b\nQUI\n")
    found = header.parse(data)
    assert [one.kind for one in found.stanzas] == ["X25519", "p256tag"]
    assert found.stanzas[1].arguments == ("AAECAw", "b")
    assert found.stanzas[1].tag == bytes(range(4))
    assert found.stanzas[1].body == b"AB"
    assert data[: found.size].endswith(b"\n")
    assert found.digest == header.parse(data + b"more").digest


def test_a_file_that_is_cut_anywhere_is_told() -> None:
    """Cut at each byte: within the header it has no header, within the payload no length."""
    data = written(own_stanza())
    size = header.parse(data).size
    for end in range(1, size):
        assert looked_at(data[:end]).fault is FormatFault.CUT_HEADER, end
    for end in range(size, size + 32):
        assert looked_at(data[:end]).fault is FormatFault.CUT_PAYLOAD, end
    assert looked_at(data[:0]).fault is FormatFault.EMPTY


HUGE = {
    "an argument of 3 MB": V1 + b"-> " + b"x" * 3_000_000 + b"\n\n",
    "400,000 stanzas": written(own_stanza() + b"-> x\n\n" * 400_000),
    "a body of 3 MB": V1 + b"-> x\n" + FULL * 46_000,
    "zeros": bytes(3_000_000),
}


@pytest.mark.parametrize("data", HUGE.values(), ids=HUGE.keys())
def test_a_huge_header_costs_no_more_than_the_cap(data: bytes) -> None:
    """What is read of it is bounded, whatever is given."""
    tracemalloc.start()
    try:
        found = examine("a.age", data, len(data), data[-1:])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.fault in (FormatFault.TOO_LARGE, FormatFault.NOT_AGE)
    assert peak < 100 * header.MAX_SIZE


def test_the_cap_is_exact() -> None:
    """A header of 64 KiB is read, one byte more is not."""
    room = header.MAX_SIZE - header.parse(written(own_stanza() + b"-> x\n\n")).size
    fitting = written(own_stanza() + b"-> x" + b"y" * room + b"\n\n")
    assert header.parse(fitting).size == header.MAX_SIZE
    assert by_pyrage(fitting) == PLAINTEXT
    with pytest.raises(AgeFormatError) as caught:
        header.parse(written(own_stanza() + b"-> xx" + b"y" * room + b"\n\n"))
    assert caught.value.fault is FormatFault.TOO_LARGE


def test_the_number_of_recipients_has_a_cap() -> None:
    """What is read can be decrypted in reasonable time, however its header is made up."""
    assert looked_at(written(own_stanza() + b"-> x\n\n" * 1023)).fault is None
    found = looked_at(written(own_stanza() + b"-> x\n\n" * 1024))
    assert (found.fault, found.detail) == (FormatFault.TOO_LARGE, "has more than 1024 recipients")


PIECES = st.sampled_from(
    [b"-> x", b" y", b" ", b"\n", b"\r", b"QUI", b"=", b"A" * 64, b"A", b"---", b"\0", b"\t", b"-"]
) | st.binary(max_size=3)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, max_size=8), st.lists(PIECES, max_size=8))
def test_nothing_is_rejected_that_pyrage_opens(before: list[bytes], after: list[bytes]) -> None:
    """Genuine files with anything beside the recipient's own stanza.

    But for what early versions of rage wrote: ``age`` does not open that, so a host may not.
    """
    data = written(b"".join(before) + own_stanza() + b"".join(after))
    opened = by_pyrage(data)
    if opened is not None:
        found = looked_at(data)
        if "lacks its last" not in found.detail:
            assert (found.fault, found.plaintext_size) == (None, len(opened))


@settings(max_examples=400)
@given(st.data())
def test_no_altered_file_is_rejected_that_pyrage_opens(data: st.DataObject) -> None:
    """A few bytes anywhere, in either form."""
    armored = data.draw(st.booleans())
    file = bytearray(pyrage.encrypt(PLAINTEXT, [IDENTITY.to_public()], armored=armored))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, 2**16)) % len(file)
        gone = data.draw(st.integers(0, 2))
        file[at : at + gone] = data.draw(PIECES)
    opened = by_pyrage(bytes(file))
    if opened is not None:
        found = looked_at(bytes(file))
        assert (found.fault, found.plaintext_size) == (None, len(opened))


@settings(max_examples=500)
@given(st.binary() | st.binary().map(lambda end: V1 + end) | st.text().map(str.encode))
def test_any_bytes_have_an_answer(data: bytes) -> None:
    """Whatever a file holds: it is sound, or has a named fault with words."""
    found = looked_at(data)
    assert found.fault is None or found.detail
