"""Where a host knows by itself that nobody gets in, and cannot mend it; and where it does not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.lab.faults import judge, suite
from tests.lab.faults.deployment import Deployment
from tests.lab.faults.ground import HOST, Ground, until
from tests.lab.faults.phases import PHASES, Scene, held_check
from tests.lab.faults.play import Trial

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

# What no guard repairs, and a boot does: sshd's program is another one until then.
HIDES_SSHD = """
system.activationScripts.shuts.text = ''
  mount --bind /bin/false /usr/sbin/sshd
  systemctl restart ssh.service || true
'';
"""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """One host in a lab of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_LAB_HOME", str(tmp_path_factory.mktemp("labs")))
        with suite.ground_of_its_own() as made:
            yield made


def resort(ground: Ground, word: str) -> None:
    """Have the inventory say what becomes of a host that nobody gets into."""
    file = ground.bench.root / "inventory/hosts.yaml"
    text = re.sub(", last_resort: [a-z]*", "", file.read_text())
    text = text.replace("verify: 8s", "verify: 30s").replace("health: 16s", "health: 32s")
    file.write_text(text.replace("health: 32s", f"health: 32s, last_resort: {word}"))


def boot_id(ground: Ground) -> str:
    """Which boot of the host it is."""
    return ground.inside.sh("cat /proc/sys/kernel/random/boot_id")


def attempt(ground: Ground, key: str) -> str:
    """What the host's own file says of the last attempt."""
    return ground.inside.sh(f"sed -n s/^{key}=//p /run/orchestrator/attempt").strip()


def test_a_host_that_boots_unattended_is_booted_into_the_old_system(ground: Ground) -> None:
    """Once: it comes up as it was, one gets in, and the deployer tells that it is rolled back."""
    resort(ground, "reboot")
    ground.configure(HIDES_SSHD)
    trial, booted = Trial.begin(ground), boot_id(ground)
    done = ground.bench.deploy(HOST)
    assert done.outcomes == {HOST: "rolled_back"}, done
    assert boot_id(ground) != booted
    assert judge.of_login(ground) == []
    assert judge.of_host(trial.before, ground.look(), trial.systems) == []
    assert attempt(ground, "resort") == "1"


def test_no_host_is_booted_that_the_inventory_does_not_name(ground: Ground) -> None:
    """A host that the inventory does not allow to boot is reported as shut, and not booted."""
    resort(ground, "none")
    ground.configure(HIDES_SSHD)
    booted = boot_id(ground)
    done = ground.bench.deploy(HOST)
    host = done.report["hosts"][HOST]
    assert host["outcome"] == "failed", host
    assert "nobody gets in" in host["host_state"]
    assert "port 22 (ssh.service)" in host["host_state"]
    assert boot_id(ground) == booted
    ground.inside.sh("umount /usr/sbin/sshd; systemctl reset-failed; systemctl start ssh.service")
    ground.configure()
    assert ground.bench.deploy(HOST).rc == 0


# GRUB, written last, whose default is what runs, and whose next boot alone starts another system.
ONCE = """
mkdir -p /boot/grub
system=$(readlink -f /run/current-system)
printf '%s\\n' 'if [ -s $prefix/grubenv ]; then load_env; fi' \
  'if [ "${next_entry}" ]; then set default="${next_entry}"' 'set next_entry=' \
  'save_env next_entry' 'fi' \
  "menuentry a { linux /k init=$system/init" "}" \
  "menuentry b { linux /k init=/nix/store/11111111111111111111111111111111-nixos-other/init" "}" \
  > /boot/grub/grub.cfg
printf '# GRUB Environment Block\\nnext_entry=1\\n' > /boot/grub/grubenv
printf '#!/bin/sh\\necho ext4\\n' > /usr/local/bin/findmnt
printf '#!/bin/sh\\necho disk\\n' > /usr/local/bin/lsblk
chmod +x /usr/local/bin/findmnt /usr/local/bin/lsblk
touch -d tomorrow /boot/grub/grub.cfg
"""


def test_no_host_is_booted_whose_next_boot_starts_another_system(ground: Ground) -> None:
    """An entry for one boot goes first: booting would not bring the old system back."""
    resort(ground, "reboot")
    ground.inside.sh(ONCE)
    told = json.loads(ground.bench.run("status", "--json", HOST).out)[HOST]
    assert told["boot_source"] == "grub"
    assert told["boot_note"].startswith("the next boot alone starts ")
    ground.configure(HIDES_SSHD)
    booted = boot_id(ground)
    assert ground.bench.deploy(HOST).outcomes == {HOST: "failed"}
    assert boot_id(ground) == booted
    ground.inside.sh(
        "rm -r /boot/grub /usr/local/bin/findmnt /usr/local/bin/lsblk; umount /usr/sbin/sshd"
    )
    ground.inside.sh("systemctl reset-failed; systemctl start ssh.service")
    ground.configure()
    assert ground.bench.deploy(HOST).rc == 0


def test_a_deployer_that_is_silent_reboots_nothing(ground: Ground) -> None:
    """A closed laptop is no reason: the host rolls back, runs on, and waits to be reached again."""
    resort(ground, "reboot")
    ground.configure(check=held_check(ground))
    phase, booted = PHASES["verify"], boot_id(ground)
    phase.arm(ground)
    deployment = Deployment(ground)
    scene = Scene(ground, deployment)
    try:
        phase.enter(scene)
        deployment.kill()
    finally:
        deployment.end()
        phase.release(scene)
    until(lambda: ground.look().quiet, 90, "the host is to go back by itself")
    assert boot_id(ground) == booted
    assert (attempt(ground, "resort"), attempt(ground, "reached")) == ("", "0")
    told = ground.bench.run("status", "--json", HOST)
    assert json.loads(told.out)[HOST]["attempt"]["reached"] is False
    until(lambda: not ground.look().locked, 15, "the lock is to end by itself")
    done = ground.bench.deploy(HOST)
    assert done.rc == 0
    assert "nobody had got in since, until now" in json.dumps(done.events)
