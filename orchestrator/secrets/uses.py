"""What hosts' configurations say of their secrets: known of a system, else evaluated."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.changes.knowledge import KnownSystems
from orchestrator.changes.plan import Known
from orchestrator.changes.source import Source
from orchestrator.changes.tree.place import flake_folder, repository
from orchestrator.core import files
from orchestrator.core.errors import StepError
from orchestrator.core.host import Host
from orchestrator.core.store import OutPath
from orchestrator.core.stored import DamagedError
from orchestrator.core.units import parse_json
from orchestrator.host.setup import Setup
from orchestrator.nix.asker import Asker, Quiet
from orchestrator.nix.configuration import Configuration, nix_string
from orchestrator.nix.evaluation import Evaluations
from orchestrator.nix.verbs import Flake
from orchestrator.secrets.members import of_member
from orchestrator.secrets.model.repository import MEMBER, HostSecrets, SecretUse
from orchestrator.secrets.model.sops import SopsKeys, SopsUse

_VERSION = 6


@dataclass(frozen=True, slots=True)
class _Kept:
    system: OutPath
    secrets: HostSecrets
    version: int = _VERSION


def recall(folder: Path, host: str, out: OutPath) -> HostSecrets | None:
    """Give what was kept of a system; ``None`` where nothing was, or what was is damaged.

    Args:
        folder: Where it is kept.
        host: The host's name.
        out: The system that its configuration makes.
    """
    with contextlib.suppress(OSError, DamagedError):
        kept = files.load(folder, f"{host}.json", _Kept)
        if (kept.version, kept.system) == (_VERSION, out):
            return kept.secrets
    return None


def keep(folder: Path, out: OutPath, secrets: HostSecrets) -> None:
    """Keep it, as a whole or not at all; a full disk must not fail a deployment."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        files.save(folder / f"{secrets.host}.json", _Kept(out, secrets))


_STORE = re.compile(r"(/nix/store/[^/]+)/(.+)", re.DOTALL)

# A file that is spliced into a string is copied into the store under its own name: that is the path
# that the host will have. A name that the store does not take would end the evaluation.
_APPLY = r"""
wanted: parent:
let
  # Of a specialisation, where it is one that the host is to run and the system has it.
  variant = (parent.specialisation or { }).${wanted} or { configuration = parent; };
  config = variant.configuration;
  age = config.age or { };
  numeric = name: builtins.match "[0-9]+" name != null;
  known = set: name: numeric name || set ? ${name};
  storable = name: builtins.match "[0-9a-zA-Z+_?=-][0-9a-zA-Z+._?=-]*" name != null;
  # A class of equal hosts: each has its own file below a folder, by its name.
  own = (config.fleet or { }).memberSecrets or { };
  use = name: one:
    let
      member = own ? ${name};
      file = if member then "${toString own.${name}}/@member@/${name}.age" else toString one.file;
      exists = member || builtins.pathExists one.file;
    in {
      inherit (one) path mode owner group;
      inherit file exists;
      source =
        if member then "${own.${name}}/@member@/${name}.age"
        else if builtins.match "/nix/store/.*" file == null then file
        else if exists && storable (baseNameOf file) then "${one.file}"
        else null;
      ownerKnown = known (config.users.users or { }) one.owner;
      groupKnown = known (config.users.groups or { }) one.group;
      hidden = !(one.symlink or true)
        && builtins.dirOf (toString one.path) == (age.secretsDir or "/run/agenix");
    };

  sops = config.sops or { };
  sopsAge = sops.age or { };
  gnupg = sops.gnupg or { };
  keyOfEnvironment = name: builtins.match "GNUPGHOME|SOPS_AGE_(KEY|SSH).*" name != null;
  sopsUse = _: one: {
    inherit (one) key format;
    file = toString one.sopsFile;
    exists = builtins.pathExists one.sopsFile;
  };
in {
  secrets = builtins.mapAttrs use (age.secrets or { });
  identityPaths = age.identityPaths or [ ];
  program = age.ageBin or null;
  sops = builtins.mapAttrs sopsUse (sops.secrets or { });
  sopsKeys = {
    ssh = map toString (sopsAge.sshKeyPaths or [ ]);
    file = sopsAge.keyFile or null;
    generated = sopsAge.generateKey or false;
    gnupgSsh = map toString (gnupg.sshKeyPaths or [ ]);
    elsewhere = (gnupg.home or null) != null
      || builtins.any keyOfEnvironment (builtins.attrNames (sops.environment or { }));
  };
}
"""


async def evaluate(configuration: Configuration, specialisation: str = "") -> HostSecrets:
    """Evaluate what a host's configuration says of its secrets, agenix's and sops-nix's.

    Args:
        configuration: The host's.
        specialisation: The one that the host is to run, where the system has it; empty for itself.

    Raises:
        StepError: The configuration does not evaluate.
    """
    function = f"({_APPLY}) {nix_string(specialisation)}"
    said = await configuration.ask(function, "what it says of its secrets does not evaluate")
    return parse(parse_json(said), configuration.host, Origin.of(configuration.flake))


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
    sops = tuple(
        _sops_use(host, name, entry, origin) for name, entry in sorted(said["sops"].items())
    )
    keys = _sops_keys(said["sopsKeys"])
    return HostSecrets(host, uses, sources, identities, said["program"], sops, keys)


def _sops_use(host: str, name: str, entry: Mapping[str, Any], origin: Origin | None) -> SopsUse:
    inside = origin.path(entry["file"]) if origin is not None else None
    return SopsUse(
        host=host,
        name=name,
        file=inside or entry["file"],
        in_repo=inside is not None,
        exists=entry["exists"],
        key=entry["key"],
        format=entry["format"],
    )


def _sops_keys(said: Mapping[str, Any]) -> SopsKeys:
    return SopsKeys(
        ssh=tuple(said["ssh"]),
        file=said["file"],
        generated=said["generated"],
        gnupg_ssh=tuple(said["gnupgSsh"]),
        elsewhere=said["elsewhere"],
    )


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
        hidden=entry["hidden"],
        of_member=MEMBER in entry["file"],
    )


async def secrets_of(
    setup: Setup,
    evaluations: Evaluations,
    asker: Asker,
    out: OutPath | None,
    specialisation: str = "",
) -> HostSecrets:
    """Say what a host's configuration says of its secrets.

    Args:
        setup: The fleet.
        evaluations: Where it is evaluated, if it must be.
        asker: The host.
        out: The system that the configuration makes, where that is known.
        specialisation: The one that the host is to run; of one of these nothing is kept.

    Raises:
        StepError: The configuration does not evaluate, or not within the memory there is.
    """
    host, flake = asker.host, setup.flake.of(asker.host)

    async def find() -> HostSecrets:
        if specialisation:
            question = functools.partial(evaluate, specialisation=specialisation)
            return await evaluations.ask(asker, question)
        folder, name = setup.state / "secrets", host.of or host.name
        kept = recall(folder, name, out) if out is not None else None
        if kept is not None and _is_current(kept, flake.folder):
            return kept
        found = (await evaluations.ask(asker, evaluate)).called(name)
        if out is not None:
            keep(folder, out, found)
        return found

    # Of equal hosts the configuration says the same; whose key opens it is each one's own.
    shared = await evaluations.once.of((evaluate, flake, host.attr, out, specialisation), find)
    return of_member(shared, host.name, flake.folder)


def _is_current(secrets: HostSecrets, folder: str) -> bool:
    """Whether its files are where they were: a system does not tell where they came from."""
    try:
        root = repository(folder)
    except StepError:
        return False
    files = [use.file for use in secrets.uses if use.in_repo and not use.of_member]
    files += [use.file for use in secrets.sops if use.in_repo]
    return all(Path(root, file).exists() for file in files)


async def secrets_of_hosts(
    setup: Setup, hosts: Sequence[Host]
) -> dict[str, HostSecrets | StepError]:
    """Say it of several hosts; what does not evaluate is its own host's error."""
    async with Source(setup.flake) as source:
        known = KnownSystems(setup, hosts, source)
        evaluations = Evaluations(source, setup.fleet.limits, setup.state, len(hosts))

        async def of(host: Host) -> HostSecrets | StepError:
            knowledge = await known.of(host)
            out = knowledge.fingerprint.evaluated.out if isinstance(knowledge, Known) else None
            try:
                return await secrets_of(setup, evaluations, Quiet(host), out)
            except StepError as error:
                return error

        async with asyncio.TaskGroup() as group:
            tasks = {host.name: group.create_task(of(host)) for host in hosts}
        return {name: task.result() for name, task in tasks.items()}
