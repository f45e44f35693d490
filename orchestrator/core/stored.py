"""What is kept in files: values as JSON, and back. Nothing damaged is ever believed.

msgspec reads into the very types that the code uses, and checks each value against them.
"""

from __future__ import annotations

import json
import re
import threading
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec

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
    """What was kept cannot be read: cut off, too large, or of other types than it should be."""


def kebab(name: str) -> str:
    """Name a class in a file: ``RunStarted`` is ``run-started``."""
    return re.sub(r"(?<=.)(?=[A-Z])", "-", name).lower()


def snake(name: str) -> str:
    """Name a class in a file: ``RolledBack`` is ``rolled_back``."""
    return kebab(name).replace("-", "_")


def encode(value: object) -> bytes:
    """Say a value in one line of JSON, without the newline."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # half a surrogate pair, such as of a file's name that is no UTF-8
        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
        return text.encode(errors="replace")


def decode(kind: type[T], data: bytes | memoryview) -> T:
    """Read a value.

    Raises:
        DamagedError: It is no such value; the message says where.
    """
    try:
        return _decoder(kind).decode(data)
    except RecursionError:
        raise DamagedError("it is too deep") from None
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        raise DamagedError(str(error)) from None


_DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {}
_BUILDING = threading.Lock()


def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """Give the reader of a type.

    One thread at a time builds what msgspec keeps of types: it crashes (0.22) where another one
    meets a type that is half built.
    """
    if (found := _DECODERS.get(kind)) is None:
        with _BUILDING:
            found = _DECODERS.setdefault(kind, msgspec.json.Decoder(kind))
    return found


def plain(value: object) -> Any:
    """Say a value in what :func:`json.dumps` knows."""
    return msgspec.to_builtins(value)
