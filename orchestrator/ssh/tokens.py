"""What the tokens, variables and ``~`` in options of ``ssh_config`` stand for: ssh_config(5)."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import socket
from collections.abc import Mapping, Sequence

from orchestrator.core.errors import StepError
from orchestrator.core.machine import home, user_name
from orchestrator.ssh.said import Said

SHELL = "/bin/sh"
TAME = re.compile(r"%|(?!-)[A-Za-z0-9_.:@%+,/=-]*")
"""What may stand in a name that a shell is given: the inventory is another's, it may be hostile."""


def tokens_of(said: Said, alias: str) -> dict[str, str]:
    """What the tokens stand for that all options take: ssh_config(5), TOKENS."""
    return {
        "%": "%",
        "h": said.host,
        "k": alias or said.target.address,
        "n": said.target.address,
        "p": str(said.port),
        "r": said.user,
    }


def expanded(said: Said, option: str, text: str, tokens: dict[str, str]) -> str:
    """Put in what tokens stand for.

    Raises:
        StepError: There is one that is not known here; ssh may not know it either.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] not in tokens:
            raise refused(said, f"%{found[1]} in {option}, which is not supported", "write it out")
        return tokens[found[1]]

    return re.sub(r"%(.?)", value, text, flags=re.DOTALL)


_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def files_named(said: Said, option: str, values: Sequence[str]) -> list[str]:
    """The files that an option names, its tokens, variables and ``~`` put in as ssh does.

    Raises:
        StepError: There is a token that is not known here, or a variable that is not set.
    """
    named = [value for value in values if value.lower() != "none"]
    if not named:
        return []
    tokens = all_tokens_of(said)
    return [_file_named(said, option, value, tokens) for value in named]


def _file_named(said: Said, option: str, text: str, tokens: dict[str, str]) -> str:
    # Not Path's, for which ``~nobody`` is a bug.
    whole = os.path.expanduser(text)  # noqa: PTH111
    return with_variables(said, option, expanded(said, option, whole, tokens))


def command_argv(said: Said, option: str, text: str, tokens: Mapping[str, str]) -> tuple[str, ...]:
    """The argv of a command that ssh gives to no shell: split first, then its tokens put in.

    Raises:
        StepError: ssh would not run it, or here it may mean something else.
    """
    try:
        # A backslash is not to ssh what it is to Python; a comment is none to either.
        words = [] if "\\" in text else shlex.split(text)
    except ValueError:
        words = []
    if not words:
        why = f"{option} {text}: it has quotes that do not match, a backslash, or nothing at all"
        raise refused(said, why, "have a script of it, and name that")
    program, *rest = words
    if not program.startswith("/"):
        raise refused(said, f"{option} {text}: it has no whole path", "give it one, as to ssh")
    known = {**all_tokens_of(said), **tokens}
    return program, *(
        with_variables(said, option, expanded(said, option, one, known)) for one in rest
    )


def with_variables(said: Said, option: str, text: str) -> str:
    """Put in environment variables, which stand as ``${NAME}``; ssh refuses one that is not set.

    Raises:
        StepError: It is not set.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise refused(said, f"{found[0]} in {option}, which is not set", f"export {found[1]}")
        return os.environ[found[1]]

    return _VARIABLE.sub(value, text)


def all_tokens_of(said: Said) -> dict[str, str]:
    """What the tokens stand for in options that name files, or a command that is no shell's.

    ``%C`` has jump hosts in it with some versions of ssh, and not with others: it is not known
    where there are any.
    """
    here = socket.gethostname()
    tokens = {
        **tokens_of(said, said.answer.one("hostkeyalias")),
        "d": str(home()),
        "i": str(os.getuid()),
        "j": said.jump,
        "l": here,
        "L": here.partition(".")[0],
        "u": user_name(),
    }
    if not said.jump:
        whole = f"{here}{said.host}{said.port}{said.user}"
        tokens["C"] = hashlib.sha1(whole.encode(), usedforsecurity=False).hexdigest()
    return tokens


def refused(said: Said, why: str, hint: str) -> StepError:
    """Say what of ssh_config is not supported, and what to do about it."""
    return StepError(f"ssh_config has {why}: {said.target.address} is not contacted", hint=hint)
