"""The deployer's Nix where the machine has none: a program and a store of the lab's own.

Its store is a folder in the cache, and ``/nix`` only in the eyes of the processes that use it: they
mount it there in a mount namespace of their own. All that the machine sees is an empty folder
``/nix``, made where there is none and removed by ``down --purge``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from orchestrator.lab.image import Image
from orchestrator.lab.namespaces import bind, private_mounts
from orchestrator.lab.places import cache_directory

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
