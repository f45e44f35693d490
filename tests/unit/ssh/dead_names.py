"""In namespaces of its own: names that nobody answers for, hosts that do, and who asks them all.

usage: unshare --net --mount (--map-root-user) python dead_names.py FOLDER

The resolver is a socket on the loopback interface that takes every question and answers none.
Prints which hosts answered, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path

from test_ssh import LOCAL, Hub

from orchestrator.core.host import Connect, Deadlines, Fleet, Host
from orchestrator.host.setup import Setup
from orchestrator.host.status import ask_all
from orchestrator.nix.flake import Flake

DEAD, GOOD = 20, 30
FILES = {
    "resolv.conf": f"nameserver {LOCAL}\noptions timeout:30 attempts:5\n",
    "nsswitch.conf": "hosts: files dns\n",
    "hosts": f"{LOCAL} localhost {socket.gethostname()} "
    + " ".join(f"good{number}" for number in range(GOOD)),
}


def settle(folder: Path) -> socket.socket:
    """Bring the loopback interface up and have names looked up there; gives the resolver."""
    subprocess.run(("ip", "link", "set", "lo", "up"), check=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
        argv = ("mount", "--bind", str(folder / name), str(Path("/etc", name).resolve()))
        subprocess.run(argv, check=True)
    resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    resolver.bind((LOCAL, 53))
    return resolver


async def asked(folder: Path) -> dict[str, str]:
    """Ask all hosts, the dead ones first; give what each said, which is nothing where it answered.

    For the others few seconds are enough: they have none, and the test none to lose.
    """
    hub = Hub(folder)
    async with hub.server() as port:
        key = hub.host_key.export_public_key().decode()
        settings = hub.settings(None)
        (folder / "known_hosts").write_text("".join(f"[good{n}]:{port} {key}" for n in range(GOOD)))
        names = [*(f"dead{n}.example" for n in range(DEAD)), *(f"good{n}" for n in range(GOOD))]
        hosts = [
            Host(
                name.partition(".")[0],
                name,
                Connect(name, "root", port, identity=str(folder / "id")),
                deadlines=Deadlines(connect=3 if name.startswith("dead") else 60),
            )
            for name in names
        ]
        fleet = Fleet("f", str(folder), str(folder), {one.name: one for one in hosts})
        setup = Setup(fleet, Flake.at(str(folder), str(folder)), settings, folder)
        answers = await ask_all(setup, hosts)
        return {one.host.name: one.error.message if one.error else "" for one in answers}


def main() -> None:
    """Ask, and print who answered."""
    folder = Path(sys.argv[1])
    with settle(folder):
        sys.stdout.write(json.dumps(asyncio.run(asked(folder))))


main()
