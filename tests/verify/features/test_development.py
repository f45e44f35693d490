"""The feature development: what people write programs with."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/development").exists


TOOLS = {
    "c": ("gcc", "gdb"),
    "go": ("go", "gopls"),
    "java": ("javac", "mvn"),
    "nix": ("nil",),
    "node": ("node", "npm"),
    "python": ("python3", "uv"),
    "rust": ("cargo", "rustc", "rust-analyzer"),
    "shell": ("shellcheck", "shfmt"),
}


def test_languages_are_known(host: Any) -> None:
    """The system was built for languages that there are tools for."""
    languages = host.file("/etc/fleet/features/development").content_string.split()
    assert languages
    assert set(languages) <= TOOLS.keys()


@pytest.mark.usefixtures("not_in_lab")
def test_tools_of_each_language_are_there(host: Any) -> None:
    """Compilers and language servers of each language are found on the host's path."""
    languages = host.file("/etc/fleet/features/development").content_string.split()
    missing = [tool for one in languages for tool in TOOLS[one] if not host.exists(tool)]
    assert missing == []
