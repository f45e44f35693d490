"""What is kept in files: values as JSON, and back. Nothing damaged is ever believed.

msgspec reads into the very types that the code uses, and checks each value against them.
"""

from __future__ import annotations

import json
import re
import threading
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Struct

T = TypeVar("T")

Time = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its zone: one without could be compared with nothing."""


_YEARS = range(1970, 9000)


def check_times(*times: datetime | None) -> None:
    """Refuse times that cannot be: in another zone they might have no year at all.

    Raises:
        ValueError: There is such a one.
    """
    for time in times:
        if time is not None and time.year not in _YEARS:
            raise ValueError(f"a time that cannot be: {time}")


class DamagedError(ValueError):
    """What was kept cannot be read: cut off, too large, or of other types than it should be.

    The message is a fact about it: ``tries: expected a whole number, not a text``.
    """


class NewerError(DamagedError):
    """What was kept is of a newer version, and so cannot be judged."""


def kebab(name: str) -> str:
    """Name a class in a file: ``RunStarted`` is ``run-started``."""
    return re.sub(r"(?<=.)(?=[A-Z])", "-", name).lower()


def snake(name: str) -> str:
    """Name a class in a file: ``RolledBack`` is ``rolled_back``."""
    return kebab(name).replace("-", "_")


def encode(value: object) -> bytes:
    """Say a value in one line of JSON, without the newline."""
    return _encoded(value, None)


def pretty(value: object) -> bytes:
    """Say a value in lines, sorted: so that git shows and merges what changed."""
    return msgspec.json.format(_encoded(value, "deterministic"), indent=2) + b"\n"


def _encoded(value: object, order: Literal["deterministic"] | None) -> bytes:
    try:
        return msgspec.json.encode(value, enc_hook=_as_text, order=order)
    except UnicodeEncodeError:  # half a surrogate pair, such as of a file's name that is no UTF-8
        plainer = msgspec.to_builtins(value, enc_hook=_as_text, order=order)
        return json.dumps(plainer, ensure_ascii=False).encode(errors="replace")


def decode(kind: type[T], data: bytes | memoryview, newest: int | None = None) -> T:
    """Read a value.

    Args:
        kind: Its type.
        data: What :func:`encode` made of it.
        newest: The newest version that can be read, where ``version`` or ``format`` says which it
            is: a newer one may have other fields.

    Raises:
        NewerError: It is of a newer version.
        DamagedError: It is no such value; the message says where.
    """
    if newest is not None and (found := _read(_Version, data).number) > newest:
        raise NewerError(f"version {found} is of a newer orchestrator")
    return _read(kind, data)


def _read(kind: type[T], data: bytes | memoryview) -> T:
    try:
        return _decoder(kind).decode(data)
    except RecursionError:
        raise DamagedError("it is too deep") from None
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        raise DamagedError(_plainly(str(error))) from None


class _Version(Struct, frozen=True):
    version: int = 0
    format: int = 0

    @property
    def number(self) -> int:
        return self.version or self.format


_LONGEST = 300
"""Characters of what is wrong: it may quote what a stranger wrote."""

_WORDS = {
    "array": "a list",
    "bool": "true or false",
    "datetime": "a time",
    "float": "a decimal number",
    "int": "a whole number",
    "object": "a mapping",
    "str": "a text",
}


def _plainly(text: str) -> str:
    """Say what msgspec says in a person's words, the place first: ``hosts[...].at: …``."""
    what, at, where = text.rpartition(" - at ")
    what = (what if at else text)[:_LONGEST]
    where = where.removeprefix("`key` in ").strip("`").removeprefix("$").lstrip(".") if at else ""
    if missing := re.fullmatch("Object missing required field `(.+)`", what):
        return f"{where}.{missing[1]} is missing" if where else f"{missing[1]} is missing"
    if what.startswith("'utf-8'"):
        return "it is no UTF-8"
    if what == "Input data was truncated":
        return "it is cut off"
    if what.startswith("JSON is malformed"):
        return re.sub(r"JSON is malformed: .*\((byte \d+)\)", r"it is no JSON from \1 on", what)
    what = re.sub("`([^`]+)`", lambda kind: _type_text(kind[1]), what)
    what = re.sub("^Expected (.+), got ", r"expected \1, not ", what)
    what = re.sub("^Invalid (enum )?value", "unknown value", what)
    what = what[:1].lower() + what[1:]
    return f"{where}: {what}" if where else what


def _type_text(kinds: str) -> str:
    return " or ".join(_WORDS.get(kind, kind) for kind in kinds.split(" | "))


def _as_text(value: object) -> object:
    """Say a path, which JSON has no form for."""
    if (path := getattr(value, "__fspath__", None)) is None:
        raise TypeError(f"{type(value).__name__} is nothing that is kept")
    return path()


def _from_text(kind: type, value: object) -> object:
    if not (hasattr(kind, "__fspath__") and isinstance(value, str)):
        raise ValueError(f"expected a {kind.__name__.lower()}")
    return kind(value)


_DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {}
_BUILDING = threading.Lock()


def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """Give the reader of a type.

    One thread at a time builds what msgspec keeps of types: it crashes (0.22) where another one
    meets a type that is half built.
    """
    if (found := _DECODERS.get(kind)) is None:
        with _BUILDING:
            found = _DECODERS.setdefault(kind, msgspec.json.Decoder(kind, dec_hook=_from_text))
    return found


def plain(value: object) -> Any:
    """Say a value in what :func:`json.dumps` knows."""
    return msgspec.to_builtins(value)
