"""Where a secret's value stands in the clear, or thinly disguised. No value is ever told."""

from __future__ import annotations

import base64
import sys
import urllib.parse
from collections.abc import Iterator, Mapping

SHORTEST = 8
"""Bytes; a shorter value stands in many a file by chance."""

LONGEST = 2**16
"""Bytes; a larger one is no value that somebody copied by hand."""

_WORD = 4
_COVERED = 2 * _WORD - 1


def forms(plaintext: bytes) -> tuple[bytes, ...]:
    """The ways in which a value may stand in a file; none of one too short or too long to tell.

    As it is, in base64 and in hexadecimal, as a URL has it, as a string of Nix, of JSON or of a
    derivation does, and as JSON in a derivation does.
    """
    value = plaintext.strip()
    if not SHORTEST <= len(value) <= LONGEST:
        return ()
    found = (
        value,
        _quoted(value),
        _quoted(_quoted(value)),
        _base64(value),
        _base64(value + b"\n"),
        value.hex().encode(),
        value.hex().upper().encode(),
        urllib.parse.quote_from_bytes(value, safe="").encode(),
    )
    return tuple(dict.fromkeys(found))


def _quoted(value: bytes) -> bytes:
    return value.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")


def _base64(value: bytes) -> bytes:
    """Without the last sign, which depends on what follows."""
    return base64.b64encode(value).rstrip(b"=")[:-1]


class KnownValues:
    """All values, looked for in one pass over a text, however many they are.

    A text is taken as words of four bytes. Wherever a form stands in it, seven bytes in a row of
    the form have one whole word of the text in them: one of four that are known beforehand. Only
    the forms of a word that is met are then looked for.

    Args:
        values: A secret's path → its value's forms, of :data:`SHORTEST` bytes or more.
    """

    def __init__(self, values: Mapping[str, tuple[bytes, ...]]) -> None:
        self._forms: dict[int, list[tuple[str, bytes]]] = {}
        for secret, wanted in values.items():
            for form in wanted:
                for word in _words_within(form):
                    self._forms.setdefault(word, []).append((secret, form))
        self._words = frozenset(self._forms)

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._words)

    def within(self, text: bytes) -> frozenset[str]:
        """The paths of the secrets whose values stand in a text."""
        whole = len(text) - len(text) % _WORD
        met = self._words.intersection(memoryview(text)[:whole].cast("I"))
        found: set[str] = set()
        for word in met:
            for secret, form in self._forms[word]:
                if secret not in found and form in text:
                    found.add(secret)
        return frozenset(found)


def _words_within(form: bytes) -> set[int]:
    """The words in a form's middle, where one differs from others most: keys begin all alike."""
    first = (len(form) - _COVERED) // 2
    starts = range(first, first + _WORD)
    return {int.from_bytes(form[at : at + _WORD], sys.byteorder) for at in starts}


def standing(known: KnownValues, files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Tell in which files values stand.

    Args:
        known: The values.
        files: A file's path → what is in it.

    Yields:
        The file's path and the secret's.
    """
    for path, data in sorted(files.items()):
        for secret in sorted(known.within(data)):
            yield path, secret
