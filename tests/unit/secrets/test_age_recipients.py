"""Public keys: what age can encrypt to, why it cannot, and what a stanza tells of them."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import struct
import subprocess

import pyrage
import pytest
from age_writer import bech32_text, private, public
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orchestrator.secrets.age import header, keys
from orchestrator.secrets.age.keys import parse
from orchestrator.secrets.model.ciphertext import (
    Recipient,
    RecipientKind,
    Stanza,
    is_for,
    is_grease,
)

ED25519 = public(ed25519.Ed25519PrivateKey.generate(), "root@p620")
RSA = public(rsa.generate_private_key(65537, 2048), "olaf")
SMALL_RSA = public(rsa.generate_private_key(65537, 1024))  # noqa: S505
X25519 = str(pyrage.x25519.Identity.generate().to_public())
POINT = ec.generate_private_key(ec.SECP256R1()).public_key()
COMPRESSED = POINT.public_bytes(
    serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
)
UNCOMPRESSED = POINT.public_bytes(
    serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
)
TAG = bech32_text("age1tag", COMPRESSED)
TAG_PQ = bech32_text("age1tagpq", bytes(1152) + os.urandom(32) + UNCOMPRESSED)
POST_QUANTUM = bech32_text("age1pq", bytes(1216))


def of_wire(name: bytes, *fields: bytes, says: str = "") -> str:
    """A public key of SSH with these fields."""
    wire = b"".join(struct.pack(">I", len(one)) + one for one in (name, *fields))
    return f"{says or name.decode()} {base64.b64encode(wire).decode()}"


def stanzas(data: bytes) -> list[Stanza]:
    """A file's stanzas without those that are noise."""
    return [one for one in header.parse(data).stanzas if not is_grease(one)]


KINDS = {
    ED25519: RecipientKind.ED25519,
    RSA: RecipientKind.RSA,
    X25519: RecipientKind.X25519,
    TAG: RecipientKind.P256TAG,
    TAG_PQ: RecipientKind.MLKEM_P256TAG,
    POST_QUANTUM: RecipientKind.MLKEM,
    bech32_text("age1yubikey", COMPRESSED): RecipientKind.PIV,
    bech32_text("age1fido2-hmac", bytes(9)): RecipientKind.PLUGIN,
}


@pytest.mark.parametrize(("text", "kind"), KINDS.items(), ids=[one.name for one in KINDS.values()])
def test_each_kind_of_key_is_read(text: str, kind: RecipientKind) -> None:
    """Each kind of recipient is read with its kind, and its text is what age takes."""
    found = parse(text)
    assert found.kind is kind
    assert found.text == " ".join(text.split(" ")[:2])


def test_a_comment_is_no_part_of_a_key() -> None:
    """Two spellings of one key are equal in all but the comment; so is a file's newline."""
    key = ED25519.rsplit(" ", 1)[0]
    assert parse(ED25519).comment == "root@p620"
    assert parse(ED25519).text == parse(key).text == parse(f"{key}  a b\n").text
    assert parse(f"{key}  a b\n").comment == "a b"
    assert parse(key.replace(" ", "\t")).text == key
    assert parse(RSA.replace("=", "")).text == parse(RSA).text


CUT = ED25519.split()[1][:-8]
UNUSABLE = {
    "nothing": ("", "empty"),
    "white space": (" \n", "empty"),
    "words": ("alice", "no public key"),
    "ECDSA": (public(ec.generate_private_key(ec.SECP256R1())), "ECDSA"),
    "DSA": ("ssh-dss AAAA", "DSA"),
    "a token's": ("sk-ssh-ed25519@openssh.com AAAA", "security token"),
    "a certificate": ("ssh-ed25519-cert-v01@openssh.com AAAA", "certificate"),
    "RSA of 1024 bits": (SMALL_RSA, "1024 bits"),
    "RSA of no bits": (of_wire(b"ssh-rsa", b"\1\0\1", b"\0"), "malformed"),
    "RSA that is even": (of_wire(b"ssh-rsa", b"\1\0\1", b"\2" * 256), "malformed"),
    "RSA that is negative": (of_wire(b"ssh-rsa", b"\1\0\1", b"\xff" * 256), "malformed"),
    "RSA without a modulus": (of_wire(b"ssh-rsa", b"\1\0\1"), "malformed"),
    "cut off": (f"ssh-ed25519 {CUT}", "cut off"),
    "no base64": ("ssh-ed25519 !!!!", "base64"),
    "without a key": ("ssh-ed25519", "cut off"),
    "too much in it": (of_wire(b"ssh-ed25519", bytes(32), b"x"), "32 bytes"),
    "31 bytes": (of_wire(b"ssh-ed25519", bytes(31)), "32 bytes"),
    "of small order": (of_wire(b"ssh-ed25519", b"\1" + bytes(31)), "everybody"),
    "of another small order": (of_wire(b"ssh-ed25519", bytes(32)), "everybody"),
    "no point": (of_wire(b"ssh-ed25519", b"\2" + bytes(31)), "no point"),
    "another algorithm": (ED25519.replace("ssh-ed25519", "ssh-rsa"), "another algorithm"),
    "options": (f'from="10.0.0.1" {ED25519}', "options"),
    "a space before it": (f" {ED25519}", "white space"),
    "two keys": (f"{ED25519}\n{RSA}\n", "several lines"),
    "a private key": (private(ed25519.Ed25519PrivateKey.generate()).decode(), "several lines"),
    "age's private key": (str(pyrage.x25519.Identity.generate()), "private key"),
    "age's, cut off": (X25519[:-1], "checksum"),
    "age's, mistyped": (X25519[:-1] + ("q" if X25519[-1] != "q" else "p"), "checksum"),
    "age's, in capitals": (X25519.upper(), "capital"),
    "age's, with a newline": (X25519 + "\n", "white space"),
    "age's, with a comment": (X25519 + " olaf", "white space"),
    "age's, of small order": (bech32_text("age", bytes(32)), "everybody"),
    "age's, too short": (bech32_text("age", bytes(31)), "malformed"),
    "age's, no point": (bech32_text("age1tag", b"\2" + b"\xff" * 32), "malformed"),
    "3 MB": ("ssh-ed25519 " + "A" * 3_000_000, "longer"),
}


@pytest.mark.parametrize(("text", "why"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_what_cannot_be_encrypted_to_says_why(text: str, why: str) -> None:
    """The reason is a fact about the key."""
    with pytest.raises(ValueError, match=why):
        parse(text)


def test_no_reason_repeats_a_private_key() -> None:
    """What must not stand in secrets.nix is not spread by saying so."""
    key = str(pyrage.x25519.Identity.generate())
    with pytest.raises(ValueError, match="private key") as caught:
        parse(key)
    assert key not in str(caught.value)


@settings(max_examples=150)
@given(st.binary(min_size=32, max_size=32))
def test_a_point_is_one_for_pyrage_as_well(point: bytes) -> None:
    """Half of all keys that are mistyped are no points; both see the same half.

    Weak points are more than it refuses.
    """
    assume(not keys.is_weak_ed25519(point))
    text = of_wire(b"ssh-ed25519", point)
    try:
        pyrage.ssh.Recipient.from_str(text)
    except pyrage.RecipientError:
        with pytest.raises(ValueError, match="no point"):
            parse(text)
    else:
        assert parse(text).text == text


@given(st.binary(max_size=80), st.sampled_from(["age", "age1x", "a1b"]))
def test_bech32_gives_back_what_was_written(data: bytes, name: str) -> None:
    """A bech32 text decodes to the name and bytes that were written, of any length."""
    assert keys.decode(bech32_text(name, data)) == (name, data)


@settings(max_examples=300)
@given(st.text() | st.text().map("ssh-ed25519 ".__add__) | st.text().map("age1".__add__))
def test_any_text_is_a_key_or_has_a_reason(text: str) -> None:
    """Any text is a recipient or a ValueError, and no other exception."""
    with contextlib.suppress(ValueError):
        assert parse(text).text


TAGGED = [parse(text) for text in (ED25519, RSA)]


@pytest.mark.parametrize("recipient", TAGGED, ids=[one.kind.name for one in TAGGED])
def test_the_tag_is_the_one_that_pyrage_writes(recipient: Recipient) -> None:
    """A stanza tells whose it is; another key of the kind is told apart."""
    (found,) = stanzas(pyrage.encrypt(b"x", [pyrage.ssh.Recipient.from_str(recipient.text)]))
    assert found.tag == recipient.tag
    assert [is_for(found, one) for one in TAGGED] == [one is recipient for one in TAGGED]


@pytest.mark.skipif(shutil.which("age") is None, reason="there is no age")
def test_the_tags_are_those_that_age_writes() -> None:
    """The recipients of a file are found, each by its own stanza; X25519 tells nothing."""
    argv = ["age", *(word for text in (ED25519, RSA, X25519) for word in ("-r", text))]
    data = subprocess.run(argv, input=b"x", capture_output=True, check=True).stdout
    ssh, old, opaque = stanzas(data)
    recipients = [parse(text) for text in (ED25519, RSA, X25519)]
    assert [is_for(ssh, one) for one in recipients] == [True, False, False]
    assert [is_for(old, one) for one in recipients] == [False, True, False]
    assert [is_for(opaque, one) for one in recipients] == [False, False, None]


@pytest.mark.parametrize(
    ("text", "module"), [(TAG, pyrage.tag), (TAG_PQ, pyrage.tagpq)], ids=["tag", "tagpq"]
)
def test_a_tag_that_is_bound_to_its_stanza_is_found(text: str, module: object) -> None:
    """Tags of hardware keys differ from file to file, and tell their key all the same."""
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    compressed = other.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    for _ in range(2):
        (found,) = stanzas(pyrage.encrypt(b"x", [module.Recipient.from_str(text)]))
        assert is_for(found, parse(text)) is True
        assert is_for(found, parse(bech32_text("age1tag", compressed))) is False
        assert is_for(found, parse(ED25519)) is False


def test_a_hardware_key_is_found_by_either_of_its_tags() -> None:
    """A YubiKey's stanza is of its own kind, or of the later common one."""
    key = parse(bech32_text("age1yubikey", COMPRESSED))
    assert key.tag is not None
    (later,) = stanzas(pyrage.encrypt(b"x", [pyrage.tag.Recipient.from_str(TAG)]))
    assert is_for(later, key) is True
    assert is_for(Stanza("piv-p256", ("x", "y"), key.tag, b""), key) is True
    assert is_for(Stanza("piv-p256", ("x", "y"), b"1234", b""), key) is False


def test_a_plugins_stanza_may_be_any_that_nobody_else_writes() -> None:
    """A plugin's stanza cannot be told, but for the kinds that are known."""
    plugin = parse(bech32_text("age1fido2-hmac", bytes(9)))
    assert is_for(Stanza("fido2-hmac", (), None, b""), plugin) is None
    for kind in ("X25519", "ssh-rsa", "scrypt", "x-grease"):
        assert is_for(Stanza(kind, (), None, b""), plugin) is False


@pytest.mark.parametrize("arguments", [(), ("QUJDRA",), ("QUJDRA", "!"), ("QUJDRA", "A" * 88)])
def test_a_malformed_stanza_is_nobodys(arguments: tuple[str, ...]) -> None:
    """A forged stanza is for nobody; it is no crash."""
    for text in (TAG, ED25519, RSA):
        recipient = parse(text)
        stanza = Stanza(recipient.kind.value, arguments, b"ABCD", b"")
        assert is_for(stanza, recipient) is False
