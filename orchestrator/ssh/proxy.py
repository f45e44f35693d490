"""``ProxyCommand``, run as ssh runs it: by the person's shell, tokens expanded by ssh_config(5)."""

from __future__ import annotations

import os
import re

from orchestrator.core.errors import StepError
from orchestrator.ssh.said import Said

_SHELL = "/bin/sh"
_TAME = re.compile(r"%|(?!-)[A-Za-z0-9_.:@%+,/=-]*")
"""What may stand in a name that a shell is given: the inventory is another's, it may be hostile."""


def proxy_command(said: Said, alias: str) -> list[str] | None:
    """The argv of what connects to a host.

    Args:
        said: What ssh says of it.
        alias: Its ``HostKeyAlias``.

    Raises:
        StepError: Here it would not mean what it means to ssh.
    """
    if not said.command:
        return None
    if said.answer.one("proxyusefdpass") == "yes":
        raise _refused(said, "ProxyUseFdpass is not supported", "have the command move the bytes")
    tokens = tokens_of(said, alias)
    for name, value in tokens.items():
        if f"%{name}" in said.command and not _TAME.fullmatch(value):
            raise _refused(said, f"%{name} in ProxyCommand, which is {value!r}", "rename it")
    text = expanded(said, "ProxyCommand", said.command, tokens)
    return [os.environ.get("SHELL") or _SHELL, "-c", f"exec {text}"]


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
            raise _refused(said, f"%{found[1]} in {option}, which is not supported", "write it out")
        return tokens[found[1]]

    return re.sub(r"%(.?)", value, text, flags=re.DOTALL)


def _refused(said: Said, why: str, hint: str) -> StepError:
    return StepError(f"ssh_config has {why}: {said.target.address} is not contacted", hint=hint)
