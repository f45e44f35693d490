"""The base image: the lower layer of every host, with the tools that are taken out of it.

Made once for each recipe, into a temporary folder that is renamed when it is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.lab import debian, relocate
from orchestrator.lab.lock import locked
from orchestrator.lab.places import cache_directory, package_data
from orchestrator.lab.shell import run

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
        key = f"{cache}\n{debian.SUITE}\n{tree_hash(package_data('base/recipe'))}"
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
    on_progress(f"making the base image from Debian {debian.SUITE}, once (about 25 s)")
    debian.make_tree(_packages(recipe), temporary.rootfs, on_progress)
    temporary.manifest.write_text(debian.installed(temporary.rootfs))
    run("sh", recipe / "customize", recipe, temporary.rootfs)
    relocate.tools(temporary.rootfs, temporary.path / "nix", final.path / "nix")
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
