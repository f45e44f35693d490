"""What a lab needs of this machine, asked before anything is touched."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from orchestrator.lab.cgroup import cgroup2_root
from orchestrator.lab.errors import LabRequirementError

TO_RUN = {
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
    "ssh": "openssh-client",
}
"""Programs that every ``up`` needs, and the Debian packages that bring them."""

TO_BUILD = {"mmdebstrap": "mmdebstrap", "patchelf": "patchelf"}
"""Programs that the first ``up`` needs, to make the base image."""

_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_INSTANCES_PER_HOST = 4
_INSTANCES_FOR_OTHERS = 14

WOULD = (
    "It would: make a base image and a modern Nix once (about 250 MB in the cache folder), start "
    "each host with its own systemd, sshd and Nix, and connect them in a network namespace of "
    "their own. It changes nothing else on this machine"
)


def check(host_count: int, *, has_image: bool) -> None:
    """Refuse a machine that cannot run the lab, and say all that is missing.

    Raises:
        LabRequirementError: With what is missing and what the lab would do.
    """
    check_root()
    programs = TO_RUN if has_image else {**TO_RUN, **TO_BUILD}
    missing = sorted({pkg for name, pkg in programs.items() if shutil.which(name) is None})
    if missing:
        raise LabRequirementError(
            f"a lab needs programs that are not here, from the packages: {', '.join(missing)}. "
            f"{WOULD}",
            hint=f"apt-get install {' '.join(missing)}",
        )
    if "overlay" not in Path("/proc/filesystems").read_text():
        raise LabRequirementError("a lab needs overlayfs in the kernel", hint="modprobe overlay")
    cgroup2_root()
    _check_inotify(host_count)


def check_root() -> None:
    """Refuse another system than Linux, and another user than root.

    Raises:
        LabRequirementError: With what the lab would do.
    """
    if platform.system() != "Linux":
        raise LabRequirementError(f"a lab needs Linux, and this is {platform.system()}. {WOULD}")
    if os.geteuid() != 0:
        raise LabRequirementError(
            f"a lab needs root, to make namespaces and mounts. {WOULD}",
            hint="run the same command as root",
        )


def _check_inotify(host_count: int) -> None:
    limit = int(_INOTIFY.read_text())
    needed = host_count * _INSTANCES_PER_HOST + _INSTANCES_FOR_OTHERS
    if needed > limit:
        raise LabRequirementError(
            f"{host_count} hosts need about {needed} inotify instances, and this machine allows "
            f"{limit}",
            hint=f"sysctl fs.inotify.max_user_instances={max(1024, 2 * needed)}",
        )
