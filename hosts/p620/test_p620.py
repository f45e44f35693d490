"""The fleet's binary cache."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.usefixtures("not_in_lab")
def test_cache_answers(host: Any) -> None:
    """The fleet's hosts would fetch from here: the cache tells about itself."""
    answer = host.run(
        "bash -c 'exec 3<>/dev/tcp/127.0.0.1/5000 && "
        r'printf "GET /nix-cache-info HTTP/1.0\r\n\r\n" >&3 && cat <&3'
        "'"
    )
    assert "StoreDir: /nix/store" in answer.stdout, answer.stderr
