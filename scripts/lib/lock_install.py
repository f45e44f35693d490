"""Install exactly what a lock names, and the checkout in this folder, with the running Python.

usage: VENV/bin/python -I scripts/lib/lock_install.py LOCK

What an index has newer, what a pip.conf or a variable says of what to install or where to: none of
it counts. How packages are reached is the person's to say: see ``REACH``.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import time

REACH = (
    "cache-dir",
    "cert",
    "client-cert",
    "default-timeout",
    "extra-index-url",
    "find-links",
    "index-url",
    "keyring-provider",
    "no-cache-dir",
    "no-index",
    "proxy",
    "retries",
    "timeout",
    "trusted-host",
)
"""The settings of pip that say how packages are reached, and not what is installed or where."""

SECTIONS = ("global", "install", ":env:")
"""Where pip looks for its settings; what comes later counts more."""

EXACTLY = ("--no-deps", "--require-hashes", "--only-binary=:all:")
PIP = (sys.executable, "-I", "-m", "pip")
ATTEMPTS = 3
PAUSE = 5.0
"""Seconds before another attempt, where ``LOCK_INSTALL_PAUSE`` does not say otherwise."""

_SETTING = re.compile(r"^([\w:]+)\.([\w-]+)=(['\"].*)$", re.MULTILINE)


def main(lock: str) -> int:
    """Install; return an exit code."""
    environment = clean_environment()
    install = (*PIP, "install", "--no-compile", *EXACTLY, "-r", lock)
    if not patiently(install, environment):
        say(
            f"error: what {lock} names could not be installed; pip's own words are above.\n"
            "  Where it says 'No matching distribution': your package index lacks that release (a\n"
            "    mirror may lag behind; PIP_INDEX_URL names another) or a wheel for this Python,\n"
            f"    {sys.version.split()[0]} at {sys.executable}.\n"
            "  Where it cannot connect: PIP_INDEX_URL, PIP_PROXY and PIP_CERT are taken over.\n"
            f"  By hand: {' '.join(install)}"
        )
        return 1
    # A home of its own: there may be a ~/.pydistutils.cfg that says where to.
    checkout = (*PIP, "install", "--no-deps", "--no-build-isolation", "--no-index", "-e", ".")
    for command in (checkout, (*PIP, "check")):
        if subprocess.run(command, env={**environment, "HOME": sys.prefix}).returncode:
            return 1
    return 0


def patiently(command: tuple[str, ...], environment: dict[str, str]) -> bool:
    """Run a command that fetches, again where it fails: a connection may break at any byte."""
    pause = float(os.environ.get("LOCK_INSTALL_PAUSE", PAUSE))
    for attempt in range(ATTEMPTS):
        if attempt:
            say(f"again in {pause:.0f} s")
            time.sleep(pause)
        if subprocess.run(command, env=environment).returncode == 0:
            return True
    return False


def clean_environment() -> dict[str, str]:
    """Return this environment with those settings of pip, of all of them, that may count."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIP_", "PYTHON", "VIRTUAL_ENV"))
    }
    # With the null device no file of settings is read.
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    for name, value in person_settings():
        environment[f"PIP_{name.upper().replace('-', '_')}"] = value
    return environment


def person_settings() -> list[tuple[str, str]]:
    """Ask pip for what its files and variables say of reaching packages, weakest first."""
    # Loud, since a setting may make it quiet; what else it then says has another form.
    done = subprocess.run((*PIP, "-vvv", "config", "list"), stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit("error: pip cannot read its own settings; see above")
    found = _SETTING.findall(done.stdout)
    return [
        (name, ast.literal_eval(value))
        for wanted in SECTIONS
        for section, name, value in found
        if section == wanted and name in REACH
    ]


def say(text: str) -> None:
    """Say something between pip's own lines."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
