"""What a file is that does not begin as an age file begins."""

from __future__ import annotations

from orchestrator.secrets.age.errors import AgeFormatError
from orchestrator.secrets.model.ciphertext import FormatFault

INTRO = b"age-encryption.org/"
ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"

_LOOKED_AT = 1024
_LONGEST_VERSION = 32

_BEGINNINGS = (
    (b"\xef\xbb\xbf", FormatFault.BYTE_ORDER_MARK, "begins with a byte order mark"),
    (b"\xff\xfe", FormatFault.UTF16, "was converted to UTF-16"),
    (b"\xfe\xff", FormatFault.UTF16, "was converted to UTF-16"),
    (b"a\0g\0e\0", FormatFault.UTF16, "was converted to UTF-16"),
    (b"\0a\0g\0e", FormatFault.UTF16, "was converted to UTF-16"),
    (
        b"version https://git-lfs.github.com/spec/",
        FormatFault.LFS_POINTER,
        "is a Git LFS pointer: the file itself was not fetched",
    ),
    (b"\0GITCRYPT\0", FormatFault.GIT_CRYPT, "is encrypted by git-crypt, not by age"),
    (b"AGE-SECRET-KEY-", FormatFault.PRIVATE_KEY, "is an unencrypted private key of age"),
)
_CONFLICT = (b"<<<<<<< ", b"=======\n", b">>>>>>> ")


def is_conflict(line: bytes) -> bool:
    """Whether a text begins with what a failed merge of Git's leaves behind."""
    return line.startswith(_CONFLICT) or line == b"======="


def unmask(data: bytes) -> AgeFormatError:
    """Name what a file is, given its beginning.

    Args:
        data: The beginning of a file that does not begin with age's first line.
    """
    start = data[:_LOOKED_AT]
    if not start.strip():
        what = "holds nothing but white space" if start else "is empty"
        return AgeFormatError(FormatFault.EMPTY, what)
    for beginning, fault, what in _BEGINNINGS:
        if start.startswith(beginning):
            return AgeFormatError(fault, what)
    if is_conflict(start):
        return AgeFormatError(FormatFault.CONFLICT, "holds the markers of a merge conflict")
    if start.startswith(INTRO) or INTRO.startswith(start):
        return _first_line(start)
    return _something_else(start)


def _first_line(start: bytes) -> AgeFormatError:
    version, end, _ = start.removeprefix(INTRO).partition(b"\n")
    if not end:
        return AgeFormatError(FormatFault.CUT_HEADER, "is cut off within its first line")
    if version == b"v1\r":
        return AgeFormatError(FormatFault.CRLF, "had its line ends converted to CRLF")
    name = version[:_LONGEST_VERSION].decode("ascii", "replace")
    text = f"is of version {name!r} of the age format; only v1 is known"
    return AgeFormatError(FormatFault.VERSION, text)


def _something_else(start: bytes) -> AgeFormatError:
    if b" PRIVATE KEY-----" in start.partition(b"\n")[0]:
        return AgeFormatError(FormatFault.PRIVATE_KEY, "is an unencrypted private key")
    for beginning in (INTRO, ARMOR):
        before = start.find(beginning)
        if before > 0:
            text = f"has {before} bytes before the beginning of its age file"
            return AgeFormatError(FormatFault.NOT_AGE, text)
    if _is_text(start):
        return AgeFormatError(FormatFault.PLAINTEXT, "is not encrypted: it is plain text")
    return AgeFormatError(FormatFault.NOT_AGE, "is no age file")


def _is_text(start: bytes) -> bool:
    """Whether it reads as text; a character may be cut off at the end of what is looked at."""
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if len(start) < _LOOKED_AT or error.start < _LOOKED_AT - 4:
            return False
        text = start[: error.start].decode()
    return all(character.isprintable() or character in "\t\n\r\f" for character in text)
