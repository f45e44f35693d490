"""What Nix's own ssh is told, read back by OpenSSH itself."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from orchestrator.core.host import Connect, Host
from orchestrator.ssh import said as module
from orchestrator.ssh.executor import ssh_ng
from orchestrator.ssh.rules import Rules
from orchestrator.ssh.settings import SshSettings


def effective(url: str, options: str) -> dict[str, str]:
    """The settings that ssh would use for a store's URL: ``ssh -G``."""
    host = urlsplit(url).hostname
    assert host is not None
    done = subprocess.run(
        ("ssh", *options.split(), "-G", host), capture_output=True, text=True, check=True
    )
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A person's ssh_config, in a folder with a space in its name, that is none too strict."""
    folder = tmp_path / "my files"
    folder.mkdir()
    file = folder / "config"
    file.write_text(
        "Host web1\n  HostName 192.0.2.7\n  User somebody\n  Port 2200\n"
        "Host *\n  StrictHostKeyChecking no\n  ControlPath /tmp/%C\n  ServerAliveInterval 0\n"
    )
    return file


def test_what_the_person_configured_holds_and_keys_stay_strict(own: Path, tmp_path: Path) -> None:
    """Aliases are resolved; strictness, keep-alive and a connection of its own are ours."""
    way = ssh_ng(Host("web1", "web1", Connect("web1")), SshSettings(str(own)), (), tmp_path)
    found = effective(way.url, way.options)
    assert (found["hostname"], found["user"], found["port"]) == ("192.0.2.7", "somebody", "2200")
    assert found["stricthostkeychecking"] == "true"
    assert found["batchmode"] == "yes"
    assert found.get("controlpath", "none") == "none"
    assert found["serveraliveinterval"] == "5"
    assert urlsplit(way.url).query == ""


def test_the_inventory_goes_before_the_persons_file(own: Path, tmp_path: Path) -> None:
    """User, port, key and jump host are the inventory's where it names them; files are ours."""
    known, key = tmp_path / "known hosts", tmp_path / "a key"
    target = Connect("web1", user="deploy", port=2222, jump="gate.example", identity=str(key))
    host = Host("web1", "web1", target)
    way = ssh_ng(host, SshSettings(str(own), str(known)), ("sudo", "-n", "nix-daemon"), tmp_path)
    found = effective(way.url, way.options)
    assert (found["user"], found["port"], found["proxyjump"]) == ("deploy", "2222", "gate.example")
    assert found["identityfile"] == str(key)
    assert found["userknownhostsfile"].strip('"') == str(known)
    assert found["globalknownhostsfile"] in ("none", "/dev/null")
    assert parse_qs(urlsplit(way.url).query) == {"remote-program": ["sudo -n nix-daemon"]}
    # The jump host is reached by its own settings, as strictly.
    jump = effective("ssh-ng://gate.example", way.options)
    assert jump["port"] == "22"
    assert jump["user"] != "deploy"
    assert jump["stricthostkeychecking"] == "true"


def test_an_ipv6_address_needs_no_brackets(own: Path, tmp_path: Path) -> None:
    """Not every Nix takes one in a URL."""
    way = ssh_ng(Host("v6", "v6", Connect("2001:db8::1")), SshSettings(str(own)), (), tmp_path)
    assert effective(way.url, way.options)["hostname"] == "2001:db8::1"


def test_nixs_ssh_is_given_nothing_and_is_as_strict(own: Path, tmp_path: Path) -> None:
    """No agent, no display, no forwarding; and no option makes it believe more than we do."""
    lax = ("ForwardAgent", "ForwardX11", "NoHostAuthenticationForLocalhost", "VerifyHostKeyDNS")
    more = "".join(f"  {word} yes\n" for word in (*lax, "PermitLocalCommand", "UpdateHostKeys"))
    own.write_text(own.read_text() + more + "  LocalForward 1 h:1\n")
    way = ssh_ng(Host("web1", "web1", Connect("web1")), SshSettings(str(own)), (), tmp_path)
    found = effective(way.url, way.options)
    assert {found[word.lower()] for word in lax} <= {"no", "false"}
    assert found["permitlocalcommand"] == "no"
    assert found["updatehostkeys"] == "false"
    assert found["clearallforwardings"] == "yes"
    assert way.options.startswith("-k ")
    plain = tmp_path / "config"
    plain.write_text(own.read_text())
    others = effective("ssh-ng://web1", SshSettings(str(plain)).nix_options)
    assert (others["forwardagent"], others["stricthostkeychecking"]) == ("no", "true")


def test_what_is_said_of_trusting_an_ipv6_address_holds(own: Path, tmp_path: Path) -> None:
    """Under the name that stands for it, ssh would not find it."""
    rules = Rules(
        alias="some.alias",
        user_files=("/known",),
        global_files=(),
        revoked=("/revoked",),
        authority_algorithms=("ssh-ed25519",),
        rsa_bits=3072,
    )
    host = Host("v6", "v6", Connect("2001:db8::1"))
    way = ssh_ng(host, SshSettings(str(own)), (), tmp_path, rules)
    found = effective(way.url, way.options)
    assert found["hostkeyalias"] == "some.alias"
    assert (found["userknownhostsfile"], found["revokedhostkeys"]) == ("/known", "/revoked")
    assert found.get("globalknownhostsfile", "none") == "none"
    assert (found["casignaturealgorithms"], found["requiredrsasize"]) == ("ssh-ed25519", "3072")


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
    module.forget()
    try:
        plain = asyncio.run(module.nix_environment(SshSettings("/c")))["NIX_SSHOPTS"]
        patched = asyncio.run(module.strict_where_known())
    finally:
        module.forget()
    host = Host("web1", "web1", Connect("web1"))
    way = ssh_ng(host, SshSettings("/c"), (), tmp_path, None, patched)
    for word in ("GSSAPIKeyExchange", "GSSAPITrustDns"):
        assert (f"-o{word}=no" in plain.split()) is (said != "port 22")
        lines = (tmp_path / "ssh_config").read_text().split("Host web1")[0].split("\n")
        assert (f"{word} no" in lines) is (said != "port 22")
    assert "-F" in way.options
