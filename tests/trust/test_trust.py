"""Some hundreds of cases; thousands by hand, or with ``scripts/test --long``: see the README."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.trust import judges
from tests.trust.campaign import Connecting, campaign, class_of
from tests.trust.cases import Case
from tests.trust.keys import PRINCIPAL, Keys, make_keys
from tests.trust.peers import ODD, Peer, peers

pytestmark = pytest.mark.timeout(900)

SEEDS = (101, 102, 103)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Keys, authorities and certificates of all sorts."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.mark.parametrize("seed", SEEDS)
def test_we_accept_nobody_whom_ssh_refuses(seed: int, keys: Keys, tmp_path: Path) -> None:
    """Whatever the files say, in either order of two hosts; and few are refused whom ssh takes."""
    tally = asyncio.run(campaign(keys, tmp_path, seed, 50))
    assert tally.wrong == []
    assert tally.accepted > 10
    assert tally.refused > 10
    assert tally.stricter.total() < 20, tally


@pytest.mark.parametrize(
    "connect", [judges.ours_connecting, judges.ours_executing, judges.ours_logging_in]
)
def test_the_whole_connection_says_the_same(
    keys: Keys, tmp_path: Path, connect: Connecting
) -> None:
    """A deployment's, that of ``host exec`` and that of ``host ssh``: there is no other way in.

    Not only that which decides: asyncssh asks it.
    """
    tally = asyncio.run(campaign(keys, tmp_path, 104, 60, connect=connect))
    assert tally.wrong == []
    assert tally.accepted > 5


def test_a_difference_has_a_class() -> None:
    """What nobody has thought of stands out."""
    assert class_of("something new").startswith("other")


def test_a_server_keeps_to_what_was_agreed_on(keys: Keys, tmp_path: Path) -> None:
    """Another kind of key, a certificate more or less, another signature: all refused, as by ssh.

    Though each key is known, the authority too, and ``HostKeyAlgorithms`` allows SHA-1.
    """
    known = tmp_path / "known"
    lines = [f"{PRINCIPAL} {keys.public(name)}\n" for name in ("ed", "ec", "rsa")]
    known.write_text("".join((*lines, f"@cert-authority {PRINCIPAL} {keys.public('ca')}\n")))
    options = ("GlobalKnownHostsFile none", "HostKeyAlgorithms +ssh-rsa")
    honest = ("ed", "rsa", "ed+rsa", "good", "rsa-good")

    async def both(name: str, peer: Peer) -> tuple[bool, bool]:
        case = Case(PRINCIPAL, 22, name, tmp_path, PRINCIPAL, copy=name)
        case.lines.extend((f"UserKnownHostsFile {known}", *options))
        judges.write_config(case, peer)
        theirs, ours = await judges.openssh(case), await judges.ours_connecting(case)
        return theirs.accepted, ours.accepted

    async def all_of_them() -> dict[str, tuple[bool, bool]]:
        async with peers(keys) as found:
            return {name: await both(name, found[name]) for name in (*honest, *ODD)}

    expected = dict.fromkeys(honest, (True, True)) | dict.fromkeys(ODD, (False, False))
    assert asyncio.run(all_of_them()) == expected
