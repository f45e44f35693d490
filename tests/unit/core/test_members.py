"""Members of a class as hosts, and as other machines."""

from __future__ import annotations

from orchestrator.core.host import Connect, Host, Verify
from orchestrator.core.members import HostEntry, Hosts, Member, as_machines

ID = "0123456789abcdef0123456789abcdef"
SHARED = Host("k", "k", Connect("k", user="ops", port=7), tags=("a",), verify=Verify(("s",)))


def test_a_member_overrides_what_it_says_for_itself_and_nothing_else() -> None:
    """The way to it, its machine-id, more tags and suites are its own; the rest is shared."""
    own = Member("k-1", "10.0.0.1", 22, "root", "gate", "key", ID, ("b", "a"), ("t",))
    made = own.of(SHARED)
    assert made.connect == Connect("10.0.0.1", "root", 22, "gate", "key")
    assert (made.name, made.of, made.attr, made.machine_id) == ("k-1", "k", "k", ID)
    assert (made.tags, made.verify.suites) == (("a", "b"), ("s", "t"))
    plain = Member("k-2", "k-2").of(SHARED)
    assert plain.connect == Connect("k-2", user="ops", port=7)
    assert (plain.tags, plain.verify, plain.machine_id) == (("a",), SHARED.verify, None)


def test_hosts_of_a_lab_are_the_labs_machines() -> None:
    """Each has the id that the lab gave it, and none that it has not."""
    members = (Member("k-1", "a", machine_id=ID), Member("k-2", "b"), Member("k-3", "c"))
    hosts = Hosts((HostEntry(Host("web", "web", Connect("w"))), HostEntry(SHARED, members)))
    found = as_machines(hosts, {"k-2": "2" * 32, "web": "0" * 32})
    ids = {name: host.machine_id for name, host in found.items()}
    assert ids == {"web": "0" * 32, "k-1": None, "k-2": "2" * 32, "k-3": None}
    assert as_machines(dict(hosts), {"k-2": "2" * 32})["k-2"].machine_id == "2" * 32
