"""Files that sops itself encrypted, and repositories made of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from orchestrator.secrets.files.sops import format_of, read_content
from orchestrator.secrets.model.sops import (
    SopsContent,
    SopsEvidence,
    SopsKey,
    SopsKeys,
    SopsUse,
)
from orchestrator.secrets.sops import gather_sops

MADE = Path(__file__).parent / "sops"
ADMIN = "age1lf9kh23wkf0hnn0rqw2zw6ly4p4ms3p2tzgs5plx4epp2rk60umsvtpkzu"
WEB1 = "age1m024ktg7zndjt2qq9qpyfry505qjd2adj9gdz4myv2l8s8gzcsxs030aqp"
DB1 = "age128e3gguzgjejt0mushj9023gyafjhp2yff3980cceyrnznlhu9eqdn330m"
_SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"
WEB1_SSH = f"{_SSH}Mp2rKRdQRrifwLyCh0Wb5RtYYjUvg+yAHAM00bRkPt5"
DB1_SSH = f"{_SSH}B9hFGoIbCdnbc0cVGLcFhXLkZcMXeTUd4+5TExbRblz"
KEYS = SopsKeys(ssh=("/etc/ssh/ssh_host_ed25519_key",), gnupg_ssh=("/etc/ssh/ssh_host_rsa_key",))
NO_GNUPG = SopsKeys(ssh=KEYS.ssh)
FORMATS = ("web.yaml", "web.json", "web.env", "web.ini", "web.bin")


def made(name: str) -> SopsContent:
    """What a file that sops encrypted says."""
    content = read_content(format_of(name), (MADE / name).read_bytes())
    assert content is not None
    return content


def age(*texts: str) -> tuple[SopsKey, ...]:
    """Keys of age."""
    return tuple(SopsKey("age", text) for text in texts)


def a_use(name: str, file: str, key: str = "", form: str = "yaml", host: str = "web1") -> SopsUse:
    """A secret of a host, in the repository."""
    return SopsUse(host, name, file, in_repo=True, exists=True, key=key, format=form)


def gathered(
    root: Path, files: Mapping[str, bytes | str], *uses: SopsUse, tracked: bool = True
) -> SopsEvidence:
    """Write a repository and look at it."""
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data.encode() if isinstance(data, str) else data)
    return asyncio.run(gather_sops(root.resolve(), uses, sorted(files) if tracked else ()))


RULES = f"creation_rules:\n  - path_regex: ^secrets/web\\.\n    age: {ADMIN},{WEB1}\n"
