"""Random edits to a repository: what people and git do to files."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from repository import FILES, LINKS, Repository

Edit = Callable[[Repository, Random], str]

_FOLDERS = ("d", "d/sub", "src", "src/deep", "srcpath", "files", "list", "auto", "new/er", "nodir")
_NEW = ("n1", "n2", "absent.txt", "new", "x.nix")


def _tracked(repository: Repository, random: Random) -> str:
    names = [*FILES, *repository.kind.files, "flake.nix"]
    return random.choice([name for name in names if (repository.root / name).is_file()] or ["none"])


def append(repository: Repository, random: Random) -> str:
    """Change a file's content; often one that something reads."""
    path = _tracked(repository, random)
    place = repository.root / path
    if path.endswith((".json", ".gitattributes", ".gitignore")) or path == "none":
        return "nothing"
    with contextlib.suppress(OSError), place.open("a") as file:
        file.write(("# " if path.endswith(".nix") else "") + f"{random.random()}\n")
    return path


def rewrite(repository: Repository, random: Random) -> str:
    """Give a file one of few contents: back and forth."""
    path = random.choice(["files/a.txt", "files/b.txt", "files/big.bin", "flip", "sub/text"])
    if (repository.root / path).is_file() and not (repository.root / path).is_symlink():
        repository.write(path, random.choice(["a\n", "b\n", "changed\n"]))
    return path


def revalue(repository: Repository, random: Random) -> str:
    """Change a value that is imported or parsed."""
    path, content = random.choice(
        [
            ("data.json", '{{"a": {}}}'),
            ("mod/other.nix", "{} # \n"),
            ("auto/one.nix", "{}"),
            ("pointer", "{}\n"),
        ]
    )
    value = random.choice(["1", "2", "3"]) if path != "pointer" else random.choice("ab") + ".txt"
    with contextlib.suppress(OSError):
        repository.write(path, content.format(value))
    return path


def add(repository: Repository, random: Random) -> str:
    """Add a file, tracked, untracked, or with the intent to add it."""
    folder, name = random.choice(_FOLDERS), random.choice(_NEW)
    path = random.choice([f"{folder}/{name}", "untracked.txt", "ignored.txt", "top.nix"])
    with contextlib.suppress(OSError):
        repository.write(path, "1\n")
    how = random.choice([("add",), ("add", "-f"), ("add", "-N"), ()])
    if how:
        repository.git(*how, "--", path)
    return f"{' '.join(how) or 'untracked'} {path}"


def delete(repository: Repository, random: Random) -> str:
    """Delete a file; sometimes only from the work tree, or only from the index."""
    names = ["d/one", "src/s2", "srcpath/p1", "files/a.txt", "files/absent.txt", "unused.txt"]
    names += ["d/n1", "list/n1", "auto/two.nix", "untracked.txt", "nodir/absent.txt", "d/new"]
    path = random.choice(names)
    how = random.choice(["rm", "git rm", "git rm --cached"])
    if how == "rm":
        with contextlib.suppress(OSError):
            (repository.root / path).unlink()
    else:
        repository.git("rm", "-q", "-f", *how.split()[2:], "--", path)
    return f"{how} {path}"


def rename(repository: Repository, random: Random) -> str:
    """Rename a file or a folder, and back."""
    one, other = random.choice(
        [("d/one", "d/renamed"), ("src/deep", "src/deeper"), ("files/a.txt", "files/z.txt")]
    )
    if not repository.git("mv", one, other):
        repository.git("mv", other, one)
    return f"{one} {other}"


def mode(repository: Repository, random: Random) -> str:
    """Make a file executable, or not."""
    path = random.choice(["bin/tool", "src/s1", "files/a.txt", "d/one", "unused.txt"])
    place = repository.root / path
    if place.is_file() and not place.is_symlink():
        place.chmod(random.choice([0o644, 0o755]))
    return path


def link(repository: Repository, random: Random) -> str:
    """Lead a link elsewhere."""
    path, targets = random.choice(
        [
            ("d/link", ["../files/a.txt", "../files/b.txt", "nowhere", "../src", "link"]),
            ("dirlink", ["d", "src", "d/sub", "nowhere", "files/../d"]),
            *((name, ["/nowhere", "../unused.txt"]) for name in LINKS if name == "far/link"),
        ]
    )
    _replace(repository.root / path, lambda place: place.symlink_to(random.choice(targets)))
    return path


def transform(repository: Repository, random: Random) -> str:
    """Make a path another kind: a file, a folder, a link to a folder."""
    path = random.choice(["swap", "flip", "d/sub", "files/a.txt"])
    kind = random.choice(["file", "folder", "link"])

    def make(place: Path) -> None:
        if kind == "file":
            place.write_text("file\n")
        elif kind == "folder":
            place.mkdir()
            (place / "x").write_text(random.choice(["x\n", "y\n"]))
        else:
            place.symlink_to(os.path.relpath(repository.root / "src", place.parent))

    _replace(repository.root / path, make)
    if random.random() < 0.8:
        repository.git("add", "-A", "--", path)
    return f"{path} to {kind}"


def _replace(place: Path, make: Callable[[Path], None]) -> None:
    with contextlib.suppress(OSError):
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
        make(place)


def commit(repository: Repository, random: Random) -> str:
    """Commit: what is staged, all that is tracked, or nothing."""
    how = random.choice(["-a", "-a", "--allow-empty", "--amend"])
    repository.commit(how)
    return how


def stage(repository: Repository, random: Random) -> str:
    """Stage all; sometimes change a file again afterwards."""
    repository.git("add", "-u")
    return f"then {rewrite(repository, random)}" if random.random() < 0.5 else ""


def checkout(repository: Repository, random: Random) -> str:
    """Go to another commit or branch, or take changes back."""
    how = random.choice(
        [
            ("checkout", "-q", "HEAD~1"),
            ("checkout", "-q", "HEAD~2"),
            ("checkout", "-q", "main"),
            ("checkout", "-q", "-B", "side"),
            ("checkout", "-q", "-f", "main"),
            ("checkout", "-q", "HEAD", "--", "."),
            ("reset", "-q", "--hard"),
            ("reset", "-q", "--soft", "HEAD~1"),
            ("stash", "-q"),
            ("stash", "pop", "-q"),
        ]
    )
    repository.git(*how)
    return " ".join(how)


def hide(repository: Repository, random: Random) -> str:
    """Tell git not to look at a file, or to look again; change it meanwhile."""
    path = random.choice(["files/a.txt", "files/b.txt", "d/one", "unused.txt"])
    options = ["--assume-unchanged", "--skip-worktree"]
    option = random.choice([*options, *(one.replace("--", "--no-") for one in options)])
    repository.git("update-index", option, "--", path)
    place = repository.root / path
    if random.random() < 0.5 and place.is_file():
        repository.write(path, f"hidden {random.choice('123')}\n")
    return f"{option} {path}"


def touch(repository: Repository, random: Random) -> str:
    """Change times, and nothing else."""
    for path in ("files/a.txt", "mod/other.nix", "flake.nix"):
        if (repository.root / path).is_file():
            (repository.root / path).touch()
    return ""


def attributes(repository: Repository, random: Random) -> str:
    """Change how git converts files."""
    if "conversions" in repository.root.name:
        lines = ["*.txt text eol=crlf", "*.bin filter=big", "*.txt -text", "*.txt ident"]
        chosen = [line for line in lines if random.random() < 0.5]
        repository.write(".gitattributes", "\n".join(chosen) + "\n")
    else:
        repository.git("config", "core.filemode", random.choice(["true", "true", "false"]))
    return ""


def module(repository: Repository, random: Random) -> str:
    """Change what is in the submodule, commit it there, or here, or empty it."""
    inner = repository.root / "module"
    if not repository.kind.submodule:
        return append(repository, random)
    how = random.choice(["change", "change", "commit", "record", "update", "empty"])
    if how == "change" and (inner / ".git").exists():
        (inner / "inside").write_text(random.choice(["inside\n", "changed\n", "other\n"]))
    elif how == "commit" and (inner / ".git").exists():
        repository.git("-C", "module", "commit", "-q", "-a", "-m", "inner")
    elif how == "record":
        repository.git("add", "module")
    elif how == "update":
        repository.git("submodule", "update", "--init", "-q", "-f")
    elif how == "empty":
        repository.git("submodule", "deinit", "-q", "-f", "module")
    return how


def lock(repository: Repository, random: Random) -> str:
    """Take the lock file away, or let git ignore it, or not."""
    if repository.kind.lock and random.random() < 0.3:
        repository.git("rm", "-q", "--cached", "flake.lock")
        return "untracked"
    return touch(repository, random)


_WEIGHTS: dict[Edit, int] = {
    append: 5,
    rewrite: 4,
    revalue: 2,
    add: 3,
    delete: 2,
    rename: 1,
    mode: 1,
    link: 2,
    transform: 2,
    commit: 3,
    stage: 1,
    checkout: 2,
    hide: 1,
    touch: 1,
    attributes: 1,
    module: 2,
    lock: 1,
}


def edit(repository: Repository, random: Random) -> str:
    """Make one edit, and say which."""
    chosen = random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    return f"{chosen.__name__} {chosen(repository, random)}".strip()
