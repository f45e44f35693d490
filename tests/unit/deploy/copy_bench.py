"""A host that is a folder of this machine, and a ``nix-store`` whose store is a folder."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from orchestrator.core import process
from orchestrator.core.executor import Stream
from orchestrator.core.process import CommandResult

FAKE_NIX_STORE = r"""#!/bin/sh
# A store is a folder: PATH's base name -> its export. $STORE is the one that is meant.
echo "$*" >> "$STORE/log"
case $1 in
--export)
  shift
  for path; do
    [ -e "$STORE/${path##*/}" ] || { echo "error: path '$path' is not valid" >&2; exit 1; }
    cat "$STORE/${path##*/}"
  done
  printf '\0\0\0\0\0\0\0\0' ;;
--import)
  cat > "$STORE/imported"
  [ -e "$STORE/full" ] || exit 0
  echo "error: writing to file: No space left on device" >&2; exit 1 ;;
--check-validity)
  shift
  [ "$1" = --print-invalid ] || { [ -e "$STORE/${1##*/}" ]; exit; }
  shift
  for path; do [ -e "$STORE/${path##*/}" ] || echo "$path"; done ;;
--query) cat "$STORE/said$2" ;;
esac
"""


def fake_nix(patch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Put a fake ``nix-store`` on the ``PATH``; gives the folder that is this machine's store."""
    programs, store = folder / "bin", folder / "store"
    programs.mkdir()
    store.mkdir()
    (programs / "nix-store").write_text(FAKE_NIX_STORE)
    (programs / "nix-store").chmod(0o755)
    patch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    patch.setenv("STORE", str(store))
    return store


class FolderHost:
    """An executor whose commands run here, with another folder as their store."""

    def __init__(self, store: Path) -> None:
        store.mkdir(exist_ok=True)
        self.store = store
        self._env = {"STORE": str(store)}

    async def run(
        self, argv: Sequence[str], *, deadline: float, root: bool = True, stdin: bytes = b""
    ) -> CommandResult:
        """Run it here."""
        assert root
        return await process.run(argv, deadline=deadline, stdin=stdin, env=self._env)

    @contextlib.asynccontextmanager
    async def open(self, argv: Sequence[str]) -> AsyncIterator[Stream]:
        """Start it here."""
        async with process.started(argv, self._env) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            yield Stream(child.stdin, child.stdout, child.wait)

    @contextlib.asynccontextmanager
    async def nix_store(self) -> AsyncIterator[str]:
        """No test of these needs it."""
        yield "unix:///nowhere"

    def repeat(self, argv: Sequence[str]) -> str:
        """A command line."""
        return shlex.join(("ssh", "host", *argv))
