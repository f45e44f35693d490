"""What a host can open of its secrets: its identities' public halves, and a decryption for trial.

A plaintext goes to ``/dev/null`` there, and no private key leaves the host.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.host.scripts import script
from orchestrator.secrets.age import keys as recipients
from orchestrator.secrets.model.ciphertext import Recipient
from orchestrator.secrets.model.repository import Identity, Trial

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
        return recipients.parse(text)
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
