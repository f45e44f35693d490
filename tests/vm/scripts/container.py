"""A host without a boot loader: a container of NixOS's own, which boots its profile."""


def variant() -> str:
    """Say which variant the container runs."""
    return deployer.succeed("nixos-container run web -- cat /etc/variant").strip()


def restart() -> None:
    """Stop the container and start it again, from its profile."""
    deployer.succeed("nixos-container stop web", "nixos-container start web")


deployer.start()
deployer.wait_for_unit("multi-user.target")
deployer.succeed(
    "nixos-container create web --system-path $(readlink -f /etc/container-system)"
    " --host-address 10.88.0.1 --local-address 10.88.0.2",
    "nixos-container start web",
)
assert variant() == "first"
prepare()

with subtest("a deployment changes the container, and what it boots"):
    outcome_of(deploy("next"), "deployed")
    assert variant() == "next"
    restart()
    assert variant() == "next"

with subtest("the same once more is unchanged"):
    trust()
    outcome_of(run("deploy web", 0), "unchanged")

with subtest("a failing verification is rolled back"):
    outcome_of(deploy("broken", expected=1), "rolled_back")
    assert variant() == "next"
    restart()
    assert variant() == "next"
