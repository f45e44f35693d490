"""A fault that comes with the deployment itself."""

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
        outcome: What the deployer must report, where only one word is right.
        before: Shell on the host, before the deployment.
        holds: Shell on the host that fails where something is not as it was before.
        after: Shell on the host, once all is judged, that undoes it.
    """

    name: str
    words: str
    phase: str
    body: str = ""
    check: str = _GOOD_CHECK
    end: str = "old"
    outcome: str = ""
    before: str = ""
    holds: str = "true"
    after: str = ""

    def check_for(self, ground: Ground) -> str:
        """Its verification, for a fleet."""
        return self.check.replace("FOLDER", repr(str(check_folder(ground))))
