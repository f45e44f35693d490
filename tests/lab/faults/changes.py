"""Faults that come with the deployment itself: a change that cuts us off, a check that lies."""

from __future__ import annotations

from dataclasses import dataclass

from tests.lab.faults.ground import Ground
from tests.lab.faults.phases import check_folder

_GOOD_CHECK = "def test_it_is_there(host):\n    assert host.file('/etc/hostname').exists\n"


@dataclass(frozen=True, slots=True)
class Change:
    """A system, or its verification, that is the fault.

    Attributes:
        name: Its name in the table.
        words: What happens.
        phase: The phase that meets it.
        body: What the system is configured with.
        check: Its verification; ``{folder}`` is one on the deployer.
        end: How the host is to end: ``old``, or ``new``.
    """

    name: str
    words: str
    phase: str
    body: str = ""
    check: str = _GOOD_CHECK
    end: str = "old"

    def check_for(self, ground: Ground) -> str:
        """Its verification, for a fleet."""
        return self.check.replace("FOLDER", repr(str(check_folder(ground))))


CHANGES = {
    change.name: change
    for change in (
        Change(
            "activation-cuts-network",
            "the new system takes the network down",
            "prove",
            'systemd.services.cable.script = "ip link set eth0 down";',
        ),
        Change(
            "activation-stops-sshd",
            "the new system stops sshd",
            "prove",
            'systemd.services.door.script = "systemctl stop ssh.service";',
        ),
        Change(
            "activation-changes-host-key",
            "the new system has another host key",
            "prove",
            """
            systemd.services.identity.script = ''
              cd /etc/ssh
              [ -e key.kept ] || cp -p ssh_host_ed25519_key key.kept
              rm -f ssh_host_ed25519_key
              ssh-keygen -q -t ed25519 -N "" -f ssh_host_ed25519_key
              systemctl restart ssh.service
            '';
            """,
        ),
        Change(
            "activation-breaks-sudo",
            "the new system lets the deployer's user do nothing",
            "prove",
            """
            environment.etc."sudoers.d/zz-broken" = {
              text = "deploy ALL=(ALL) !ALL\\n";
              mode = "0440";
            };
            """,
        ),
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
