"""What the scripts share. The driver puts this before each of them; `deployer` is its machine."""

import json
import shlex


def in_fleet(command: str) -> str:
    """Have a command of the shell run in the fleet's folder."""
    return f"cd /root/fleet && {command}"


def prepare() -> None:
    """Give the deployer its key and its fleet, and wait until the host can be reached."""
    deployer.wait_for_unit("multi-user.target")
    deployer.succeed(
        "install -D -m 0600 /etc/deployer-key /root/.ssh/id_ed25519",
        "cp -rL --no-preserve=mode /etc/fleet /root/fleet",
        "git config --global user.name deployer",
        "git config --global user.email deployer@localhost",
    )
    choose("next")
    trust()


def trust() -> None:
    """Believe the key that the host shows now."""
    deployer.wait_until_succeeds(
        "ssh-keyscan -t ed25519 web > /root/.ssh/known_hosts && test -s /root/.ssh/known_hosts"
    )


def choose(variant: str) -> None:
    """Commit that the host gets a variant."""
    deployer.succeed(
        in_fleet("mkdir -p chosen && printf %s " + shlex.quote(variant) + " > chosen/web"),
        in_fleet("git init --quiet && git add --all && git commit --quiet --allow-empty -m fleet"),
    )


def run(command: str, expected: int) -> dict:
    """Run a command of the orchestrator's; return what its report says of the host.

    Its words for a person are in the test's log.
    """
    status, out = deployer.execute(in_fleet(f"orchestrator {command} --json"))
    lines = [json.loads(line) for line in out.split("\n") if line]
    assert status == expected, f"{command}: exit code {status}, expected {expected}: {lines[-1:]}"
    report = lines[-1]
    assert report["type"] == "report", report
    return report["hosts"]["web"]


def deploy(variant: str, expected: int = 0) -> dict:
    """Choose a variant and deploy it."""
    choose(variant)
    return run("deploy web", expected)


def outcome_of(result: dict, outcome: str) -> dict:
    """Assert how a host came out of it."""
    assert result["outcome"] == outcome, result
    return result
