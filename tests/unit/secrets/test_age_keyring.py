"""Private keys: agenix's own, those that are named, those that a passphrase opens."""

from __future__ import annotations

import asyncio
import base64
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pyrage
import pytest
from age_writer import (
    IDENTITY,
    PLAINTEXT,
    bech32_text,
    by_passphrase,
    own_stanza,
    private,
    public,
    written,
)
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.secrets.age import crypt, header, identities
from orchestrator.secrets.age import file as age_file
from orchestrator.secrets.age.crypt import Ask, Keyring
from orchestrator.secrets.age.file import AgeFormatError, ClosedError, DamagedError, IdentityError
from orchestrator.secrets.age.keys import parse
from orchestrator.secrets.model.ciphertext import is_for

SECRET = b"a value that nobody may see\n"
PASSPHRASE = "correct horse"
ED25519 = ed25519.Ed25519PrivateKey.generate()
OTHER = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)
LARGE_RSA = rsa.generate_private_key(65537, 5120)
X25519 = pyrage.x25519.Identity.generate()
NOT_HERE = public(ed25519.Ed25519PrivateKey.generate())
PEM = serialization.PrivateFormat.TraditionalOpenSSL
PKCS8 = serialization.PrivateFormat.PKCS8

needs_age = pytest.mark.skipif(shutil.which("age") is None, reason="there is no age")


def kept(folder: Path, name: str, data: bytes) -> str:
    """A file of private keys."""
    path = folder / name
    path.write_bytes(data)
    return str(path)


def closed(*texts: str, armor: bool = False) -> bytes:
    """A secret, encrypted to these."""
    return asyncio.run(crypt.encrypt(SECRET, [parse(text) for text in texts], armor=armor))


def opened(data: bytes, keys: Keyring) -> bytes:
    """A secret, decrypted."""
    return asyncio.run(crypt.decrypt(data, keys))


class Person:
    """Who is asked for passphrases, and remembers what was asked."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, bool]] = []

    def __call__(self, path: str, again: bool) -> str | None:
        """Give the next answer."""
        self.asked.append((Path(path).name, again))
        return self.answers.pop(0)


def ring(*paths: str, ask: Ask | None = None) -> Keyring:
    """The keys of these files."""
    return crypt.read(paths, ask)


FORMS = {
    "ed25519": (ED25519, private(ED25519), None),
    "RSA": (RSA, private(RSA), None),
    "RSA in PEM": (RSA, private(RSA, form=PEM), None),
    "ed25519 in PKCS 8": (ED25519, private(ED25519, form=PKCS8), None),
    "RSA in PKCS 8": (RSA, private(RSA, form=PKCS8), None),
    "encrypted ed25519": (ED25519, private(ED25519, PASSPHRASE.encode()), PASSPHRASE),
    "encrypted RSA": (RSA, private(RSA, PASSPHRASE.encode()), PASSPHRASE),
    "encrypted RSA in PEM": (RSA, private(RSA, PASSPHRASE.encode(), PEM), PASSPHRASE),
    "encrypted RSA in PKCS 8": (RSA, private(RSA, PASSPHRASE.encode(), PKCS8), PASSPHRASE),
}


@pytest.mark.parametrize(("key", "data", "passphrase"), FORMS.values(), ids=FORMS.keys())
def test_a_private_key_of_ssh_opens(
    tmp_path: Path, key: ed25519.Ed25519PrivateKey, data: bytes, passphrase: str | None
) -> None:
    """In each form in which OpenSSH and agenix keep one; asked for at most once a session."""
    person = Person(passphrase)
    keys = ring(kept(tmp_path, "key", data), ask=person)
    for armor in (False, True):
        assert opened(closed(public(key), armor=armor), keys) == SECRET
    assert person.asked == ([("key", False)] if passphrase else [])
    assert public(key) in [one.text for one in keys.recipients]


CIPHERS = ("aes256-ctr", "aes256-cbc", "aes256-gcm@openssh.com")


@pytest.mark.parametrize("cipher", CIPHERS)
def test_a_key_that_ssh_keygen_encrypted_opens(tmp_path: Path, cipher: str) -> None:
    """A key that ssh-keygen encrypted opens; a passphrase that is no text is a wrong one."""
    path = tmp_path / "id"
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", PASSPHRASE, "-Z", cipher, "-f", str(path)]
    subprocess.run(argv, check=True)
    person = Person("\udcff", PASSPHRASE)
    data = closed(path.with_suffix(".pub").read_text())
    assert opened(data, ring(str(path), ask=person)) == SECRET
    assert person.asked == [("id", False), ("id", True)]


def test_a_key_in_a_cipher_that_is_not_known_is_said(tmp_path: Path) -> None:
    """A key in an unknown cipher is called that, and not a wrong passphrase."""
    path = tmp_path / "id"
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", PASSPHRASE, "-f", str(path)]
    subprocess.run([*argv, "-Z", "chacha20-poly1305@openssh.com"], check=True)
    data = closed(path.with_suffix(".pub").read_text())
    with pytest.raises(IdentityError, match="in a way that is not known here"):
        opened(data, ring(str(path), ask=Person(PASSPHRASE)))


def test_a_file_of_age_keys_opens(tmp_path: Path) -> None:
    """A file of several age keys opens, as ``age-keygen`` writes it."""
    text = f"# created: today\n# public key: x\n{pyrage.x25519.Identity.generate()}\n\n{X25519}\n"
    keys = ring(kept(tmp_path, "keys.txt", text.encode()))
    assert opened(closed(str(X25519.to_public())), keys) == SECRET
    assert str(X25519.to_public()) in [one.text for one in keys.recipients]


@pytest.mark.parametrize("armored", [False, True])
def test_a_file_of_age_keys_behind_a_passphrase_opens(tmp_path: Path, armored: bool) -> None:
    """A file of age keys behind a passphrase opens, as ``age --passphrase`` writes it."""
    data = by_passphrase(PASSPHRASE, f"{X25519}\n".encode())
    if armored:
        text = base64.encodebytes(data).replace(b"\n", b"")
        lines = (text[at : at + 64] for at in range(0, len(text), 64))
        data = b"\n".join([age_file.ARMOR, *lines, age_file.END, b""])
    person = Person("wrong", "\udcff", PASSPHRASE)
    keys = ring(kept(tmp_path, "keys.age", data), ask=person)
    assert opened(closed(str(X25519.to_public())), keys) == SECRET
    assert [again for _, again in person.asked] == [False, True, True]


@pytest.mark.parametrize("work", [21, 25, 40])
def test_more_work_than_is_done_here_is_no_wrong_passphrase(tmp_path: Path, work: int) -> None:
    """Nobody is told that what was typed is wrong, where it was not tried, for minutes neither."""
    data = by_passphrase(PASSPHRASE, f"{X25519}\n".encode(), work=work)
    keys = ring(kept(tmp_path, "keys.age", data), ask=Person(PASSPHRASE))
    with pytest.raises(IdentityError, match="more work"):
        opened(closed(str(X25519.to_public())), keys)


def test_the_key_that_fits_is_found_among_several(tmp_path: Path) -> None:
    """The key that opens a secret is found among several, in any order."""
    paths = [
        kept(tmp_path, "other", private(OTHER)),
        kept(tmp_path, "rsa", private(RSA)),
        kept(tmp_path, "age", str(X25519).encode()),
        kept(tmp_path, "ed25519", private(ED25519)),
    ]
    for text in (public(ED25519), public(RSA), str(X25519.to_public())):
        for order in (paths, paths[::-1]):
            assert opened(closed(NOT_HERE, text), ring(*order)) == SECRET


def test_nobody_is_asked_without_need(tmp_path: Path) -> None:
    """No passphrase is asked where another key opens, or where the encrypted one cannot."""
    person = Person()
    paths = (
        kept(tmp_path, "locked", private(ED25519, PASSPHRASE.encode())),
        kept(tmp_path, "open", private(RSA)),
    )
    keys = ring(*paths, ask=person)
    assert opened(closed(public(ED25519), public(RSA)), keys) == SECRET
    with pytest.raises(ClosedError):
        opened(closed(NOT_HERE), keys)
    assert person.asked == []


def test_whoever_declines_is_not_asked_again(tmp_path: Path) -> None:
    """A key that is left closed stays so for the session."""
    person = Person(None)
    keys = ring(kept(tmp_path, "locked", private(ED25519, PASSPHRASE.encode())), ask=person)
    for _ in range(2):
        with pytest.raises(ClosedError):
            opened(closed(public(ED25519)), keys)
    assert len(person.asked) == 1


def test_a_passphrase_that_is_wrong_too_often_ends_it(tmp_path: Path) -> None:
    """After wrong passphrases the error names the key and how to try, not what was typed."""
    person = Person("guess", "guess", "guess")
    keys = ring(kept(tmp_path, "locked", private(ED25519, PASSPHRASE.encode())), ask=person)
    with pytest.raises(IdentityError, match="locked: the passphrase was wrong 3 times") as caught:
        opened(closed(public(ED25519)), keys)
    assert caught.value.hint is not None
    assert "guess" not in caught.value.message + caught.value.hint
    assert [again for _, again in person.asked] == [False, True, True]


def test_without_a_terminal_an_encrypted_key_stays_closed(tmp_path: Path) -> None:
    """Nothing waits for an answer that cannot come; the public half is known all the same."""
    keys = ring(kept(tmp_path, "locked", private(ED25519, PASSPHRASE.encode())))
    with pytest.raises(ClosedError):
        opened(closed(public(ED25519)), keys)
    assert [one.text for one in keys.recipients] == [public(ED25519)]


def of_algorithm(name: bytes, magic: bytes = b"openssh-key-v1\0") -> bytes:
    """A file with a private key of some algorithm."""
    fields = (b"none", b"none", b"")
    public_half = struct.pack(">I", len(name)) + name
    blob = magic + b"".join(struct.pack(">I", len(one)) + one for one in fields)
    blob += struct.pack(">I", 1) + struct.pack(">I", len(public_half)) + public_half
    return b"-----BEGIN OPENSSH PRIVATE KEY-----\n%s\n-----END OPENSSH PRIVATE KEY-----\n" % (
        base64.b64encode(blob)
    )


def with_broken_half() -> bytes:
    """A private key with a sound public half, and zeros after it."""
    text = b"".join(private(ED25519).splitlines()[1:-1])
    blob = base64.b64decode(text)
    broken = base64.b64encode(blob[:100] + bytes(len(blob) - 100))
    return b"-----BEGIN OPENSSH PRIVATE KEY-----\n%s\n-----END OPENSSH PRIVATE KEY-----\n" % broken


ECDSA = ec.generate_private_key(ec.SECP256R1())
USELESS = {
    "ECDSA": (private(ECDSA), "is an ECDSA key"),
    "ECDSA in PEM": (private(ECDSA, form=PEM), "is an ECDSA key"),
    "ECDSA in PKCS 8": (private(ECDSA, form=PKCS8), "a kind that age cannot use"),
    "a token's": (of_algorithm(b"sk-ssh-ed25519@openssh.com"), "security token"),
    "an unknown kind": (of_algorithm(b"ssh-later"), "unknown kind .'ssh-later'"),
    "another format": (of_algorithm(b"ssh-ed25519", b"openssh-key-v2\0"), "malformed"),
    "no base64": (b"-----BEGIN OPENSSH PRIVATE KEY-----\nA\n", "malformed"),
    "cut off within": (b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n", "cut off"),
    "a private half that is none": (with_broken_half(), "malformed"),
    "PEM that is none": (b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n", "malformed"),
    "RSA of 1024 bits": (private(rsa.generate_private_key(65537, 1024)), "1024 bits"),  # noqa: S505
    "cut off": (private(ED25519)[:90], "malformed"),
    "a public key": (public(ED25519).encode(), "no private key"),
    "a certificate": (b"-----BEGIN CERTIFICATE-----\n", "no private key"),
    "a mistyped key of age": (str(X25519).encode()[:-1] + b"!", "malformed"),
    "binary": (bytes(range(256)), "no private key"),
    "too large": (b"\n" * (2**20 + 1), "too large"),
}


@pytest.mark.parametrize(("data", "why"), USELESS.values(), ids=USELESS.keys())
def test_a_file_that_cannot_decrypt_says_why(tmp_path: Path, data: bytes, why: str) -> None:
    """The file and the reason are named, and nothing of what it holds."""
    with pytest.raises(IdentityError, match=why) as caught:
        ring(kept(tmp_path, "key", data))
    assert "key" in caught.value.message
    assert data[40:80].decode("latin-1") not in caught.value.message or not data[40:80]


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """A key file that is missing, a folder or badly named is an error that says so."""
    for path in (str(tmp_path / "missing"), str(tmp_path), "a\0b"):
        with pytest.raises(IdentityError, match="cannot be read"):
            ring(path)


def test_the_defaults_are_agenixs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there and can be used is taken; an ECDSA key in their place is passed over."""
    assert crypt.default_paths("/root")[:2] == ("/root/.ssh/id_ed25519", "/root/.ssh/id_rsa")
    assert crypt.default_paths("/root")[2:] == (
        "/etc/ssh/ssh_host_ed25519_key",
        "/etc/ssh/ssh_host_rsa_key",
    )
    (tmp_path / ".ssh").mkdir()
    kept(tmp_path / ".ssh", "id_ed25519", private(ECDSA))
    kept(tmp_path / ".ssh", "id_rsa", private(RSA))
    keys = crypt.read_defaults(str(tmp_path))
    assert opened(closed(public(RSA)), keys) == SECRET


def test_a_file_that_was_altered_is_told_from_one_for_others(tmp_path: Path) -> None:
    """The right tag with another body, the code flipped, the payload cut: altered."""
    keys = ring(kept(tmp_path, "key", private(ED25519)))
    data = closed(public(ED25519))
    end = data.index(b"\n--- ") + 5
    altered = {
        "the payload": data[:-1] + bytes([data[-1] ^ 1]),
        "cut": data[:-1],
        "a newline": data + b"\n",
        "the code": data[:end] + (b"A" if data[end : end + 1] != b"A" else b"B") + data[end + 1 :],
    }
    for name, file in altered.items():
        with pytest.raises(DamagedError, match="altered"):
            opened(file, keys)
        assert name
    with pytest.raises(ClosedError) as caught:
        opened(closed(NOT_HERE), keys)
    assert not isinstance(caught.value, DamagedError)


def test_a_forged_stanza_for_one_key_does_not_hide_the_others(tmp_path: Path) -> None:
    """A forged stanza for one key does not keep another key from opening the file."""
    both = ring(
        kept(tmp_path, "a", private(ED25519)),
        kept(tmp_path, "b", str(X25519).encode()),
    )
    tag = parse(public(ED25519)).tag
    assert tag is not None
    forged = b"-> ssh-ed25519 %s %s\n%s\n" % (
        age_file.base64_encode(tag),
        age_file.base64_encode(bytes([9] + [0] * 31)),
        age_file.base64_encode(bytes(32)),
    )
    keys = ring(kept(tmp_path, "a", private(ED25519)), kept(tmp_path, "c", str(IDENTITY).encode()))
    assert opened(written(forged + own_stanza()), keys) == PLAINTEXT
    with pytest.raises(DamagedError):
        opened(written(forged + own_stanza()), both)


def test_what_is_no_age_file_is_not_opened(tmp_path: Path) -> None:
    """The format is looked at before a library is given it: its cost is bounded."""
    keys = ring(kept(tmp_path, "key", private(ED25519)))
    for data in (b"", b"age-encryption.org/v1\n" + b"-> x\n\n" * 400_000):
        with pytest.raises(AgeFormatError):
            opened(data, keys)


def test_nothing_prints_a_key(tmp_path: Path) -> None:
    """No key is printed, whether it is open or not."""
    data = private(ED25519, PASSPHRASE.encode())
    found = (
        *identities.read(kept(tmp_path, "a", data)),
        *identities.read(kept(tmp_path, "b", str(X25519).encode())),
    )
    for one in found:
        assert "AGE-SECRET" not in repr(one)
        assert data.decode().splitlines()[1] not in repr(one)


def test_hardware_keys_are_encrypted_to_without_a_plugin() -> None:
    """Keys with a tag, also those that are safe against quantum computers."""
    point = ECDSA.public_key()
    short, long = (
        point.public_bytes(serialization.Encoding.X962, form)
        for form in (
            serialization.PublicFormat.CompressedPoint,
            serialization.PublicFormat.UncompressedPoint,
        )
    )
    texts = (bech32_text("age1tag", short), bech32_text("age1tagpq", bytes(1184) + long))
    for text in texts:
        stanzas = header.parse(closed(text)).stanzas
        assert True in [is_for(one, parse(text)) for one in stanzas]
    with pytest.raises(StepError, match="'postquantum' alongside"):
        closed(*texts)


def test_a_secret_has_a_recipient() -> None:
    """To encrypt a secret to no recipient at all is an error."""
    with pytest.raises(ValueError, match="recipient"):
        asyncio.run(crypt.encrypt(SECRET, [], armor=False))


@needs_age
@pytest.mark.parametrize("armor", [False, True])
def test_age_opens_what_we_write(tmp_path: Path, armor: bool) -> None:
    """``age`` opens what we write with the key of each recipient."""
    keys = {
        "ed25519": (public(ED25519), private(ED25519)),
        "rsa": (public(RSA), private(RSA)),
        "x25519": (str(X25519.to_public()), f"{X25519}\n".encode()),
    }
    data = closed(*(text for text, _ in keys.values()), armor=armor)
    for name, (_, key) in keys.items():
        argv = ["age", "--decrypt", "--identity", kept(tmp_path, name, key)]
        done = subprocess.run(argv, input=data, capture_output=True, check=True)
        assert done.stdout == SECRET


@needs_age
@pytest.mark.parametrize("armor", [(), ("--armor",)])
def test_we_open_what_age_writes(tmp_path: Path, armor: tuple[str, ...]) -> None:
    """Each recipient with its own key; also an empty secret and one of several chunks."""
    texts = (public(ED25519), public(RSA), str(X25519.to_public()))
    argv = ["age", *armor, *(word for text in texts for word in ("-r", text))]
    for secret in (SECRET, b"", bytes(200_000)):
        data = subprocess.run(argv, input=secret, capture_output=True, check=True).stdout
        for key in (private(ED25519), private(RSA), str(X25519).encode()):
            assert opened(data, ring(kept(tmp_path, "key", key))) == secret


@pytest.fixture
def argvs(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Every command that is run."""
    seen: list[Sequence[str]] = []
    really = process.run

    async def noted(argv: Sequence[str], **rest: object) -> process.CommandResult:
        seen.append(argv)
        return await really(argv, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(process, "run", noted)
    return seen


@needs_age
def test_what_the_library_refuses_goes_through_age(
    tmp_path: Path, argvs: list[Sequence[str]]
) -> None:
    """An RSA key of more than 4096 bits, to encrypt and to decrypt; no argument is a plaintext."""
    assert not age_file.takes(parse(public(LARGE_RSA)))
    data = closed(public(LARGE_RSA), public(ED25519), armor=True)
    assert len(argvs) == 1
    assert not any("nobody" in word for word in argvs[0])
    for key, commands in ((ED25519, 1), (LARGE_RSA, 2)):
        assert opened(data, ring(kept(tmp_path, "key", private(key)))) == SECRET
        assert len(argvs) == commands


def test_what_only_age_can_use_behind_a_passphrase_is_said(tmp_path: Path) -> None:
    """What only age can use behind a passphrase is said, and no private key gets into a file."""
    path = kept(tmp_path, "key", private(LARGE_RSA, PASSPHRASE.encode()))
    keys = ring(path, ask=Person(PASSPHRASE))
    stanza = b"-> ssh-rsa %s\n\n" % age_file.base64_encode(parse(public(LARGE_RSA)).tag or b"")
    with pytest.raises(IdentityError, match="only the age program"):
        opened(written(stanza), keys)


@needs_age
def test_what_age_cannot_do_either_is_said() -> None:
    """A plugin that is not there: what age says, and what to install; never the plaintext."""
    with pytest.raises(StepError, match="age could not encrypt") as caught:
        closed(bech32_text("age1no-such-plugin", bytes(9)))
    assert "plugin" in (caught.value.hint or "")
    assert "nobody" not in f"{caught.value.command}{caught.value.stderr}{caught.value.message}"


def test_without_age_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key needs the program, and it is not there."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(StepError, match="age could not be started") as caught:
        closed(bech32_text("age1no-such-plugin", bytes(9)))
    assert "install age" in (caught.value.hint or "")


@needs_age
def test_a_plugins_key_is_given_to_age_only_where_it_may_help(
    tmp_path: Path, argvs: list[Sequence[str]]
) -> None:
    """A file that is for SSH keys alone is not for a plugin's."""
    plugin = bech32_text("AGE-PLUGIN-NO-SUCH-".lower(), bytes(9)).upper()
    keys = ring(kept(tmp_path, "plugin", plugin.encode()))
    with pytest.raises(ClosedError, match="not for any"):
        opened(closed(NOT_HERE), keys)
    assert argvs == []
    with pytest.raises(ClosedError, match="by age"):
        opened(written(own_stanza() + b"-> no-such\n\n"), keys)
    assert len(argvs) == 1
