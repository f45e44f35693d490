"""The feature status-api: how the host is, for who has the token."""

from __future__ import annotations

import json
from typing import Any

TOKEN = "/run/agenix/status-token"
ENVIRONMENT = "/run/agenix/status-environment"

# bash speaks TCP by itself; not every host has curl. What is secret stays on the host, and is no
# process's argument there: `printf` is the shell's own.
ASK = r"""bash -c '
exec 3<>/dev/tcp/127.0.0.1/8081
printf "GET /host.json HTTP/1.0\r\n%s\r\n\r\n" "HEADER" >&3
cat <&3
'"""
NOBODY = "Accept: */*"
WITH_TOKEN = (
    f"Authorization: Basic $(printf %s:%s "
    f"$(sed -n s/^STATUS_USER=//p {ENVIRONMENT}) $(cat {TOKEN}) | base64 -w 0)"
)


def ask(host: Any, header: str) -> tuple[str, str]:
    """Ask the service, as root on the host.

    Args:
        host: The host.
        header: A line of the request's head; what is in ``$(…)`` is run on the host.

    Returns:
        The head of the answer and its body.
    """
    answer = host.run(ASK.replace("HEADER", header))
    assert answer.rc == 0, answer.stderr
    head, _, body = answer.stdout.replace("\r\n", "\n").partition("\n\n")
    return head, body


def test_secrets_are_whose_they_should_be(host: Any) -> None:
    """The token is the service's alone, the environment root's; both lie in memory."""
    for path, owner in ((TOKEN, "status-api"), (ENVIRONMENT, "root")):
        file = host.file(path)
        assert (file.user, file.group, file.mode) == (owner, owner, 0o400), path
        assert file.size > 0, path
    assert host.mount_point("/run/agenix.d").filesystem in ("ramfs", "tmpfs")


def test_nothing_is_said_without_the_token(host: Any) -> None:
    """Who has no token learns nothing but the realm, which the secret environment names."""
    realm = host.check_output(f"sed -n s/^STATUS_REALM=//p {ENVIRONMENT}")
    head, _ = ask(host, NOBODY)
    assert " 401 " in head
    assert realm
    assert f'realm="{realm}"' in head


def test_the_token_opens_it(host: Any, fleet_host: dict[str, Any]) -> None:
    """With the user of the environment and the token of the file the answer is about this host."""
    head, body = ask(host, WITH_TOKEN)
    assert " 200 " in head
    assert json.loads(body)["name"] == (fleet_host["class"] or fleet_host["name"])
