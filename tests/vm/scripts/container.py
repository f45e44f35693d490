"""A host without a boot loader: a container, which boots its profile."""


def variant() -> str:
    """Say which variant the container runs."""
    return deployer.succeed("ssh -n web cat /etc/variant").strip()


def restart() -> None:
    """Stop the container and start it again, from its profile."""
    deployer.succeed("systemctl restart web")
    trust()


def install() -> None:
    """Give the container a folder with a store and a profile, as `nixos-install` does."""
    root = "/var/lib/machines/web"
    system = deployer.succeed("readlink -f /etc/container-system").strip()
    deployer.succeed(
        f"mkdir -p {root}/etc {root}/usr/bin {root}/root {root}/var/lib",
        f"touch {root}/etc/os-release {root}/etc/machine-id {root}/etc/NIXOS",
        f"nix --extra-experimental-features nix-command copy --no-check-sigs --to {root} {system}",
        f"nix-env --store {root} --profile {root}/nix/var/nix/profiles/system --set {system}",
    )


deployer.start()
deployer.wait_for_unit("multi-user.target")
install()
deployer.succeed("systemctl start web")
prepare()
assert variant() == "first"

with subtest("a deployment changes the container, and what it boots"):
    outcome_of(deploy("next"), "deployed")
    assert variant() == "next"
    restart()
    assert variant() == "next"

with subtest("the same once more is unchanged"):
    outcome_of(run("deploy web", 0), "unchanged")

with subtest("a failing verification is rolled back"):
    outcome_of(deploy("broken", expected=1), "rolled_back")
    assert variant() == "next"
    restart()
    assert variant() == "next"
