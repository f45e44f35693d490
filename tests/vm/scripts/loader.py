"""A host with a boot loader: systemd-boot, and GRUB."""


def running() -> str:
    """Say which system the host runs."""
    return web.succeed("readlink -f /run/current-system").strip()


def assert_runs(system: str, variant: str) -> None:
    """Assert that the host runs a system, all of it."""
    assert running() == system, f"{running()} and not {system}"
    assert web.succeed("cat /etc/variant").strip() == variant


def boot() -> None:
    """Start the host, and wait until it serves."""
    web.start()
    web.wait_for_unit("multi-user.target")
    deployer.wait_until_succeeds("ssh-keyscan -t ed25519 web | grep -q ed25519")


start_all()
web.wait_for_unit("multi-user.target")
first = running()
prepare()

with subtest("a deployment changes what runs and what boots"):
    deployed = outcome_of(deploy("next"), "deployed")["out_path"]
    assert deployed != first
    assert_runs(deployed, "next")
    web.shutdown()
    boot()
    assert_runs(deployed, "next")

with subtest("the same once more is unchanged"):
    assert outcome_of(run("deploy web", 0), "unchanged")["out_path"] == deployed

with subtest("a failing verification is rolled back, and never booted"):
    outcome_of(deploy("broken", expected=1), "rolled_back")
    assert_runs(deployed, "next")
    web.shutdown()
    boot()
    assert_runs(deployed, "next")

with subtest("a power cut before the commit leaves the old system"):
    choose("slow")
    deployer.succeed(
        in_fleet(
            "systemd-run --unit=slow --working-directory=/root/fleet --setenv=HOME=/root"
            ' --setenv=PATH="$PATH" orchestrator deploy web'
        )
    )
    web.wait_until_succeeds(f"test $(readlink -f /run/current-system) != {deployed}")
    assert web.succeed("cat /etc/variant") == "slow\n"
    web.crash()
    boot()
    assert_runs(deployed, "next")
    deployer.wait_until_fails("systemctl is-active --quiet slow")
    assert deployer.succeed("systemctl show -P ExecMainStatus slow").strip() == "1"
    choose("next")
    outcome_of(run("deploy web", 0), "unchanged")

with subtest("a power cut after the commit leaves the new system"):
    last = outcome_of(deploy("last"), "deployed")["out_path"]
    web.crash()
    boot()
    assert_runs(last, "last")

with subtest("a rollback goes back, and boots"):
    assert outcome_of(run("rollback web", 0), "deployed")["out_path"] == deployed
    web.shutdown()
    boot()
    assert_runs(deployed, "next")
