"""Faults that come with the deployment itself: a change that cuts us off, a check that lies."""

from __future__ import annotations

from tests.lab.faults.change import Change
from tests.lab.faults.doors import SHUT_DOORS

CHANGES = {
    change.name: change
    for change in (
        *SHUT_DOORS,
        Change(
            "activation-hangs",
            "the activation never ends",
            "activate",
            'system.activationScripts.hangs.text = "while :; do sleep 1; done";',
        ),
        Change(
            "activation-fails",
            "the activation ends with an error",
            "activate",
            'system.activationScripts.fails.text = "exit 1";',
        ),
        Change(
            "verification-fails",
            "a check fails",
            "verify",
            check="def test_no(host):\n    assert host.file('/never').exists\n",
        ),
        Change(
            "verification-hangs",
            "a check never ends",
            "verify",
            check="import time\n\n\ndef test_no(host):\n    time.sleep(600)\n",
        ),
        Change(
            "verification-flaps",
            "a check fails, and passes when it is tried again",
            "verify",
            check=(
                "from pathlib import Path\n\n\ndef test_now(host):\n"
                "    once = Path(FOLDER) / 'tried'\n    if not once.exists():\n"
                "        once.touch()\n        raise AssertionError('not yet')\n"
                "    once.unlink()\n"
            ),
            end="new",
        ),
    )
}
"""Every change by its name."""
