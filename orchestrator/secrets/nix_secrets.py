"""What a host's configuration says of its secrets: ``age.secrets``, as agenix declares them.

A set that is told as it is fails whole on the first file that is missing, and names of files only
their copies in the store. So Nix is given a function: paths come as text, and whether they exist.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.changes.tree.place import flake_folder, repository
from orchestrator.core.bounds import ANSWER
from orchestrator.core.errors import StepError
from orchestrator.core.json_text import parse_json
from orchestrator.nix.verbs import Flake, OnLine, failed, nix_argv, run_on
from orchestrator.secrets.model.host import HostSecrets
from orchestrator.secrets.model.use import SecretUse

_STORE = re.compile(r"(/nix/store/[^/]+)/(.+)", re.DOTALL)

# A file that is spliced into a string is copied into the store under its own name: that is the path
# that the host will have. A name that the store does not take would end the evaluation.
_APPLY = r"""
config:
let
  age = config.age or { };
  numeric = name: builtins.match "[0-9]+" name != null;
  known = set: name: numeric name || set ? ${name};
  storable = name: builtins.match "[0-9a-zA-Z+_?=-][0-9a-zA-Z+._?=-]*" name != null;
  use = _: one:
    let
      file = toString one.file;
      exists = builtins.pathExists one.file;
    in {
      inherit (one) path mode owner group;
      inherit file exists;
      source =
        if builtins.match "/nix/store/.*" file == null then file
        else if exists && storable (baseNameOf file) then "${one.file}"
        else null;
      ownerKnown = known (config.users.users or { }) one.owner;
      groupKnown = known (config.users.groups or { }) one.group;
    };
in {
  secrets = builtins.mapAttrs use (age.secrets or { });
  identityPaths = age.identityPaths or [ ];
  program = age.ageBin or null;
}
"""


async def evaluate(
    flake: Flake,
    attr: str,
    host: str,
    *,
    deadline: float,
    env: Mapping[str, str | None] | None = None,
    on_stderr: OnLine | None = None,
    on_start: Callable[[int], None] | None = None,
) -> HostSecrets:
    """Evaluate what a host's configuration says of its secrets; without agenix there are none.

    Args:
        flake: Where the host's configuration is.
        attr: The attribute below ``nixosConfigurations``.
        host: The host's name.
        deadline: Seconds after which Nix is stopped.
        env: Set on top of this process's environment.
        on_stderr: Called with each line that Nix says.
        on_start: Called with the process id.

    Raises:
        StepError: The configuration does not evaluate.
    """
    argv = (
        *nix_argv("eval", "--json", "--apply", _APPLY),
        *flake.evaluating,
        flake.configuration(attr),
    )
    done = await run_on(
        flake,
        argv,
        deadline=deadline,
        env=env,
        on_stderr=on_stderr,
        on_start=on_start,
        bound=ANSWER,
    )
    if done.rc != 0:
        shown = tuple(map(flake.by_hand, argv))
        raise failed(done, shown, "what it says of its secrets does not evaluate", flake.folder)
    return parse(parse_json(done.stdout), host, Origin.of(flake))


class Origin:
    """Tells the fleet's own files from others, by the paths that Nix gives them in its store.

    Args:
        root: The repository.
        flake: Where ``flake.nix`` is in it; empty at its top.
    """

    def __init__(self, root: Path, flake: str) -> None:
        self._root = root
        self._flake = Path(flake, "flake.nix")
        self._is_ours = functools.lru_cache(self._compare)

    @classmethod
    def of(cls, flake: Flake) -> Origin | None:
        """Find where a flake lies; ``None`` where it is in no repository here."""
        if flake.copied is None and flake.reference != ".":
            return None
        try:
            root = repository(flake.folder)
            inside = flake_folder(root, flake.folder)
        except StepError:
            return None
        return cls(Path(flake.copied.root) if flake.copied else root, inside)

    def path(self, file: str) -> str | None:
        """The path in the repository of a file in the store; ``None`` where it is none of it."""
        found = _STORE.fullmatch(file)
        return found[2] if found and self._is_ours(found[1]) else None

    def _compare(self, source: str) -> bool:
        """Whether a source in the store is the fleet's: it has the same ``flake.nix``."""
        try:
            there = Path(source, self._flake).read_bytes()
            return there == (self._root / self._flake).read_bytes()
        except OSError:
            return False


def parse(said: Mapping[str, Any], host: str, origin: Origin | None) -> HostSecrets:
    """Read what the function gave."""
    identities = tuple(said["identityPaths"])
    secrets = sorted(said["secrets"].items())
    uses = tuple(_use(host, name, entry, identities, origin) for name, entry in secrets)
    sources = tuple(entry["source"] for _, entry in secrets)
    return HostSecrets(host, uses, sources, identities, said["program"])


def _use(
    host: str,
    name: str,
    entry: Mapping[str, Any],
    identities: tuple[str, ...],
    origin: Origin | None,
) -> SecretUse:
    inside = origin.path(entry["file"]) if origin is not None else None
    return SecretUse(
        host=host,
        name=name,
        file=inside or entry["file"],
        in_repo=inside is not None,
        exists=entry["exists"],
        mode=entry["mode"],
        owner=entry["owner"],
        group=entry["group"],
        install_path=entry["path"],
        identity_paths=identities,
        owner_known=entry["ownerKnown"],
        group_known=entry["groupKnown"],
    )
