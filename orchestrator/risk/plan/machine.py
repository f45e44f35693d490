"""Terms of what runs: services as root, Nix, the kernel."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.risk import Term
from orchestrator.risk.model import Kernel, Service, Setting, Store, Unit
from orchestrator.risk.plan import weights

_NIXOS = frozenset(
    {
        "autovt@",
        "console-getty",
        "container-getty@",
        "dbus",
        "dbus-broker",
        "emergency",
        "getty@",
        "kmod-static-nodes",
        "lastlog2-import",
        "modprobe@",
        "nix-daemon",
        "nix-gc",
        "nix-optimise",
        "reload-systemd-vconsole-setup",
        "rescue",
        "serial-getty@",
        "sshd",
        "sshd-vsock@",
        "sshd@",
        "user-runtime-dir@",
        "user@",
    }
)
"""Services of every NixOS that must be root: what logs in, what builds. They tell nothing."""

_CONFINED = 4
"""Settings from which on a service that is root counts as confined."""


def service(name: str, one: Service) -> Iterator[Term]:
    """A service that is root, and stays; one that runs to its end is part of the configuration."""
    is_root = one.user in (None, "", "root", "0", 0) and not _is_set(one.dynamic)
    stays = one.unit is not Unit.OFF and one.type != "oneshot"
    if not (is_root and stays) or name in _NIXOS or name.startswith("systemd-"):
        return
    if one.unit is Unit.PART:
        what = f"{name} is a package's unit, which is not read"
        option = f"systemd.services.{name}"
        yield Term(f"service:{name}", what, weights.PACKAGED, option, known=False)
        return
    found = sorted(key for key, value in one.hardening.items() if _is_set(value))
    option = f"systemd.services.{name}.serviceConfig"
    if not found:
        what, weight = f"{name} runs as root without hardening", weights.ROOT_BARE
    elif len(found) < _CONFINED:
        what = f"{name} runs as root with little hardening ({', '.join(found)})"
        weight = weights.ROOT_LITTLE
    else:
        what, weight = f"{name} runs as root, confined", weights.ROOT_CONFINED
    yield Term(f"service:{name}", what, weight, option)


def _is_set(value: Setting) -> bool:
    """Whether a setting confines: systemd takes several words for no."""
    if isinstance(value, str):
        return value.lower() not in ("", "no", "false", "off", "0")
    return value is not None and value is not False and value != 0


def store(one: Store) -> Iterator[Term]:
    """Whom Nix trusts: who may give it paths may become root."""
    option = "nix.settings"
    for who in one.trusted:
        if who == "*":
            what, weight = "Nix trusts every user: each may become root", weights.TRUSTED_ALL
        elif who in ("@wheel", "root"):
            what, weight = f"Nix trusts {who}", weights.TRUSTED_WHEEL
        else:
            what, weight = f"Nix trusts {who}, who may become root", weights.TRUSTED_USER
        if who != "root":
            yield Term(f"nix:trusted:{who}", what, weight, f"{option}.trusted-users")
    if one.sandbox not in (True, "true", None):
        what = "Nix builds outside of its sandbox"
        yield Term("nix:sandbox", what, weights.NO_SANDBOX, f"{option}.sandbox")
    if one.signatures is False:
        what = "Nix takes what nobody signed"
        yield Term("nix:signatures", what, weights.NO_SIGNATURES, f"{option}.require-sigs")
    for key in one.keys:
        name = key.partition(":")[0]
        if name != "cache.nixos.org-1":
            what = f"runs whatever {name} has signed"
            yield Term(
                f"nix:key:{name}", what, weights.FOREIGN_KEY, f"{option}.trusted-public-keys"
            )
    for package in one.insecure:
        what = f"permits {package}, which is known to be insecure"
        option_of = "nixpkgs.config.permittedInsecurePackages"
        yield Term(f"insecure:{package}", what, weights.INSECURE, option_of)
    if one.own:
        what = f"has {len(one.own)} lines of Nix's own that say whom it trusts, which are not read"
        yield Term("unread:nix", what, weights.OWN_LINES, "nix.extraOptions", known=False)


_PARAMS = {
    "mitigations=off": ("the kernel does not mitigate flaws of the CPU", 20),
    "nokaslr": ("the kernel's addresses are not random", 5),
    "apparmor=0": ("AppArmor is switched off", 3),
    "lockdown=none": ("the kernel is not locked down", 2),
}

# From sysctl(8)'s name to what is less than the kernel has by itself, what that is, and its weight.
_SYSCTL: dict[str, tuple[int, str, int]] = {
    "fs.protected_hardlinks": (1, "links to files of others are followed", 10),
    "fs.protected_symlinks": (1, "links of others are followed in shared folders", 10),
    "kernel.kptr_restrict": (1, "the kernel's addresses are shown to everybody", 3),
    "kernel.perf_event_paranoid": (2, "everybody may trace the kernel", 3),
    "kernel.randomize_va_space": (2, "programs' addresses are not random", 15),
    "kernel.unprivileged_bpf_disabled": (1, "everybody may load programs into the kernel", 5),
    "kernel.yama.ptrace_scope": (1, "programs may read each other's memory", 2),
}


def kernel(one: Kernel) -> Iterator[Term]:
    """What of the kernel's hardening is switched off, or was never switched on."""
    for param, (what, weight) in _PARAMS.items():
        if param in one.params:
            yield Term(f"kernel:{param}", what, weight, "boot.kernelParams")
    for name, (least, what, weight) in _SYSCTL.items():
        if name in one.sysctl and _is_less(one.sysctl[name], least):
            yield Term(f"kernel:{name}", what, weight, f'boot.kernel.sysctl."{name}"')
    for done, option, what in (
        (one.locks_modules, "security.lockKernelModules", "root may load kernel modules"),
        (one.protects_image, "security.protectKernelImage", "root may replace the kernel"),
        (one.confines, "security.apparmor.enable", "AppArmor confines no program"),
    ):
        if done is not True:
            yield Term(f"kernel:{option}", what, 1, option)


def _is_less(value: Setting, least: int) -> bool:
    """Whether a setting is less than the least; what is no number is not known to be more."""
    if value is None:
        return False
    if isinstance(value, str) and value.strip().lstrip("-").isdigit():
        return int(value) < least
    return not isinstance(value, bool | int | float) or value < least
