"""A run's secrets: gathered before, tried on the host by the keys that it has."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.host.scripts import script
from orchestrator.host.setup import Setup
from orchestrator.secrets.age import keys as age_keys
from orchestrator.secrets.model.ciphertext import Recipient
from orchestrator.secrets.model.repository import Identity, Trial

if TYPE_CHECKING:
    from orchestrator.secrets.plan.evidence import Evidence


class RunSecrets:
    """One run's knowledge of secrets.

    Args:
        setup: The fleet.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._gathering = asyncio.Lock()
        self._evidence: Evidence | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The fleet's files of rules."""
        from orchestrator.secrets.place import rules_of

        return rules_of(self._setup.fleet)

    @property
    def uses_sops(self) -> bool:
        """Whether the fleet has a ``.sops.yaml``."""
        from orchestrator.secrets.place import uses_sops

        return uses_sops(Path(self._setup.fleet.root))

    async def evidence(self) -> Evidence:
        """All that is known without a host, where there are rules.

        Raises:
            RulesError: The only ``secrets.nix`` says nothing usable.
            StepError: git refused.
            UsageError: What was written down beside it cannot be used.
        """
        # What reads secrets takes long to import, and a run that changes nothing does without.
        from orchestrator.secrets.gather import Context, gather
        from orchestrator.secrets.place import place_of

        async with self._gathering:
            if self._evidence is None:
                context = Context(self._setup.fleet, self._setup.ssh, setup=self._setup)
                self._evidence = await gather(
                    await place_of(*self.files, fleet=self._setup.fleet), context
                )
        return self._evidence


_SECONDS = 120.0
"""An RSA key opens some eighty a second, and a host may have hundreds."""

# For each argument, in order: what an identity's file holds. What `ssh-keygen` cannot read without
# asking is not known: it may be age's own.
# $1… paths
IDENTITIES = r"""
for path; do
  if ! [ -r "$path" ] || ! [ -s "$path" ]; then
    echo identity=missing
  elif public=$(ssh-keygen -y -P '' -f "$path" 2> /dev/null < /dev/null); then
    # A key's comment is its owner's, and one line of it is enough.
    printf 'identity=%s\n' "$(printf '%s' "$public" | head -n 1)"
  else
    echo identity=
  fi
done
echo end=
"""

# Open each file on standard input, for nothing, as agenix will: by those identities that are there.
# The program is words of the shell, as agenix's activation takes it: `PATH=$PATH:… age`.
# $1 age  $2… paths of identities
TRIAL = r"""
age=$1
shift
left=$#
while [ "$left" -gt 0 ]; do
  path=$1
  shift
  left=$((left - 1))
  if [ -r "$path" ] && [ -s "$path" ]; then set -- "$@" -i "$path"; fi
done
while IFS= read -r file; do
  if said=$({ eval "$age"' --decrypt "$@" "$file"' < /dev/null > /dev/null; } 2>&1); then
    echo opened=yes
  else
    printf 'opened=%s\n' "${said:-no} " | tr '\n' ' '
    echo
  fi
done
echo end=
"""


async def ask_identities(executor: Executor, paths: Sequence[str]) -> tuple[Identity, ...]:
    """Ask what keys a host has where its configuration looks for them.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host did not answer to the end.
    """
    said = await _ask(executor, script(IDENTITIES, *paths), "identity", len(paths), b"")
    return tuple(
        Identity(path, there=word != "missing", public=_public(word))
        for path, word in zip(paths, said, strict=True)
    )


async def try_to_open(
    executor: Executor, program: str, identities: Sequence[str], files: Sequence[str]
) -> tuple[Trial, ...]:
    """Have a host open encrypted files, as root, with the age that it will do it with.

    Args:
        executor: The way to the host.
        program: The ``age`` there, as ``age.ageBin`` has it: words of the shell.
        identities: Paths of private keys there.
        files: Paths of encrypted files there.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host did not answer to the end.
    """
    argv = script(TRIAL, program, *identities)
    stdin = "".join(f"{file}\n" for file in files).encode()
    said = await _ask(executor, argv, "opened", len(files), stdin)
    return tuple(
        Trial(file, error=None if word == "yes" else word.strip())
        for file, word in zip(files, said, strict=True)
    )


def _public(text: str) -> Recipient | None:
    try:
        return age_keys.parse(text)
    except ValueError:
        return None


async def _ask(
    executor: Executor, argv: Sequence[str], key: str, count: int, stdin: bytes
) -> list[str]:
    """Run a script that says one ``key=word`` for each of its subjects, and ``end=``."""
    done = await executor.run(argv, deadline=_SECONDS, stdin=stdin)
    lines = done.out.split("\n")
    words = [line.removeprefix(f"{key}=") for line in lines if line.startswith(f"{key}=")]
    if "end=" not in lines or len(words) != count:
        raise StepError(
            f"the host did not say whether it can open its secrets (exit {done.rc})",
            stderr=done.err,
        )
    return words
