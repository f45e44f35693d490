"""The question: what is on a host that a configuration may know. POSIX sh, read-only.

Its answer is lines of fields between tabs, which ``plan/answer.py`` reads; the first field says
what the line is. Names that users of the host choose never begin a line of their own: a newline in
one is printed as ``?``. Each part has a bound in lines and in seconds, and says ``cut`` where it
reached one. Without root most parts are said to be unseen.
"""

from __future__ import annotations

from pathlib import Path

_PARTS = ("question.sh", "question_files.sh")

QUESTION = "".join(Path(__file__).with_name(part).read_text() for part in _PARTS)
"""See this file's beginning."""
