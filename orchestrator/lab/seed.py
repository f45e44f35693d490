"""What a lab's deployer and hosts begin with: keys, and a Nix store."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from orchestrator.core import beneath
from orchestrator.core.errors import cause_of
from orchestrator.lab.cgroup import run
from orchestrator.lab.image import Image, Progress, replacing, tree_hash
from orchestrator.lab.places import (
    LabError,
    bind,
    cache_directory,
    locked,
    package_data,
    private_mounts,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

OPEN = "secrets/open-keys"
"""Where a fleet has private keys in the open, by its hosts' names: for its lab alone."""

_MOST = 2**14
"""Bytes of a private key; one of Ed25519 has 400."""


class KeyPair(Struct, frozen=True):
    """An ed25519 key in OpenSSH's formats."""

    private: str
    public: str


def generate() -> KeyPair:
    """Make a new key."""
    # Only now: `lab --help` does without, and it takes long to import.
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    return KeyPair(private.decode(), _public(key))


def _public(key: Ed25519PrivateKey) -> str:
    from cryptography.hazmat.primitives import serialization

    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return public.decode()


def in_the_open(fleet_root: Path, name: str) -> KeyPair | None:
    """Read the host key that a fleet has in the open for a host of its lab; ``None`` without one.

    Secrets are encrypted to host keys: with this one the lab's host decrypts those of the fleet.

    Raises:
        LabError: There is a file, and it is no Ed25519 key in OpenSSH's form without a passphrase.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        private = beneath.read(fleet_root, f"{OPEN}/{name}", _MOST)
        key = serialization.load_ssh_private_key(private, password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("it is no Ed25519 key")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise LabError(
            f"{OPEN}/{name} cannot be the host key of '{name}' in the lab: {cause_of(error)}",
            hint=f"ssh-keygen -t ed25519 -N '' -f {OPEN}/{name}; or remove it: the lab makes one",
        ) from None
    return KeyPair(private.decode(), _public(key))


def keep(path: Path) -> str:
    """Return the public half of the key at ``path``, which is made if it is missing."""
    public_path = path.with_name(path.name + ".pub")
    if not (path.exists() and public_path.exists()):
        pair = generate()
        write_private(path, pair.private)
        public_path.write_text(pair.public + "\n")
    return public_path.read_text().strip()


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read, from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text(text)


MOUNT_POINT = Path("/nix")
MINIMUM = (2, 18)


def machine_has_nix() -> bool:
    """Whether a Nix on the ``PATH`` is new enough to be used as it is."""
    if (nix := shutil.which("nix")) is None:
        return False
    done = subprocess.run([nix, "--version"], check=False, capture_output=True, text=True)
    found = re.search(r"(\d+)\.(\d+)", done.stdout)
    return found is not None and (int(found[1]), int(found[2])) >= MINIMUM


def environment(image: Image) -> dict[str, str]:
    """Return the variables that select the lab's Nix and its settings."""
    return {
        "PATH": f"{image.nix_bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "NIX_CONF_DIR": str(image.nix_conf),
        # A person's own nix.conf may name caches that cannot be reached from the lab's network.
        "NIX_USER_CONF_FILES": "",
        "NIX_REMOTE": "local",
    }


def prepare() -> Path:
    """Make the store's folder and, where it is missing, the mount point; return the folder."""
    store = cache_directory() / "deployer-nix"
    store.mkdir(parents=True, exist_ok=True)
    if not MOUNT_POINT.exists():
        _mark().touch()
        MOUNT_POINT.mkdir(exist_ok=True)
    return store


def use(image: Image) -> None:
    """Give this process, still single-threaded, and its children the lab's Nix and its store."""
    private_mounts()
    for attempt in range(3):
        try:
            bind(prepare(), MOUNT_POINT)
            break
        except FileNotFoundError:
            # A lab that goes down may remove the mount point just after we made it.
            if attempt == 2:
                raise
    os.environ.update(environment(image))


def remove_mount_point() -> None:
    """Remove ``/nix`` if a lab made it, it is empty, and no process has something mounted there."""
    if _mark().exists() and not _in_use():
        with contextlib.suppress(OSError):
            MOUNT_POINT.rmdir()
            _mark().unlink()


def _mark() -> Path:
    return cache_directory() / "made-mount-point"


def _in_use() -> bool:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f" {MOUNT_POINT} " in (process / "mountinfo").read_text():
                return True
    return False


_SYSTEM_OF = {"x86_64": "x86_64-linux", "aarch64": "aarch64-linux"}
_GCROOTS = {
    "profiles": "/nix/var/nix/profiles",
    "booted-system": "/run/booted-system",
    "current-system": "/run/current-system",
}


class Seed(Struct, frozen=True):
    """A ``/nix`` with the first generation, to be copied to each new host."""

    path: Path

    @property
    def nix(self) -> Path:
        """The folder that becomes a host's ``/nix``."""
        return self.path / "nix"

    @property
    def toplevel(self) -> str:
        """The store path of the first generation."""
        return (self.path / "toplevel").read_text().strip()


def place_nixpkgs(image: Image, target: Path, *, placeholders: bool = False) -> None:
    """Copy the stand-in for nixpkgs, with the two programs that it takes, to a lab's folder.

    Args:
        image: Has the programs.
        target: The folder.
        placeholders: Whether its ``age`` opens no secret, and writes what stands for it.
    """
    source, placeholder = package_data("nixpkgs"), package_data("profile/age-placeholder.sh")
    stamp = target / ".stamp"
    key = f"{tree_hash(source)} {image.path}"
    if placeholders:
        key += f" {placeholder.read_text()}"
    if stamp.exists() and stamp.read_text() == key:
        return
    with replacing(target) as temporary:
        shutil.copytree(source, temporary, dirs_exist_ok=True)
        (temporary / "bin").mkdir(exist_ok=True)
        shutil.copy2(image.busybox, temporary / "bin/busybox")
        if placeholders:
            (temporary / "bin/age").write_text("#!/bin/sh\n" + placeholder.read_text())
            (temporary / "bin/age").chmod(0o755)
        else:
            shutil.copy2(image.age, temporary / "bin/age")
        (temporary / stamp.name).write_text(key)


def ensure(image: Image, nixpkgs: Path, on_progress: Progress) -> Seed:
    """Return the seed for a stand-in for nixpkgs, made now if it is not in the cache."""
    cache = cache_directory()
    key = f"{image.path}\n{tree_hash(nixpkgs)}"
    seed = Seed(cache / f"seed-{hashlib.sha256(key.encode()).hexdigest()[:12]}")
    if not seed.path.is_dir():
        with locked(cache / "seed.lock", on_progress):
            if not seed.path.is_dir():
                on_progress("building the first generation")
                _build(image, nixpkgs, seed)
    return seed


def _build(image: Image, nixpkgs: Path, seed: Seed) -> None:
    attribute = f"path:{nixpkgs}#packages.{system()}.installed"
    for stale in seed.path.parent.glob("seed-*.tmp-*"):
        shutil.rmtree(stale, ignore_errors=True)
    with replacing(seed.path) as temporary:
        toplevel = nix(
            image, "build", "--no-link", "--print-out-paths", "--no-write-lock-file", attribute
        )
        nix(image, "copy", "--no-check-sigs", "--to", f"local?root={temporary}", toplevel)
        complete(temporary, toplevel)


def system() -> str:
    """Return the Nix system of this machine, which the lab's hosts have."""
    return _SYSTEM_OF[os.uname().machine]


def in_store(path: Path) -> Path:
    """Return where this process, for which no store is mounted, finds a store path."""
    return path if machine_has_nix() else prepare() / path.relative_to(MOUNT_POINT)


def nix(image: Image, *arguments: str, deadline: float = 300, what: str | None = None) -> str:
    """Run the lab's own Nix on its own store, whatever Nix this machine has."""
    script = 'mount --bind "$1" /nix && shift && exec nix "$@"'
    return run(
        *("unshare", "--mount", "--propagation", "private", "--"),
        *("sh", "-c", script, "sh", str(prepare()), *arguments),
        env=environment(image),
        deadline=deadline,
        what=what or f"nix {arguments[0]} of the first generation",
    )


def complete(seed: Path, toplevel: str) -> None:
    """Add the profile, and the garbage collector's roots as they are on NixOS."""
    (seed / "toplevel").write_text(toplevel + "\n")
    nix_folder = seed / "nix"
    profiles = nix_folder / "var/nix/profiles"
    profiles.mkdir(parents=True, exist_ok=True)
    (profiles / "system-1-link").symlink_to(toplevel)
    (profiles / "system").symlink_to("system-1-link")
    gcroots = nix_folder / "var/nix/gcroots"
    gcroots.mkdir(exist_ok=True)
    for name, target in _GCROOTS.items():
        # Nix has written "profiles" with the path that it has here, outside of the host.
        (gcroots / name).unlink(missing_ok=True)
        (gcroots / name).symlink_to(target)


def plant(seed: Seed, host: Path) -> None:
    """Give a new host its ``/nix``, its first generation and a boot entry for it."""
    with replacing(host / "nix") as temporary:
        run("cp", "-a", "--reflink=auto", f"{seed.nix}/.", temporary)
    entries = host / "boot/loader/entries"
    entries.mkdir(parents=True, exist_ok=True)
    entry = "nixos-generation-1.conf"
    kernel = "EFI/nixos/kernel.efi"
    (host / "boot" / kernel).parent.mkdir(parents=True, exist_ok=True)
    (host / "boot" / kernel).touch()
    (entries / entry).write_text(
        f"title NixOS\nversion Generation 1 as installed\nlinux /{kernel}\n"
        f"options init={seed.toplevel}/init\nsort-key nixos\n"
    )
    (host / "boot/loader/loader.conf").write_text(f"timeout 0\ndefault {entry}\n")
