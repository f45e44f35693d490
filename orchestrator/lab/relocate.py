"""Programs taken out of a Debian tree so that they run on any machine, with their own libraries.

The machine's libc and systemd stay as they are.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from orchestrator.lab.errors import LabError
from orchestrator.lab.shell import run

_LIBRARY = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x", re.MULTILINE)
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
