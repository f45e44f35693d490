"""Two judges of a case: OpenSSH's ssh, and we."""

from __future__ import annotations

import asyncio
import base64
import io
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from orchestrator.core.errors import StepError
from orchestrator.core.host import Connect, Deadlines, Fleet, Host
from orchestrator.host.draw_execute import JsonLines
from orchestrator.host.execute import ExecRequest, execute, log_in
from orchestrator.host.setup import Setup
from orchestrator.nix.verbs import Flake
from orchestrator.render.output import Output
from orchestrator.ssh.connect import connected
from orchestrator.ssh.said import said_of
from orchestrator.ssh.settings import SshSettings
from orchestrator.ssh.verified import trust_in
from orchestrator.ssh.verify import UntrustedError
from tests.trust.cases import Case
from tests.trust.keys import Keys
from tests.trust.peers import Peer

_LET_IN = b"Permission denied"
"""What ssh says once it has accepted the host's key: the server lets nobody in."""

_RELAY = Path(__file__).parent / "relay.pl"
"""Reaches a server whatever the host's name is: none need be resolved then."""

_DEADLINE = 30


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge made of a case, and why."""

    accepted: bool
    reason: str


def write_config(case: Case, peer: Peer) -> None:
    """Write the case's ``ssh_config``: its lines, then how its server is reached."""
    lines = (
        "BatchMode yes",
        "PreferredAuthentications publickey",
        "IdentityFile none",
        "IdentityAgent none",
        "KexAlgorithms curve25519-sha256",
        f"ProxyCommand perl {_RELAY} {peer.port}",
        *case.lines,
    )
    case.config.write_text("\n".join(lines) + "\n")


async def openssh(case: Case) -> Verdict:
    """Ask ssh, as strict as we always are."""
    argv = ("-F", str(case.config), "-p", str(case.port), "-o", "StrictHostKeyChecking=yes")
    process = await asyncio.create_subprocess_exec(
        "ssh",
        *argv,
        "--",
        case.address,
        "true",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), _DEADLINE)
    text = said.decode(errors="replace").strip()
    return Verdict(_LET_IN in said, text.split("\n")[-1] if text else "")


async def ours(case: Case, peer: Peer, keys: Keys) -> Verdict:
    """Ask that which decides, with the key that the server would show us."""
    target = Connect(case.address, "root", case.port)
    settings = SshSettings(config=str(case.config))
    try:
        trust = await trust_in(await said_of(target, settings), settings)
    except StepError as error:
        return Verdict(False, str(error))
    agreed = next((one for one in trust.algorithms() if one in peer.shown), None)
    if agreed is None:
        return Verdict(False, "no algorithm in common")
    blob = base64.b64decode(keys.public(peer.shown[agreed]).split()[1])
    try:
        key = trust.check(blob, None, agreed)
    except UntrustedError as error:
        return Verdict(False, str(error))
    if peer.signs and peer.signs.encode() not in key.all_sig_algorithms:
        return Verdict(False, "a signature that nobody agreed on")
    return Verdict(True, "")


def _host(case: Case) -> Host:
    to = Connect(case.address, "root", case.port)
    return Host("h", "h", to, deadlines=Deadlines(connect=_DEADLINE))


def _verdict(error: StepError) -> Verdict:
    """The server lets nobody in: a login that was refused is a key that was accepted."""
    return Verdict(isinstance(error.__cause__, asyncssh.PermissionDenied), str(error))


async def ours_connecting(case: Case) -> Verdict:
    """Make the whole connection, as a deployment does."""
    try:
        async with connected(_host(case), SshSettings(config=str(case.config))):
            raise AssertionError("the server lets nobody in")
    except StepError as error:
        return _verdict(error)


def _setup(case: Case) -> Setup:
    folder = str(case.folder)
    fleet = Fleet("fleet", folder, folder, {"h": _host(case)})
    return Setup(fleet, Flake(folder, folder), SshSettings(config=str(case.config)), case.folder)


async def ours_executing(case: Case) -> Verdict:
    """Run a command by ``host exec``: Fabric's group, over our own connection."""
    setup, nowhere = _setup(case), Output(io.StringIO())
    output = JsonLines(nowhere, nowhere)
    request = ExecRequest(("true",))
    (result,), _ = await asyncio.to_thread(execute, setup, (_host(case),), request, output)
    assert result.error is not None
    return _verdict(result.error)


async def ours_logging_in(case: Case) -> Verdict:
    """Log in by ``host ssh``."""
    try:
        await asyncio.to_thread(log_in, _setup(case), _host(case), ("true",), root=False)
    except StepError as error:
        return _verdict(error)
    raise AssertionError("the server lets nobody in")
