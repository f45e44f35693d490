"""Each template, profile and feature: by itself, and in the smallest host that has it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator.changes.source import Source
from orchestrator.core.errors import UsageError
from orchestrator.core.host import Fleet, Host
from orchestrator.core.resolution import resolve
from orchestrator.core.units import parse_json
from orchestrator.core.values import replace
from orchestrator.fleet.files import check_evaluation, error_of, nix_files
from orchestrator.host.setup import Setup
from orchestrator.inventory.root import FEATURES, schema_files
from orchestrator.inventory.setting_schemas import read_schema
from orchestrator.inventory.settings import defaults_of
from orchestrator.nix import verbs as nix
from orchestrator.nix.asker import Quiet
from orchestrator.nix.configuration import Configuration, nix_list, nix_string
from orchestrator.nix.evaluation import Evaluations
from orchestrator.nix.flake import Flake

FOLDER = "templates"
KINDS: Mapping[str, Callable[[Host], tuple[str, ...]]] = {
    f"{FOLDER}/profiles": lambda host: host.profiles,
    FEATURES: lambda host: host.features,
    FOLDER: lambda host: (host.template,) if host.template else (),
}
"""Where the example fleet's flake has a host's modules, by what the inventory says of the host."""

BASE = f"{FOLDER}/base.nix"
"""What every other module is written for: the options of ``fleet``."""

HOMES = f"{FOLDER}/profiles/home/default.nix"
"""What brings the profiles' parts for users, which are modules of Home Manager, into a host."""

_SECONDS = 600.0

# The host's own modules are disabled, and what a host's own files say of its disk and its boot
# loader is said in their place: NixOS evaluates no system without.
_ALONE = """
let root = {root}; in host:
(host.extendModules {{
  modules = map (file: root + file) {wanted} ++ [
    (
      {{ lib, ... }}:
      {{
        disabledModules = map (file: root + file) {others};
        fileSystems."/" = lib.mkDefault {{
          device = "none";
          fsType = "tmpfs";
        }};
        boot.loader.grub.enable = lib.mkDefault false;
        {settings}
      }}
    )
  ];
}}).config.system.build.toplevel.drvPath
"""


_SETTINGS = "fleet.settings = builtins.mapAttrs (_: lib.mkDefault) (builtins.fromJSON {});"


@dataclass(frozen=True, slots=True)
class Module:
    """A template, a profile or a feature.

    Attributes:
        file: Relative to the flake's folder, such as ``templates/features/printing.nix``.
        smallest: Of the hosts that have it the one with the fewest modules; ``None`` where no
            host has it.
        required: The modules of the features that it requires.
        settings: By feature, of it and of those, what their schemas have as defaults.
    """

    file: str
    smallest: Host | None
    required: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def modules_of(fleet: Fleet, files: Sequence[str]) -> tuple[Module, ...]:
    """Find a fleet's modules by where their files are.

    Args:
        fleet: Whose hosts have them.
        files: The flake's Nix files, relative to its folder.

    Raises:
        UsageError: None is where the example fleet has them.
    """
    by_size = sorted(fleet.hosts.values(), key=_size)
    found = []
    for file in files:
        path = PurePosixPath(file)
        named = KINDS.get(str(path.parent))
        if named is not None:
            users = (host for host in by_size if path.stem in named(host))
            module = Module(file, next(users, None))
            is_feature = str(path.parent) == FEATURES and path.stem in fleet.features
            found.append(_with_required(module, path.stem, fleet) if is_feature else module)
    if not found:
        raise UsageError(
            f"this fleet has no modules in {', '.join(sorted(KINDS))}",
            hint="modules that are elsewhere are not found; every host is evaluated by: "
            "orchestrator check --eval",
        )
    return tuple(sorted(found, key=lambda module: module.file))


def _with_required(module: Module, name: str, fleet: Fleet) -> Module:
    """What a feature requires is there wherever it is."""
    names = tuple(resolve(fleet.features, (name,)).chains)
    root = Path(fleet.root)
    schemas = {one for one in schema_files(root) if one in names}
    return replace(
        module,
        required=tuple(f"{FEATURES}/{one}.nix" for one in names if one != name),
        settings={one: defaults_of(read_schema(root, one)) for one in sorted(schemas)},
    )


def _size(host: Host) -> int:
    return sum(len(named(host)) for named in KINDS.values())


async def check_modules(setup: Setup) -> Mapping[str, str | None]:
    """Evaluate each module with nothing beside it but ``base.nix``, and in its smallest host.

    A feature has beside it what it requires.

    Returns:
        What was evaluated → ``None`` where it evaluates, else the error.

    Raises:
        UsageError: There is no Nix or too old a one, the flake is elsewhere, or it has no modules
            where they are looked for.
    """
    await nix.version()
    if setup.flake.reference != ".":
        raise UsageError(f"the flake {setup.flake.reference} is not in a folder of this machine")
    modules = modules_of(setup.fleet, await nix_files(Path(setup.flake.folder)))
    hosts = {module.smallest.name: module.smallest for module in modules if module.smallest}
    alone = await _alone(setup, modules)
    inside = await check_evaluation(setup, tuple(hosts.values()))
    found: dict[str, str | None] = {}
    for module in modules:
        found[f"{module.file}, by itself"] = alone[module.file]
        if module.smallest is not None:
            found[f"{module.file}, in {module.smallest.name}"] = inside[module.smallest.name]
    return found


async def _alone(setup: Setup, modules: Sequence[Module]) -> dict[str, str | None]:
    carrier = min(setup.fleet.hosts.values(), key=_size)
    files = tuple(module.file for module in modules)
    async with Source(setup.flake) as source:
        evaluations = Evaluations(source, setup.fleet.limits, setup.state, len(modules))
        root = await store_root(await source.flake())

        def asked(module: Module) -> Awaitable[None]:
            host = module.smallest or carrier
            question = partial(_evaluate, root, module, (*files, HOMES, *_of_host(host)))
            return evaluations.ask(Quiet(host), question)

        errors = await asyncio.gather(*(error_of(asked(module)) for module in modules))
    return dict(zip(files, errors, strict=True))


def _of_host(host: Host) -> tuple[str, ...]:
    name = host.of or host.name
    return (f"hosts/{name}/default.nix", f"hosts/{name}.nix")


async def _evaluate(
    root: str, module: Module, files: Sequence[str], configuration: Configuration
) -> None:
    """Evaluate a module on a host without its other modules.

    Raises:
        StepError: It does not evaluate.
    """
    wanted = [module.file, *module.required, *([BASE] if BASE in files else [])]
    others = [other for other in files if other not in wanted]
    settings = _SETTINGS.format(nix_string(json.dumps(module.settings))) if module.settings else ""
    apply = _ALONE.format(
        root=nix_string(root), wanted=nix_list(wanted), others=nix_list(others), settings=settings
    )
    flake = configuration.flake
    argv = (
        *nix.nix_argv("eval", "--raw", "--apply", apply),
        *flake.evaluating,
        flake.configuration(configuration.attr).removesuffix(".config"),
    )
    done = await configuration.run(argv, most=_SECONDS)
    if done.rc != 0:
        raise configuration.failed(done, argv, "it does not evaluate")


async def store_root(flake: Flake) -> str:
    """The folder in the store that the flake's files are evaluated from."""
    said = parse_json(await nix.metadata(flake))
    folder = str(said.get("resolved", {}).get("dir", ""))
    return "/".join(part for part in (str(said["path"]), folder) if part) + "/"
