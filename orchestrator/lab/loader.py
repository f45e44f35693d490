"""Stand in for a host's boot loader: print the stage 2 that its files in ``/boot`` start.

Run by the lab as a program, with the host's ``/boot`` and its ``/nix``: it reads what NixOS's own
builders for systemd-boot, GRUB and extlinux write. It shares nothing with the tool's reader of the
same files: where the two differ, a deployment in the lab fails.
"""

from __future__ import annotations

import fnmatch
import re
import sys
from pathlib import Path

_INIT = re.compile(r"(?:^|\s)init=(/nix/store/[^\s/]+)/init(?=\s|$)", re.MULTILINE)
_COUNTERS = re.compile(r"\+(\d+)(?:-\d+)?$")


class NothingBootsError(Exception):
    """The loader would stop here."""


def boots(boot: Path) -> str:
    """Return the store path of the system that the loader written last starts.

    Raises:
        NothingBootsError: No loader's files are there, or they name no system.
    """
    loaders = {
        boot / "loader/loader.conf": _systemd_boot,
        boot / "grub/grub.cfg": _grub,
        boot / "extlinux/extlinux.conf": _extlinux,
    }
    there = [file for file in loaders if file.is_file()]
    if not there:
        raise NothingBootsError("no boot loader's files are in /boot")
    newest = max(there, key=lambda file: file.stat().st_mtime_ns)
    return _system(loaders[newest](newest), newest)


def _system(text: str, file: Path) -> str:
    found = _INIT.search(text)
    if found is None:
        raise NothingBootsError(f"what {file.name} boots names no system")
    return found[1]


def _systemd_boot(conf: Path) -> str:
    """loader.conf(5): the first entry that `preferred`, then `default`, matches."""
    said = dict(line.split(None, 1) for line in conf.read_text().split("\n") if " " in line)
    entries = sorted(conf.parent.glob("entries/*.conf"), key=_by_version, reverse=True)
    entries.sort(key=lambda entry: _is_spent(entry.stem))
    for word in ("preferred", "default"):
        pattern = said.get(word, "").strip()
        for entry in entries:
            name = _COUNTERS.sub("", entry.stem) + ".conf"
            spent = word == "preferred" and _is_spent(entry.stem)
            if pattern and not spent and fnmatch.fnmatchcase(name, pattern):
                return entry.read_text()
    if not entries:
        raise NothingBootsError("systemd-boot has no entries")
    return entries[0].read_text()


def _is_spent(stem: str) -> bool:
    found = _COUNTERS.search(stem)
    return found is not None and int(found[1]) == 0


def _by_version(entry: Path) -> tuple[tuple[int, str], ...]:
    """Newest last, by the entry's ``version``: numbers as numbers."""
    found = re.search(r"^version\s+(.*)$", entry.read_text(), re.MULTILINE)
    words = re.findall(r"\d+|\D+", found[1] if found else entry.stem)
    return tuple((int(word), "") if word.isdigit() else (0, word) for word in words)


def _grub(cfg: Path) -> str:
    """Of the default that is written last the entry, by its number or its title."""
    text = cfg.read_text()
    defaults = re.findall(r"^\s*set default=\"?([^\"\n$]*)\"?\s*$", text, re.MULTILINE)
    wanted = defaults[-1] if defaults else "0"
    # Entries of submenus are indented or within braces; the outermost begin a line.
    entries = re.split(r"^(?=(?:menuentry|submenu)\s)", text, flags=re.MULTILINE)[1:]
    for number, entry in enumerate(entries):
        title = re.match(r"\w+\s+[\"']([^\"']*)", entry)
        if wanted in (str(number), title[1] if title else None):
            return entry
    raise NothingBootsError(f"GRUB has no entry {wanted}")


def _extlinux(conf: Path) -> str:
    """The label that DEFAULT names."""
    text = conf.read_text()
    wanted = re.findall(r"^DEFAULT\s+(\S+)\s*$", text, re.MULTILINE)
    for label in re.split(r"^(?=LABEL\s)", text, flags=re.MULTILINE)[1:]:
        if wanted and re.match(rf"LABEL\s+{re.escape(wanted[-1])}\s*$", label, re.MULTILINE):
            return label
    raise NothingBootsError(f"extlinux has no label {wanted[-1:]}")


def stage_2(system: str, nix: Path) -> str:
    """Return what is PID 1: stage 2 is `init`, or `prepare-root` where systemd is stage 1."""
    there = nix / system.removeprefix("/nix/")
    for name in ("prepare-root", "init"):
        if (there / name).exists() or (there / name).is_symlink():
            return f"{system}/{name}"
    raise NothingBootsError(f"{system} is not in the host's store")


if __name__ == "__main__":
    try:
        sys.stdout.write(stage_2(boots(Path(sys.argv[1])), Path(sys.argv[2])) + "\n")
    except NothingBootsError as error:
        sys.exit(f"the boot loader stops: {error}")
