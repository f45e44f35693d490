"""A nixpkgs of the fleet's choice in the place of the stand-in: found, wrapped, and built."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.files import replace
from orchestrator.lab import seed
from orchestrator.lab.cgroup import run
from orchestrator.lab.image import Image, Progress, replacing, tree_hash
from orchestrator.lab.places import LabError, LabPlaces, package_data
from orchestrator.nix.verbs import FEATURES

STAND_IN = "stand-in"
"""The word for the nixpkgs that a lab has where none is named."""

_LONGEST = 4 * 3600.0
"""Seconds for a fetch or a build: a system of NixOS from a cache is a gigabyte."""

REPLACED = (
    "the lab's profile replaces kernel, initrd, firmware and graphics drivers by files, mounts and "
    "swap by folders, and what sets up network, time and console by nothing; each account accepts "
    "the lab's key"
)
"""What a person is told of ``profile/lab.nix``."""

_WRAPPER = ("flake.nix", "flake.lock", "lab.json", "lab.nix", "installed.nix", "age-placeholder.sh")


def reference(text: str, base: Path) -> str:
    """Return what Nix is asked for: a flake reference as it is, a path as an absolute one.

    Args:
        text: What a person or the inventory named; :data:`STAND_IN` gives ``""``.
        base: The folder that a relative path is below.

    Raises:
        LabError: It is a path, and no flake is there.
    """
    if text == STAND_IN:
        return ""
    is_path = text.startswith(("/", "./", "../", "~")) or text in (".", "..")
    folder = (base / Path(text).expanduser()).resolve()
    if not is_path and not folder.is_dir():
        return text
    if not (folder / "flake.nix").is_file():
        raise LabError(
            f"nixpkgs was not found: {folder} has no flake.nix",
            hint="name a folder with nixpkgs in it, or a flake reference such as "
            "github:NixOS/nixpkgs/nixos-25.05",
        )
    return str(folder)


def _write(folder: Path, key: str, *, placeholders: bool) -> None:
    said = {"key": key, "system": seed.system(), "placeholders": placeholders}
    replace(folder / "lab.json", json.dumps(said).encode(), mode=0o644)


def _next(places: LabPlaces) -> Path:
    return places.nixpkgs.with_suffix(".next")


def settle(places: LabPlaces) -> None:
    """Have what :meth:`OwnNixpkgs.place` made be the lab's from now on."""
    if _next(places).is_dir():
        shutil.rmtree(places.nixpkgs, ignore_errors=True)
        _next(places).rename(places.nixpkgs)


def forget_next(places: LabPlaces) -> None:
    """Remove what a ``lab up`` made that came to no end."""
    shutil.rmtree(_next(places), ignore_errors=True)


@dataclass(frozen=True, slots=True)
class OwnNixpkgs:
    """A nixpkgs as a lab uses it.

    Attributes:
        asked: As :func:`reference` gives it.
        image: For the lab's Nix, where this machine has none.
        places: The lab's: the wrapper is in ``places.nixpkgs``.
        on_progress: Is told of what takes long.
    """

    asked: str
    image: Image
    places: LabPlaces
    on_progress: Progress

    @property
    def _folder(self) -> Path:
        """The wrapper that is being made, or the lab's."""
        return folder if (folder := _next(self.places)).is_dir() else self.places.nixpkgs

    def place(self, key: str, *, placeholders: bool = False) -> None:
        """Fetch it and write the flake that the fleet's input ``nixpkgs`` is replaced by.

        It is the lab's once :func:`settle` says so: what cannot be built leaves the lab as it was.
        Its store path is pinned: evaluations copy nothing again, and need no network.

        Args:
            key: The public key that every account of the lab's hosts accepts.
            placeholders: Whether something stands for each of the fleet's secrets.

        Raises:
            LabError: It cannot be fetched.
        """
        source = self._fetch()
        with replacing(_next(self.places)) as folder:
            shutil.copytree(package_data("profile"), folder, dirs_exist_ok=True)
            flake = (folder / "flake.nix").read_text()
            (folder / "flake.nix").write_text(flake.replace("@nixpkgs@", f"path:{source}"))
            _write(folder, key, placeholders=placeholders)
            # `import nixpkgs { }` and "${nixpkgs}/nixos/modules/…" mean what is wrapped.
            for one in seed.in_store(source).iterdir():
                if one.name not in _WRAPPER:
                    (folder / one.name).symlink_to(source / one.name)
        self._nix("flake", "lock", f"path:{self._folder}", what="nix flake lock")

    def change(self, key: str, *, placeholders: bool) -> None:
        """Say of the nixpkgs that is there already what :meth:`place` says of a new one."""
        _write(self.places.nixpkgs, key, placeholders=placeholders)

    def seed(self) -> seed.Seed:
        """Return the first generation of a host, built now if that was not done before.

        Raises:
            LabError: No system of NixOS can be evaluated or built of it here.
        """
        found = seed.Seed(self.places.root / f"seed-{tree_hash(self._folder)[:12]}")
        if not found.path.is_dir():
            for stale in self.places.root.glob("seed-*"):
                shutil.rmtree(stale, ignore_errors=True)
            toplevel = self._build()
            self.on_progress("copying the first generation")
            with replacing(found.path) as temporary:
                self._nix(
                    *("copy", "--no-check-sigs", "--to", f"local?root={temporary}", toplevel),
                    what="nix copy of the first generation",
                )
                seed.complete(temporary, toplevel)
        return found

    def fetch_inputs(self, flake: str) -> None:
        """Fetch the fleet's other inputs: the lab's network has no way to them.

        Raises:
            LabError: One cannot be fetched.
        """
        try:
            self._nix(
                *("flake", "archive", "--no-write-lock-file", "--override-input", "nixpkgs"),
                *(f"path:{self._folder}", flake),
                what="nix flake archive",
            )
        except LabError as error:
            raise LabError(
                f"the flake's inputs cannot be fetched: {error}",
                hint="the lab has no internet: lab up fetches them; lock them by: nix flake lock",
            ) from None

    def _fetch(self) -> Path:
        self.on_progress(f"fetching nixpkgs from {self.asked}")
        try:
            said = self._nix("flake", "prefetch", "--json", self.asked, what="nix flake prefetch")
            source = Path(json.loads(said)["storePath"])
        except (LabError, ValueError, KeyError) as error:
            raise LabError(
                f"nixpkgs was not found: {self.asked} cannot be fetched: {error}",
                hint="name a folder, or a flake such as github:NixOS/nixpkgs/nixos-25.05; "
                f"try: nix flake metadata {shlex.quote(self.asked)}",
            ) from None
        # A root, so that the garbage collector leaves what the lab's flake names.
        self._nix("build", "--out-link", str(self.places.root / "nixpkgs-source"), str(source))
        return source

    def _build(self) -> str:
        attribute = f"path:{self._folder}#packages.{seed.system()}.installed"
        self.on_progress(f"evaluating NixOS by {self.asked}")
        try:
            self._nix("eval", "--raw", f"{attribute}.drvPath", what="the evaluation")
        except LabError as error:
            raise LabError(
                f"{self.asked} gives no system of NixOS in the lab: {error}",
                hint="it must have lib.nixosSystem, and the options that the lab's profile sets "
                "(docs/lab.md); try a release, such as github:NixOS/nixpkgs/nixos-25.05",
            ) from None
        self.on_progress("building the first generation")
        arguments = ("build", "--no-link", "--print-out-paths", attribute)
        try:
            return self._nix(*arguments, what="the build")
        except LabError as error:
            raise LabError(
                f"the first generation cannot be built of {self.asked} here: {error}",
                hint="nearly all of it must come from a binary cache, or be in the store; this "
                "names one: NIX_CONFIG='substituters = https://cache.nixos.org' "
                "orchestrator lab up",
            ) from None

    def _nix(self, *arguments: str, what: str | None = None) -> str:
        """Run this machine's Nix, as deployments in the lab do; the lab's where it has none."""
        if seed.machine_has_nix():
            return run("nix", *FEATURES, *arguments, deadline=_LONGEST, what=what)
        return seed.nix(self.image, *arguments, deadline=_LONGEST, what=what)
