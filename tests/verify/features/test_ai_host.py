"""The feature ai-host: runs language models."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/ai-host").exists


@pytest.mark.usefixtures("not_in_lab")
def test_service_listens_on_the_host_alone(host: Any) -> None:
    """Ollama runs, and nobody reaches it from another machine."""
    assert host.service("ollama").is_running
    assert host.socket("tcp://127.0.0.1:11434").is_listening
    assert not host.socket("tcp://0.0.0.0:11434").is_listening
