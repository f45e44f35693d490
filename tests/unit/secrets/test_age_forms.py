"""What a file is that is no age file; the textual form; the plaintext's size."""

from __future__ import annotations

import pyrage
import pytest
from age_writer import IDENTITY, PLAINTEXT, V1, own_stanza, written
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.secrets.age import file as age_file
from orchestrator.secrets.age.file import AgeFormatError, plaintext_size
from orchestrator.secrets.age.header import ARMORED_PART, examine
from orchestrator.secrets.model.ciphertext import Ciphertext, FormatFault

GENUINE = written(own_stanza())
ARMORED = bytes(pyrage.encrypt(PLAINTEXT, [IDENTITY.to_public()], armored=True))
BEGIN, *_, LAST, END, _ = ARMORED.split(b"\n")


def looked_at(data: bytes) -> Ciphertext:
    """A file, examined whole."""
    return examine("a.age", data, len(data), data[-1:])


DISGUISES = {
    "empty": (b"", FormatFault.EMPTY),
    "a lone newline": (b"\n", FormatFault.EMPTY),
    "white space": (b" \r\n\t", FormatFault.EMPTY),
    "a byte order mark": (b"\xef\xbb\xbf" + GENUINE, FormatFault.BYTE_ORDER_MARK),
    "UTF-16": (V1.decode().encode("utf-16"), FormatFault.UTF16),
    "UTF-16 without its mark": (V1.decode().encode("utf-16-be"), FormatFault.UTF16),
    "CRLF": (GENUINE.replace(b"\n", b"\r\n"), FormatFault.CRLF),
    "a pointer of LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        FormatFault.LFS_POINTER,
    ),
    "git-crypt": (b"\0GITCRYPT\0\1\2\3", FormatFault.GIT_CRYPT),
    "a merge conflict": (b"<<<<<<< HEAD\n" + GENUINE, FormatFault.CONFLICT),
    "plain text": ("Passwört".encode(), FormatFault.PLAINTEXT),
    "long plain text": (b"x" * 1023 + "ö".encode() * 9, FormatFault.PLAINTEXT),
    "a private key of SSH": (
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
        FormatFault.PRIVATE_KEY,
    ),
    "a private key of age": (b"AGE-SECRET-KEY-1ABC\n", FormatFault.PRIVATE_KEY),
    "something before it": (b"\n\n" + GENUINE, FormatFault.NOT_AGE),
    "something before an armored one": (b"x\n" + ARMORED, FormatFault.NOT_AGE),
    "other bytes": (bytes(range(256)), FormatFault.NOT_AGE),
}


@pytest.mark.parametrize(("data", "fault"), DISGUISES.values(), ids=DISGUISES.keys())
def test_what_is_no_age_file_is_named(data: bytes, fault: FormatFault) -> None:
    """The cause is told, not only that it is none; and nothing of what it holds."""
    found = looked_at(data)
    assert found.fault is fault
    assert "Passw" not in found.detail


def test_the_textual_form_is_read() -> None:
    """LF or CRLF, with or without a newline at the end, with white space after it."""
    ways = (
        ARMORED,
        ARMORED.replace(b"\n", b"\r\n"),
        ARMORED.removesuffix(b"\n"),
        ARMORED + b" \t\r\n\n",
    )
    for data in ways:
        found = looked_at(data)
        assert found.armored
        assert (found.fault, found.plaintext_size) == (None, len(PLAINTEXT))
        assert pyrage.decrypt(data, [IDENTITY]) == PLAINTEXT
        assert not found.extra_newline


@pytest.mark.parametrize("before", [b"\n", b" \t\r\n\n", b"\n" * 1000])
def test_white_space_may_stand_before_the_textual_form(before: bytes) -> None:
    """C2SP age.md, "ASCII armor"; pyrage, which wants none, is given the rest."""
    data = before + ARMORED
    found = looked_at(data)
    assert (found.armored, found.fault, found.plaintext_size) == (True, None, len(PLAINTEXT))
    assert age_file.decrypt(data, age_file.Key(IDENTITY)) == PLAINTEXT


ARMOR = {
    "no end": (ARMORED.replace(END, b""), FormatFault.ARMOR_END),
    "cut": (ARMORED[:200], FormatFault.ARMOR_END),
    "something after it": (ARMORED + b"x", FormatFault.ARMOR_TRAILING),
    "twice": (ARMORED * 2, FormatFault.ARMOR_TRAILING),
    "something on its first line": (ARMORED.replace(BEGIN, BEGIN + b" "), FormatFault.ARMOR_BEGIN),
    "an empty line": (ARMORED.replace(BEGIN, BEGIN + b"\n"), FormatFault.ARMOR_BODY),
    "an empty line at the end": (ARMORED.replace(END, b"\n" + END), FormatFault.ARMOR_BODY),
    "no body": (BEGIN + b"\n" + END + b"\n", FormatFault.ARMOR_BODY),
    "one line": (BEGIN + b"\nQUI=" + END, FormatFault.ARMOR_BODY),
    "not padded": (BEGIN + b"\nQUI\n" + END, FormatFault.ARMOR_BODY),
    "not canonical": (BEGIN + b"\nQUJ=\n" + END, FormatFault.ARMOR_BODY),
    "wrapped elsewhere": (
        ARMORED.replace(LAST, LAST[:8] + b"\n" + LAST[8:]),
        FormatFault.ARMOR_BODY,
    ),
    "a space": (ARMORED.replace(b"YWdl", b"YW l"), FormatFault.ARMOR_BODY),
    "a header": (ARMORED.replace(BEGIN, BEGIN + b"\nKey: value"), FormatFault.ARMOR_BODY),
    "a merge conflict": (ARMORED.replace(LAST, b"=======\n" + LAST), FormatFault.CONFLICT),
    "no age file within": (BEGIN + b"\nQUI=\n" + END, FormatFault.PLAINTEXT),
}


@pytest.mark.parametrize(("data", "fault"), ARMOR.values(), ids=ARMOR.keys())
def test_the_textual_form_is_strict(data: bytes, fault: FormatFault) -> None:
    """Each broken rule is named, and pyrage does not open the file either."""
    assert looked_at(data).fault is fault
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(data, [IDENTITY])


def test_an_armored_file_that_is_too_large_is_not_read() -> None:
    """The beginning of a file of gigabytes is enough for an answer."""
    found = examine("a.age", ARMORED, 5 * 2**30, b"\0")
    assert (found.fault, found.armored) == (FormatFault.TOO_LARGE, True)
    assert ARMORED_PART < 5 * 2**30


def test_a_binary_file_of_gigabytes_needs_its_beginning_only() -> None:
    """The size of the plaintext follows from the size of the file."""
    found = examine("a.age", GENUINE, 5 * 2**30, b"\0")
    assert found.plaintext_size is not None
    assert found.plaintext_size > 4 * 2**30


def test_a_newline_at_the_end_is_seen() -> None:
    """What a hook for text files adds to a binary file breaks it, and is told."""
    assert looked_at(GENUINE + b"\n").extra_newline
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(GENUINE + b"\n", [IDENTITY])


CHUNK = 64 * 1024


@settings(max_examples=60)
@given(
    st.integers(0, 300)
    | st.sampled_from([times * CHUNK + near for times in (1, 2, 3) for near in (-1, 0, 1)]),
    st.booleans(),
)
def test_the_size_of_the_plaintext_is_exact(size: int, armored: bool) -> None:
    """The size of an encrypted plaintext is exact, at the edges of chunks and when empty."""
    data = bytes(pyrage.encrypt(bytes(size), [IDENTITY.to_public()], armored=armored))
    assert looked_at(data).plaintext_size == size


def test_a_payload_that_no_plaintext_has_is_cut_off() -> None:
    """Less than a nonce and an empty chunk; a last chunk without a byte."""
    for size in (0, 15, 16, 31, 32 + CHUNK + 1, 32 + CHUNK + 15, 32 + CHUNK + 16):
        with pytest.raises(AgeFormatError) as caught:
            plaintext_size(size)
        assert caught.value.fault is FormatFault.CUT_PAYLOAD
    assert [plaintext_size(size) for size in (32, 33, 32 + CHUNK)] == [0, 1, CHUNK]
