"""Clocks that jump on a host, by stand-ins: the kernel's is this machine's, and not touched."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

from tests.lab.faults.campaign.strikes import Hit, Stage

_HOUR = 3600
_FAKE_DATE = """
cp -p /usr/bin/date /run/fault-date.real
cat > /run/fault-date << END
#!/bin/sh
case " \\$* " in *' -d '*|*' --date'*) exec /run/fault-date.real "\\$@" ;; esac
exec /run/fault-date.real -d "$1" "\\$@"
END
chmod 0755 /run/fault-date
mount --bind /run/fault-date /usr/bin/date
"""
_TRUE_DATE = "umount -l /usr/bin/date 2> /dev/null; rm -f /run/fault-date*"
_DATES = {"a day ahead": "1 day", "a day behind": "1 day ago", "1970": "@1000"}
_SLEPT = "an hour of sleep"


def move_clock(stage: Stage, chance: random.Random) -> Hit:
    """Have the host's date(1) be wrong, or its ``/proc/uptime`` an hour ahead, as after a sleep.

    All hosts of a lab share this machine's clock, which is not touched: what asks the kernel
    itself, such as systemd, sees no jump.
    """
    way = chance.choice([*_DATES, _SLEPT])
    if way != _SLEPT:
        stage.inside(_FAKE_DATE, _DATES[way])
        return Hit(way, lambda: stage.inside(_TRUE_DATE), "rest")
    stage.inside("mkdir -p /run/fault; printf '%-40s\\n' 0 > /run/fault/uptime")
    clock = _Uptime(Path(f"{stage.eyes.root}/run/fault/uptime"))
    stage.inside("mount --bind /run/fault/uptime /proc/uptime")

    def wake() -> None:
        # No such clock ever goes back: what counts by it, when all has come to rest, goes with it.
        stage.inside("umount -l /proc/uptime 2> /dev/null && rm -f /run/orchestrator/lock || :")
        clock.stop()

    return Hit(way, wake, "rest")


class _Uptime:
    """Keeps a file going that says how long a machine is up which has slept for an hour."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_WRONLY)
        self._over = threading.Event()
        self._write()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        os.close(self._file)

    def _go_on(self) -> None:
        while not self._over.wait(0.02):
            self._write()

    def _write(self) -> None:
        up = float(Path("/proc/uptime").read_text().split()[0]) + _HOUR
        os.pwrite(self._file, f"{up:.2f} {up:.2f}".ljust(40).encode() + b"\n", 0)
