"""The base image of a lab's hosts."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.patterns import pattern
from orchestrator.lab.cgroup import run
from orchestrator.lab.places import LabError, cache_directory, locked, package_data

SUITE = "trixie"
"""The Debian release of the hosts, for its Nix ≥ 2.18."""

MIRROR = "ORCHESTRATOR_DEBIAN_MIRROR"
"""Names another mirror: its URL, or a whole line as in sources.list."""

ATTEMPTS = 3

_DEADLINE = 900
_PAUSE = 5.0
_LEAVE_OUT = ("doc", "man", "locale", "info")
_GONE = pattern(r"^E: (?:Unable to locate package|Package) '?([a-z0-9][a-z0-9.+-]*)", re.MULTILINE)
_WORDS = pattern(r"^E: (.*)$", re.MULTILINE)


def make_tree(
    packages: Sequence[str],
    rootfs: Path,
    on_progress: Callable[[str], None],
    *,
    pause: float = _PAUSE,
) -> None:
    """Make a tree with these packages, trying again where a mirror fails.

    Args:
        packages: Debian packages, beside those that every system has.
        rootfs: The folder to make.
        on_progress: Is told of another attempt.
        pause: Seconds before it.

    Raises:
        LabError: A package is gone from the release, or the mirror fails for good.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            run(*_mmdebstrap(packages, rootfs), deadline=_DEADLINE, what="mmdebstrap")
        except LabError as error:
            if gone := sorted({*_GONE.findall(str(error))} & {*packages}):
                raise _gone(gone) from error
            if attempt == ATTEMPTS:
                raise _failed(error) from error
            on_progress(f"{_last_words(error)}; trying again")
            shutil.rmtree(rootfs, ignore_errors=True)
            time.sleep(pause)
        else:
            return


def installed(rootfs: Path) -> str:
    """Return what is installed in a tree, a package and its version a line, sorted."""
    listing = run("chroot", rootfs, "dpkg-query", "--show")
    return "".join(f"{line}\n" for line in sorted(listing.split("\n")))


def _mmdebstrap(packages: Sequence[str], rootfs: Path) -> list[str]:
    # In its own namespaces: however it ends, no mount and no child of it is left.
    return [
        *("unshare", "--mount", "--propagation", "private", "--mount-proc"),
        *("--pid", "--fork", "--kill-child", "--"),
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--dpkgopt=force-unsafe-io"),
        '--aptopt=Acquire::Retries "2"',
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEAVE_OUT),
        f"--include={','.join(packages)}",
        *(SUITE, str(rootfs)),
        *filter(None, (os.environ.get(MIRROR),)),
    ]


def _gone(packages: Sequence[str]) -> LabError:
    one = len(packages) == 1
    return LabError(
        f"Debian {SUITE} has no package{'' if one else 's'} {', '.join(packages)}, which the lab's "
        f"hosts need: renamed or removed there, or this mirror has a part of Debian only",
        hint=f"{MIRROR}=URL names another mirror; a newer version of this tool may know a new name "
        "(orchestrator/lab/base/recipe/packages)",
    )


def _failed(error: LabError) -> LabError:
    return LabError(
        f"making the base image failed, {ATTEMPTS} times: {error}",
        hint=f"{MIRROR}=URL names another mirror of Debian that has {SUITE}; {error.hint}",
    )


def _last_words(error: LabError) -> str:
    found = _WORDS.findall(str(error))
    return found[-1] if found else str(error).split("\n", 1)[0]


_LIBRARY = pattern(r"^\s*(?:\S+ => )?(/\S+) \(0x", re.MULTILINE)
_NIX_NAMES = (
    "nix-build",
    "nix-collect-garbage",
    "nix-copy-closure",
    "nix-daemon",
    "nix-env",
    "nix-hash",
    "nix-instantiate",
    "nix-shell",
    "nix-store",
)


def tools(rootfs: Path, into: Path, final: Path) -> None:
    """Take Nix, systemd-nspawn, a static busybox and the hosts' age out of a tree.

    Args:
        rootfs: The Debian tree.
        into: The folder to make.
        final: Where that folder will be when the programs run.
    """
    for folder in ("bin", "lib", "libexec"):
        (into / folder).mkdir(parents=True)
    _program(rootfs, "/usr/bin/nix", into / "bin/nix", into / "lib", final / "lib")
    for name in _NIX_NAMES:
        (into / "bin" / name).symlink_to("nix")
    nspawn = into / "libexec/systemd-nspawn"
    _program(rootfs, "/usr/bin/systemd-nspawn", nspawn, into / "lib", final / "lib")
    for name in ("busybox", "age"):
        shutil.copy2(_found(rootfs, f"/usr/bin/{name}"), into / "libexec" / name)


def _found(rootfs: Path, name: str) -> Path:
    path = rootfs / name.lstrip("/")
    if not path.exists():
        raise LabError(
            f"the Debian tree has no {name}: the package that brought it has changed",
            hint="a newer version of this tool may know where it is (orchestrator/lab/relocate.py)",
        )
    return path


def _program(rootfs: Path, name: str, target: Path, lib: Path, final_lib: Path) -> None:
    source = _found(rootfs, name)
    listing = run("chroot", rootfs, "ldd", name)
    for library in _LIBRARY.findall(listing):
        shutil.copy2((rootfs / library.lstrip("/")), lib / Path(library).name)
    shutil.copy2(source, target)
    # An interpreter of its own, since libc and its loader must be of one version. Running through
    # the loader instead would break Nix's build hook, which starts itself again.
    interpreter = Path(run("patchelf", "--print-interpreter", target)).name
    run(
        *("patchelf", "--set-interpreter", final_lib / interpreter),
        *("--force-rpath", "--set-rpath", final_lib, target),
    )


Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Image:
    """A base image in the cache; it need not be there yet."""

    path: Path

    @classmethod
    def wanted(cls) -> Image:
        """Return the image that the recipe in this version asks for."""
        # The tools hold absolute paths: elsewhere it is another image.
        cache = cache_directory()
        key = f"{cache}\n{SUITE}\n{tree_hash(package_data('base/recipe'))}"
        return cls(cache / f"base-{hashlib.sha256(key.encode()).hexdigest()[:12]}")

    @property
    def exists(self) -> bool:
        """Whether it was made already."""
        return self.path.is_dir()

    @property
    def manifest(self) -> Path:
        """What was installed into it: a Debian package and its version a line."""
        return self.path / "packages"

    @property
    def rootfs(self) -> Path:
        """The hosts' lower layer."""
        return self.path / "rootfs"

    @property
    def nix_bin(self) -> Path:
        """A folder for the ``PATH``: ``nix``, ``nix-store`` and the like."""
        return self.path / "nix/bin"

    @property
    def nix_conf(self) -> Path:
        """A folder for ``NIX_CONF_DIR``."""
        return self.path / "nix/etc"

    @property
    def nspawn(self) -> Path:
        """The program that runs a host."""
        return self.path / "nix/libexec/systemd-nspawn"

    @property
    def busybox(self) -> Path:
        """A static busybox, for builds that have no nixpkgs."""
        return self.path / "nix/libexec/busybox"

    @property
    def age(self) -> Path:
        """The program that decrypts secrets, as the hosts' Debian has it; it runs on hosts only."""
        return self.path / "nix/libexec/age"


def ensure(on_progress: Progress) -> Image:
    """Return the base image, made now if it is not in the cache."""
    image = Image.wanted()
    if image.exists:
        return image
    with locked(image.path.parent / "base.lock", on_progress):
        if not image.exists:
            _sweep(image.path.parent)
            with replacing(image.path) as temporary:
                _build(Image(temporary), image, on_progress)
    return image


def tree_hash(folder: Path) -> str:
    """Return a hash of every file's path, mode and content below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            executable = bool(path.stat().st_mode & 0o100)
            digest.update(f"{path.relative_to(folder)}\0{executable}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a new folder that becomes ``target`` if all goes well, and vanishes otherwise."""
    temporary = target.with_name(f"{target.name}.tmp-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sweep(cache: Path) -> None:
    """Remove what a killed build left behind; the caller holds the lock."""
    for stale in cache.glob("base-*.tmp-*"):
        shutil.rmtree(stale, ignore_errors=True)


def _build(temporary: Image, final: Image, on_progress: Progress) -> None:
    recipe = package_data("base/recipe")
    on_progress(f"making the base image from Debian {SUITE}, once (about 25 s)")
    make_tree(_packages(recipe), temporary.rootfs, on_progress)
    temporary.manifest.write_text(installed(temporary.rootfs))
    run("sh", recipe / "customize", recipe, temporary.rootfs)
    tools(temporary.rootfs, temporary.path / "nix", final.path / "nix")
    conf = temporary.nix_conf / "nix.conf"
    conf.parent.mkdir()
    conf.write_text(_nix_conf(final.busybox))


def _packages(recipe: Path) -> list[str]:
    lines = (recipe / "packages").read_text().split("\n")
    return [line for line in lines if line and line[0] != "#"]


def _nix_conf(busybox: Path) -> str:
    return (
        "# The deployer's Nix: builds in a sandbox, asks no binary cache.\n"
        "experimental-features = nix-command flakes\n"
        "substituters =\n"
        "build-users-group =\n"
        "sandbox = true\n"
        f"sandbox-paths = /bin/sh={busybox}\n"
        "max-jobs = auto\n"
        "warn-dirty = false\n"
        "flake-registry =\n"
    )
