"""What strace prints, in its own lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.changes.tracing.ways import Strace
from orchestrator.core.errors import StepError

FOLDER = "abc-source"
ROOT = f"/nix/store/{FOLDER}"


def hexadecimal(text: str) -> str:
    """A string as ``-xx`` prints it."""
    return "".join(f"\\x{byte:02x}" for byte in text.encode(errors="surrogateescape"))


def calls(tmp_path: Path, *lines: str) -> list[tuple[str, str]]:
    """What is read from a log."""
    log = tmp_path / "log"
    log.write_text("".join(f"{line}\n" for line in lines))
    return list(Strace("strace").calls(log, FOLDER))


def test_each_call_with_a_path_is_told(tmp_path: Path) -> None:
    """Each traced call with a path is given by its kind, whatever characters the path has."""
    odd = 'a "b\\c\n<x>, '
    here = f"AT_FDCWD<{hexadecimal('/tmp')}>"
    seen = calls(
        tmp_path,
        f'12 openat({here}, "{hexadecimal(ROOT)}", O_RDONLY) = 3<{hexadecimal(ROOT)}>',
        f'12 openat(3<{hexadecimal(ROOT)}>, "{hexadecimal(odd)}", O_RDONLY|O_CLOEXEC) = 4',
        f'12 openat(3<{hexadecimal(ROOT)}>, "{hexadecimal("p")}", O_RDONLY|O_PATH) = 5',
        f'7  newfstatat(3<{hexadecimal(ROOT)}>, "", {{st_mode=S_IFDIR|0755}}, AT_EMPTY_PATH) = 0',
        f'7  lstat("{hexadecimal(ROOT + "/none")}", 0x7f) = -1 ENOENT (No such file or directory)',
        f'7  statx({here}, "{hexadecimal(ROOT + "/s")}", 0, STATX_ALL <unfinished ...>',
        "7  <... statx resumed>, {stx_mask=STATX_ALL}) = 0",
        f'7  readlink("{hexadecimal(ROOT + "/l")}", "{hexadecimal("to")}", 4096) = 2',
        f'7  newcall("{hexadecimal(ROOT + "/n")}", 0) = 0',
        f'7  access("{hexadecimal("/etc/passwd")}", F_OK) = 0',
        f'7  getcwd("{hexadecimal(ROOT)}", 4096) = 20',
        "7  access(NULL, F_OK) = -1 EFAULT (Bad address)",
        "7  +++ exited with 0 +++",
        "8  --- SIGCHLD {si_signo=SIGCHLD} ---",
    )
    assert seen == [
        ("open", ROOT),
        ("open", f"{ROOT}/{odd}"),
        ("stat", f"{ROOT}/p"),
        ("stat", f"{ROOT}/"),
        ("stat", f"{ROOT}/none"),
        ("stat", f"{ROOT}/s"),
        ("readlink", f"{ROOT}/l"),
        ("open", f"{ROOT}/n"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "something else",
        '12 openat(AT_FDCWD, "plain text", O_RDONLY) = 3',
        f'12 openat(AT_FDCWD, "{hexadecimal("/nix")}"..., O_RDONLY) = 3',
        "12 openat(what, is, this) = 3",
        f'12 chdir("{hexadecimal(ROOT)}") = 0',
        f"12 fchdir(3<{hexadecimal(ROOT)}>) = 0",
    ],
)
def test_what_is_not_understood_is_an_error(tmp_path: Path, line: str) -> None:
    """A line that is left out could have been a file that was read."""
    with pytest.raises(StepError):
        calls(tmp_path, line)
