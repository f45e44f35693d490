"""How Nix evaluates and builds what a host should run: purely or not, and with which options."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class NixSettings(Struct, frozen=True):
    """What the inventory says to Nix of a host, beside what ``nix.conf`` says.

    Attributes:
        impure: Whether an evaluation may look at the environment and at any file (``--impure``).
        accept_flake_config: Whether the ``nixConfig`` of the flake holds while it is evaluated.
        override_inputs: Pairs of an input's name and the flake reference that stands in for it.
        options: Pairs of an option's name and its value, as ``nix.conf`` has them.
    """

    impure: bool = False
    accept_flake_config: bool = False
    override_inputs: tuple[tuple[str, str], ...] = ()
    options: tuple[tuple[str, str], ...] = ()

    @property
    def evaluating(self) -> tuple[str, ...]:
        """The words for a command that evaluates; the inputs are the flake's to give."""
        accepted = ("--option", "accept-flake-config", "true") if self.accept_flake_config else ()
        return (*(("--impure",) if self.impure else ()), *accepted, *self.building)

    @property
    def building(self) -> tuple[str, ...]:
        """The words for a command that builds what was evaluated."""
        return tuple(word for name, value in self.options for word in ("--option", name, value))


PLAIN = NixSettings()

# https://nix.dev/manual/nix/latest/command-ref/conf-file: what changes what is evaluated, where
# it is fetched from, or how much of this machine a build takes. All else is nix.conf's: an
# inventory comes with a repository, and must not be able to run a program on this machine, show a
# secret, or take away what protects it.
_EVALUATING = (
    *("abort-on-warn", "allow-dirty", "allow-import-from-derivation", "eval-cores"),
    *("extra-experimental-features", "extra-deprecated-features", "flake-registry"),
    *("max-call-depth", "tarball-ttl", "trace-verbose", "use-registries", "warn-dirty"),
)
_FETCHING = (
    *("always-allow-substitutes", "connect-timeout", "download-attempts", "download-buffer-size"),
    *("download-speed", "extra-substituters", "extra-trusted-public-keys", "fallback"),
    *("http-connections", "http2", "max-substitution-jobs", "narinfo-cache-negative-ttl"),
    *("narinfo-cache-positive-ttl", "stalled-download-timeout", "substitute", "substituters"),
    "trusted-public-keys",
)
_BUILDING = (
    *("builders-use-substitutes", "cores", "extra-platforms", "extra-system-features"),
    *("log-lines", "max-jobs", "max-build-log-size", "max-silent-time", "system-features"),
    "timeout",
)
OPTIONS = tuple(sorted((*_EVALUATING, *_FETCHING, *_BUILDING)))
"""The options of Nix's that an inventory may give."""

_RUNS = "runs a program on this machine: only its nix.conf may say so"
_OPENS = "takes away what separates builds from this machine: only its nix.conf may say so"
_SECRET = "would show a secret to everyone on this machine: put it into nix.conf"  # noqa: S105
_TRUST = "decides whom this machine trusts: only its nix.conf may say so"
REFUSED: Mapping[str, str] = {
    "accept-flake-config": "is a key of its own: `nix: {accept_flake_config: true}`",
    "access-tokens": _SECRET,
    "allow-unsafe-native-code-during-evaluation": _RUNS,
    "allowed-impure-host-deps": _OPENS,
    "allowed-users": _TRUST,
    "build-hook": _RUNS,
    "builders": "is a section of its own: `builders`",
    "diff-hook": _RUNS,
    "experimental-features": "would take away what is needed: `extra-experimental-features` adds",
    "extra-sandbox-paths": _OPENS,
    "extra-trusted-users": _TRUST,
    "filter-syscalls": _OPENS,
    "netrc-file": _SECRET,
    "plugin-files": "loads code into Nix: only this machine's nix.conf may say so",
    "post-build-hook": _RUNS,
    "pre-build-hook": _RUNS,
    "pure-eval": "is a key of its own: `nix: {impure: true}`",
    "repl-overlays": "is not for evaluations of a host",
    "require-sigs": _TRUST,
    "run-diff-hook": _RUNS,
    "sandbox": _OPENS,
    "sandbox-fallback": _OPENS,
    "sandbox-paths": _OPENS,
    "secret-key-files": _SECRET,
    "ssl-cert-file": _TRUST,
    "store": "is chosen here: builds elsewhere are `build:`",
    "trusted-substituters": _TRUST,
    "extra-trusted-substituters": _TRUST,
    "trusted-users": _TRUST,
}
"""Options that somebody may well want here, and why an inventory may not give them."""
