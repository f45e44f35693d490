"""A person's editor on a plaintext, in a private folder, without traces anywhere else."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from orchestrator.core import process
from orchestrator.core.errors import StepError, UsageError
from orchestrator.core.process import how_it_ended
from orchestrator.secrets.files.plaintext import private_folder

MOST = 64 * 2**20
"""Bytes that a secret may have."""

# With -c, after the user's vimrc, which wins over --cmd. -n: the swap file is made before any -c.
_VIM = (
    "-n",
    "-c",
    "silent! set nobackup nowritebackup patchmode= | silent! set noundofile | "
    "silent! set viminfo= | silent! set shada= | silent! set nofixendofline",
)
_ASK_A_SERVER = frozenset(
    ("atom", "code", "code-insiders", "codium", "cursor", "emacsclient", "gedit", "subl", "zed")
)


def editor_of(env: Mapping[str, str]) -> tuple[str, ...]:
    """The editor's command line: ``$VISUAL``, ``$EDITOR``, ``vi``; split as a shell would.

    Raises:
        UsageError: It cannot be split, or there is no such program.
    """
    name = next((name for name in ("VISUAL", "EDITOR") if env.get(name, "").strip()), None)
    text = env[name] if name else "vi"
    try:
        argv = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"${name} is {text!r}: {error}") from error
    if not argv or shutil.which(argv[0], path=env.get("PATH")) is None:
        raise UsageError(
            f"there is no editor {text!r}" + (f" (${name})" if name else ""),
            hint="set $EDITOR, or give the secret on standard input",
        )
    return argv


def edit(
    plaintext: bytes,
    name: str,
    env: Mapping[str, str],
    *,
    warn: Callable[[str], None],
) -> bytes:
    """Have a person change a plaintext, and give it back as they left it.

    Args:
        plaintext: What it is now; empty for a new secret.
        name: The secret's path; the editor sees its last part without ``.age``.
        env: The environment: the editor, and where memory is.
        warn: Called with what the person should know before they type.

    Raises:
        UsageError: There is no editor, or no place in memory.
        StepError: The editor failed, or left no file, a file that is too large.
    """
    argv = editor_of(env)
    program = Path(shutil.which(argv[0], path=env.get("PATH")) or argv[0])
    with private_folder(env, shared=program.name in _ASK_A_SERVER) as private:
        for warning in private.warnings:
            warn(warning)
        file = private.path / _file_name(name)
        _write(file, plaintext)
        options = _VIM if "vim" in program.resolve().name else ()
        # What an editor puts into its temporary folder stays in memory, too.
        rc = process.foreground(
            (argv[0], *options, *argv[1:], str(file)), {"TMPDIR": str(private.path)}
        )
        if rc != 0:
            raise StepError(
                f"the editor {argv[0]} ended badly: {how_it_ended(rc)}. {name} is as it was",
                hint="leave the editor without an error to have it written (in vim, not with :cq)",
            )
        return _read(file, name)


def _file_name(name: str) -> str:
    return PurePosixPath(name).name.removesuffix(".age") or "secret"


def _write(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as opened:  # noqa: PTH123 (a descriptor)
        opened.write(content)


def _read(file: Path, name: str) -> bytes:
    if not file.is_file() or file.is_symlink():
        raise StepError(f"the editor left no file. {name} is as it was")
    if file.stat().st_size > MOST:
        raise StepError(f"the editor left more than {MOST >> 20} MiB. {name} is as it was")
    return file.read_bytes()
