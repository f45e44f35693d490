"""While a lab is up, no host of the fleet is the machine that one sits on."""

from __future__ import annotations

from orchestrator.cli.opening import in_lab
from orchestrator.core.host import Connect, Fleet, Host


def test_in_a_lab_no_host_is_this_machine() -> None:
    """A host that the inventory says is this machine is the lab's host, or none that is up."""
    hosts = {
        name: Host(name, name, Connect(name), machine_id=this)
        for name, this in (("p620", "a" * 32), ("razer", "b" * 32), ("p510", None))
    }
    found = in_lab(
        Fleet("example", "/fleet", "/fleet", hosts), {"p620": "c" * 32, "p510": "d" * 32}
    )
    assert {name: host.machine_id for name, host in found.hosts.items()} == {
        "p620": "c" * 32,
        "razer": None,
        "p510": "d" * 32,
    }
