"""What a service tells systemd: datagrams to the socket that the environment names."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.offline.watch import notify, signs_of_life, watchdog_seconds


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Listen as systemd does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield end


def test_lines_go_in_one_datagram(manager: socket.socket) -> None:
    """The lines for sd_notify(3) are sent in one datagram."""
    notify("READY=1", "STATUS=2 waiting")
    assert manager.recv(4096) == b"READY=1\nSTATUS=2 waiting"


def test_a_name_in_the_abstract_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket in the abstract namespace is given by a name that begins with an @."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(f"\0notify-{os.getpid()}")
        end.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@notify-{os.getpid()}")
        notify("STOPPING=1")
        assert end.recv(4096) == b"STOPPING=1"


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "x" * 300])
def test_nobody_listens(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no service manager listens, ``notify`` raises nothing and the service goes on."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")


@pytest.mark.parametrize(
    ("microseconds", "pid", "expected"),
    [
        ("3000000", None, 3.0),
        pytest.param("3000000", str(os.getpid()), 3.0, id="our own process"),
        ("3000000", "1", None),
        ("0", None, None),
        ("", None, None),
        ("soon", None, None),
    ],
)
def test_how_often_a_sign_of_life_is_wanted(
    microseconds: str, pid: str | None, expected: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interval for signs of life is read as by sd_watchdog_enabled(3), for this process."""
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    if pid is None:
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
    else:
        monkeypatch.setenv("WATCHDOG_PID", pid)
    assert watchdog_seconds() == expected


def test_signs_of_life_come_again_and_again(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signs of life are sent again and again for as long as the context is open."""
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)

    async def live() -> None:
        async with signs_of_life():
            for _ in range(3):
                said = await asyncio.to_thread(manager.recv, 4096)
                assert said == b"WATCHDOG=1"

    asyncio.run(live())
