"""What errors and warnings of Nix's mean, and what to do about them.

The texts are those of Nix 2.18 to 2.31; what is not known here is left as Nix says it.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core import nix_settings
from orchestrator.core.units import listing
from orchestrator.nix.flake import Flake
from orchestrator.nix.log import readable


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a command of Nix's failed.

    Attributes:
        hint: What to do about it.
        message: The cause; empty where Nix's own words say it.
        network: Whether nothing was wrong but that something could not be fetched.
    """

    hint: str
    message: str = ""
    network: bool = False


# curl's and git's words: nobody was reached, which is no answer of a server's.
_NO_NETWORK = re.compile(
    r"[Cc]ould(?: not|n't) resolve host|Temporary failure in name resolution"
    r"|Network is unreachable|No route to host|(?:Failed|Could not|Couldn't) (?:to )?connect to"
)
_FETCHED = re.compile(r"(?:unable to download|unable to access) '([^']+)'")
_RATE = re.compile(r"HTTP error (?:403|429).*rate limit|API rate limit exceeded", re.DOTALL)
_PLATFORM = re.compile(
    r"a '([a-z0-9_-]+)' with features \{[^}]*\} is required to build"
    r"|[Rr]equired system: '([a-z0-9_-]+)'"
)
_OWNER = re.compile(
    r"repository path '([^']+)' is not owned by current user"
    r"|detected dubious ownership in repository at '([^']+)'"
)
_NO_FLAKE = re.compile(r"is not part of a flake|does not contain a 'flake\.nix'")


def reason(stderr: str) -> Reason | None:
    """Find why a command of Nix's failed; ``None`` where Nix says it best."""
    said = readable(stderr)
    if found := _OWNER.search(said):
        return _anothers(found[1] or found[2])
    if found := _PLATFORM.search(said):
        return _other_platform(found[1] or found[2])
    if _RATE.search(said):
        return Reason("GitHub limits requests without a token: `access-tokens` in nix.conf")
    urls = _FETCHED.findall(said)
    if _NO_NETWORK.search(said) and "error:" in said:
        what = f": {urls[-1]} cannot be fetched" if urls else ""
        hint = "with a network again, run it again; what was fetched before needs none"
        return Reason(hint, f"no network{what}", network=True)
    if _NO_FLAKE.search(said):
        return Reason(
            "a fleet is a flake with nixosConfigurations: `orchestrator init` writes one for a "
            "hive, npins or niv; or name the folder that has one, `fleet: {flake: FOLDER}`"
        )
    return None


def _anothers(repository: str) -> Reason:
    folder = shlex.quote(repository.removesuffix("/").removesuffix("/.git"))
    return Reason(
        "it belongs to another user, whom git does not trust here: "
        f"git config --global --add safe.directory {folder}, if you do; or deploy as that user"
    )


def _other_platform(system: str) -> Reason:
    return Reason(
        f"nothing builds for {system} here: a machine that does, under `builders` in the "
        "inventory; or on the host itself, `build: target`; or emulated, on NixOS "
        f'`boot.binfmt.emulatedSystems = [ "{system}" ]`',
        f"this machine does not build for {system}",
    )


_MISSING = re.compile(r"does not provide attribute .*nixosConfigurations")
_SHOWN = 12


def is_missing(stderr: str) -> bool:
    """Whether the flake has no such configuration, or none at all."""
    return _MISSING.search(readable(stderr)) is not None


def missing(attr: str, there: Sequence[str] | None, hive: str | None) -> Reason | None:
    """Say that a flake has no configuration for a host.

    Args:
        attr: The attribute that was looked for.
        there: Those that there are; ``None`` where the flake has no ``nixosConfigurations``.
        hive: The output of Colmena's that it has instead.

    Returns:
        ``None`` where it has that very one: something else is missing.
    """
    if there is None:
        cure = "add them to its outputs; another flake is named by `fleet: {flake: …}`"
        if hive is not None:
            cure = f"`nixosConfigurations = self.{hive}.nodes;` in its outputs is enough"
        what = f", but {hive}" if hive else ""
        return Reason(cure, f"the flake has no nixosConfigurations{what}")
    if attr in there:
        return None
    near = difflib.get_close_matches(attr, there, n=3, cutoff=0.5)
    # A name with a dot or capitals is no host's name, but may well be a configuration's.
    near += [name for name in there if name.partition(".")[0].lower() == attr and name not in near]
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    all_of_them = listing(sorted(there)[:_SHOWN]) if there else "none"
    more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
    return Reason(
        f"{meant}it has {all_of_them}{more}; `attr: NAME` of the host names another than its own",
        f"the flake has no nixosConfigurations.{attr}",
    )


_ABSENT = re.compile(
    r"(?:path|opening file|getting status of) '(?P<path>/[^']+)'(?: does not exist|: No such file)"
)
_SOURCE = re.compile(r"/nix/store/[0-9a-z]{32}-source/")


def untracked(flake: Flake, stderr: str) -> Reason | None:
    """Find whether a file that is not there for Nix is one that git does not track yet."""
    found = _ABSENT.search(readable(stderr))
    if found is None:
        return None
    root = Path(flake.copied.original if flake.copied else flake.folder)
    said = _SOURCE.sub(f"{root}/", found["path"])
    path = Path(said)
    if ".." in path.parts or not path.is_relative_to(root) or not path.exists():
        return None
    name = str(path.relative_to(root))
    above = [place for place in path.parents if place.is_relative_to(root) and place != root]
    if any((place / ".git").exists() for place in above):
        return Reason(
            "a flake sees nothing of its submodules: make that repository an input of its own",
            f"{name} is there, but in a submodule, and so Nix does not see it",
        )
    return Reason(
        f"git -C {shlex.quote(str(root))} add {shlex.quote(name)}",
        f"{name} is there, but git does not track it, and so Nix does not see it",
    )


# What Nix says of what we have it do, or says again and again while it tries.
_NOISE = re.compile(
    r"Git tree '.*' (?:is dirty|has uncommitted changes)"
    r"|not writing modified lock file"
    r"|(?:creating|updating) lock file"
    r"|error: unable to download|could not read HEAD ref|could not update cached head"
    r"|.*has an override for a non-existent input"
)
_UNTRUSTED = re.compile(r"ignoring untrusted flake configuration setting '([^']+)'")


def warning(text: str) -> str | None:
    """What a person is to hear of a line of Nix's; ``None`` for all but a warning that counts."""
    if not text.startswith("warning: ") or _NOISE.match(text, len("warning: ")):
        return None
    said = text.removeprefix("warning: ")
    if found := _UNTRUSTED.match(said):
        ignored = f"the flake's nixConfig is ignored: {found[1]}"
        if why := nix_settings.REFUSED.get(found[1]):
            return f"{ignored}, which {why}"
        return f"{ignored}; `nix: {{accept_flake_config: true}}` in the inventory accepts it"
    return f"Nix warns: {said}"
