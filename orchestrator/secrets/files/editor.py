"""A person's editor on a plaintext, in a folder in memory that nobody else sees."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import resource
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orchestrator.core import process
from orchestrator.core.errors import StepError, UsageError
from orchestrator.core.process import how_it_ended
from orchestrator.core.units import split_lines

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_NOSUID = 0x2
_MS_NODEV = 0x4
_MS_REC = 0x4000
_MS_PRIVATE = 1 << 18
_MNT_DETACH = 2
_ATTEMPTS = 20


def private_mounts() -> None:
    """Give this process mounts of its own, for the rest of its life.

    Who is not root gets a user namespace with it, in which they are who they are.

    Raises:
        OSError: The kernel does not allow it.
    """
    if os.geteuid() == 0:
        _call("unshare", _CLONE_NEWNS)
    else:
        _private_user()
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)


def mount_memory(folder: Path) -> bool:
    """Mount an empty file system over a folder: in memory, ours alone.

    Returns:
        Whether it is certain that it is never swapped (``noswap``, tmpfs(5), Linux 6.4).

    Raises:
        OSError: The kernel does not allow it.
    """
    try:
        _mount(folder, "mode=0700,size=64m,noswap")
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise
        _mount(folder, "mode=0700,size=64m")
        return False
    return True


def unmount(folder: Path) -> None:
    """Take a mount away; what is in it goes as soon as nobody has it open.

    Raises:
        OSError: It is none.
    """
    _call("umount2", os.fsencode(folder), _MNT_DETACH)


def _mount(folder: Path, options: str) -> None:
    flags = _MS_NOSUID | _MS_NODEV
    _call("mount", b"tmpfs", os.fsencode(folder), b"tmpfs", flags, options.encode())


def _private_user() -> None:
    uid, gid = os.geteuid(), os.getegid()
    for attempt in range(_ATTEMPTS):
        try:
            _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNS)
            break
        except OSError as error:
            # A thread that waited for a child may be about to end: EINVAL while there are two.
            if error.errno != errno.EINVAL or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.01)
    # user_namespaces(7): an id may be mapped to itself, a group only after this word.
    with contextlib.suppress(FileNotFoundError):
        Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def _call(name: str, *arguments: object) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


_PREFIX = "orchestrator-plaintext-"
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (that it is in memory is checked)
_IN_MEMORY = ("tmpfs", "ramfs")


@dataclass(frozen=True, slots=True)
class PrivateFolder:
    """Where a plaintext may lie.

    Attributes:
        path: The folder; empty.
        warnings: What a person should know of it: who else can look in, and swap.
    """

    path: Path
    warnings: tuple[str, ...] = ()


@contextlib.contextmanager
def private_folder(env: Mapping[str, str], *, shared: bool = False) -> Iterator[PrivateFolder]:
    """Have a folder in memory, for as long as the context lasts.

    This process may be in namespaces of its own afterwards; it should end soon.

    Args:
        env: The environment: ``XDG_RUNTIME_DIR``.
        shared: Whether a process that we did not start has to see it: an editor's server.

    Raises:
        UsageError: There is no file system in memory.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    base = _base(env)
    _sweep(base)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    claim = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(claim, fcntl.LOCK_EX)
        with _mounted(folder, shared) as private:
            yield private
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(claim)


@contextlib.contextmanager
def _mounted(folder: Path, shared: bool) -> Iterator[PrivateFolder]:
    if shared:
        yield PrivateFolder(
            folder, (_open_to_others(folder, "this editor asks a server"), *_swap())
        )
        return
    try:
        private_mounts()
        never_swapped = mount_memory(folder)
    except OSError as error:
        why = f"the kernel allows no private mount here: {error.strerror}"
        yield PrivateFolder(folder, (_open_to_others(folder, why), *_swap()))
        return
    try:
        yield PrivateFolder(folder, () if never_swapped else _swap())
    finally:
        unmount(folder)


def _base(env: Mapping[str, str]) -> Path:
    """Find a folder in memory, the person's own first."""
    for text in (env.get("XDG_RUNTIME_DIR"), str(_SHARED_MEMORY)):
        if text and os.access(text, os.W_OK | os.X_OK) and _file_system(Path(text)) in _IN_MEMORY:
            return Path(text)
    raise UsageError(
        "there is no file system in memory here (/dev/shm), and a plaintext goes on no disk",
        hint="give the secret on standard input instead of in an editor",
    )


def _file_system(folder: Path) -> str:
    """Say of which kind the file system of a folder is: proc_pid_mountinfo(5)."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in split_lines(Path("/proc/self/mountinfo").read_text(errors="replace")):
        mount, _, kind = line.partition(" - ")
        if mount.split()[2] == number:
            return kind.split()[0]
    return ""


def _sweep(base: Path) -> None:
    """Remove what killed processes of ours left: nobody holds its folder any more."""
    for folder in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid != os.geteuid():
                continue
            claim = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(claim)


def _open_to_others(folder: Path, why: str) -> str:
    return f"{why}: while you edit, other processes of yours can read the plaintext in {folder}"


def _swap() -> tuple[str, ...]:
    """Say where memory may be written to a disk: proc_swaps(5)."""
    with contextlib.suppress(OSError):
        if len(split_lines(Path("/proc/swaps").read_text())) > 1:
            return ("swap is on: while you edit, the plaintext may be written to it",)
    return ()


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
