"""The feature host-page: a page that says what the host is."""

from __future__ import annotations

from typing import Any

# bash speaks TCP by itself; not every host has curl.
GET = (
    "bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080 && "
    r'printf "GET / HTTP/1.0\r\n\r\n" >&3 && cat <&3'
    "'"
)


def test_unit_is_active(host: Any) -> None:
    """The unit that serves the host's page is running."""
    assert host.service("host-page").is_running


def test_page_is_served(host: Any, fleet_host: dict[str, Any]) -> None:
    """The page answers on port 8080 and names this host."""
    answer = host.run(GET)
    assert answer.rc == 0, answer.stderr
    assert " 200 " in answer.stdout.splitlines()[0]
    assert (fleet_host["class"] or fleet_host["name"]) in answer.stdout
