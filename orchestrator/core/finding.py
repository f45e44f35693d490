"""What a check of this machine found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Grade(Enum):
    """How a finding is to be taken."""

    GOOD = "good"
    LESS = "less"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One of the things that the orchestrator needs or would like.

    Attributes:
        what: The thing, such as ``Nix``.
        grade: Whether it is there, would be better, or is needed and missing.
        text: What was found.
        hint: What to do about it.
    """

    what: str
    grade: Grade
    text: str
    hint: str = ""
