"""The files that let any SSH client reach a lab's hosts by name, with strict host keys."""

from __future__ import annotations

from orchestrator.lab.places import LabPlaces
from orchestrator.lab.record import LabRecord, write_atomically


def write(places: LabPlaces, lab: LabRecord) -> None:
    """Write ``known_hosts`` (sshd(8)) and ``ssh_config`` (ssh_config(5))."""
    known = [f"{name},{host.address} {host.host_key}\n" for name, host in lab.hosts.items()]
    write_atomically(places.known_hosts, "".join(known))
    blocks = [f"Host {name}\n  HostName {host.address}\n" for name, host in lab.hosts.items()]
    common = (
        "Host *\n"
        "  User root\n"
        f"  IdentityFile {places.identity}\n"
        "  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {places.known_hosts}\n"
        "  GlobalKnownHostsFile /dev/null\n"
        "  StrictHostKeyChecking yes\n"
        "  BatchMode yes\n"
        "  ConnectTimeout 10\n"
    )
    write_atomically(places.ssh_config, "\n".join([*blocks, common]))
