"""What an ssh that Nix starts (for a builder, for a cache) is told, read back by OpenSSH itself."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from orchestrator.ssh import said as ssh_said
from orchestrator.ssh.settings import SshSettings


def effective(options: str, host: str) -> dict[str, str]:
    """The settings that ssh would use for a host: ``ssh -G``."""
    done = subprocess.run(
        ("ssh", *options.split(), "-G", host), capture_output=True, text=True, check=True
    )
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def test_nixs_ssh_is_given_nothing_and_is_as_strict(tmp_path: Path) -> None:
    """Neither the agent nor a display, and only keys that are known, whatever the file says."""
    config = tmp_path / "config"
    config.write_text(
        "Host web1\n  HostName 192.0.2.7\n"
        "Host *\n  StrictHostKeyChecking no\n  ForwardAgent yes\n  ForwardX11 yes\n"
    )
    found = effective(SshSettings(str(config)).nix_options, "web1")
    assert found["hostname"] == "192.0.2.7", "the person's file is read"
    assert (found["forwardagent"], found["forwardx11"]) == ("no", "no")
    assert found["stricthostkeychecking"] == "true"


def test_nixs_ssh_runs_nixs_command_and_nothing_else(tmp_path: Path) -> None:
    """A file's ``RequestTTY force``, ``RemoteCommand``, forwarded ports or ``-f`` harm no copy."""
    config = tmp_path / "config"
    config.write_text(
        "RequestTTY force\nRemoteCommand sleep 60\nLocalForward 1 localhost:2\n"
        "ForkAfterAuthentication yes\n"
    )
    ssh_said.forget()
    options = asyncio.run(ssh_said.nix_environment(SshSettings(str(config))))["NIX_SSHOPTS"]
    done = subprocess.run(
        ("ssh", *options.split(), "-G", "web1", "nix-store", "--serve"),
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert (found["requesttty"], found["forkafterauthentication"]) == ("false", "no")
    assert not {"remotecommand", "localforward"} & found.keys()


@pytest.mark.parametrize("said", ["gssapikeyexchange no\\ngssapitrustdns no", "port 22"])
def test_options_of_patched_sshs_are_given_where_they_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """No key is taken for what Kerberos or DNS says; an ssh that has no such option starts."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ssh").write_text(f"#!/bin/sh\nprintf '{said}\n'\n")
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    ssh_said.forget()
    try:
        options = asyncio.run(ssh_said.nix_environment(SshSettings("/c")))["NIX_SSHOPTS"]
    finally:
        ssh_said.forget()
    for word in ("GSSAPIKeyExchange", "GSSAPITrustDns"):
        assert (f"-o{word}=no" in options.split()) is (said != "port 22")
