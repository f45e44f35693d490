"""Each way of copying brings the same, whatever the link, and breaks without a trace."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_bench import ORCHESTRATOR, Bench, Done, interrupt, log_of, on_terminal, until
from slow_link import slow_link

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST = "dex5550"  # the deploy user's, with sudo
ROOTS = "p620"
PASSWORD = "copy me not"
METHODS = ("connection", "stream")
CLOSURE = "nix-store --query --requisites /run/current-system"
SOUND = f"set -e; nix-store --verify-path $({CLOSURE}); echo sound"


def content(count: int, size: int, what: str) -> str:
    """Paths that refer to each other, each as large as it says and hard to compress."""
    return f"""
      environment.etc."content".source = pkgs.runCommand "{what}-list" {{ }} "echo ${{
        builtins.concatStringsSep " " (builtins.genList (i: "${{pkgs.runCommand "{what}-${{
          toString i}}" {{ }} "head -c {size} /dev/urandom > $out"}}") {count})}} > $out";
    """


def log(done: Done, host: str) -> str:
    """A host's log of a run."""
    return log_of(done.report["folder"], host)


@pytest.mark.parametrize("host", [HOST, ROOTS])
@pytest.mark.parametrize("method", METHODS)
def test_each_way_brings_the_system(fleet: Bench, host: str, method: str) -> None:
    """Each way of copying, as root and through sudo, brings what was built with its references."""
    fleet.module(host, content(20, 9000, f"way-{method}"))
    done = fleet.deploy("--copy", method, host)
    assert done.outcomes == {host: "deployed"}, done
    assert re.search(rf"copying \d+ paths, .* by {method}: by --copy", log(done, host))
    assert fleet.on(host, SOUND).out.strip().endswith("sound")
    listed = fleet.on(host, "nix-store --query --references $(readlink -f /etc/content) | wc -l")
    assert listed.out.strip() == "20"
    assert len(fleet.on(host, "cat /etc/content").out.split()) == 20


def test_a_host_with_zstd_is_sent_zstd(fleet: Bench) -> None:
    """The lab's hosts have gzip only, as the test before shows; this one is lent a zstd."""
    program = shutil.which("zstd")
    if program is None:
        pytest.skip("no zstd on this machine to lend")
    lend = "base64 -d > /opt/zstd; chmod +x /opt/zstd; /opt/zstd --version; cat > /dev/null"
    lent = fleet.run("lab", "ssh", ROOTS, lend, stdin=base64.encodebytes(
        Path(program).read_bytes()).decode())  # fmt: skip
    if "Zstandard" not in lent.out:
        pytest.skip("this machine's zstd does not run on the lab's hosts")
    wrapper = "/usr/local/bin/zstd"
    script = f"printf '#!/bin/sh\\n: > /opt/used\\nexec /opt/zstd \"$@\"\\n' > {wrapper}"
    assert fleet.on(ROOTS, f"{script}; chmod +x {wrapper}").rc == 0
    try:
        fleet.module(ROOTS, content(5, 9000, "zstd"))
        assert fleet.deploy("--copy", "stream", ROOTS).outcomes == {ROOTS: "deployed"}
        assert fleet.on(ROOTS, "test -e /opt/used && echo used").out.strip() == "used"
        assert fleet.on(ROOTS, SOUND).out.strip().endswith("sound")
    finally:
        fleet.on(ROOTS, f"rm -f {wrapper} /opt/zstd /opt/used")


def test_what_is_valid_there_is_not_copied(fleet: Bench) -> None:
    """Pushed once, then again by force: nothing is sent, and the log says so."""
    fleet.module(ROOTS, content(3, 900, "valid"))
    assert fleet.deploy("--goal", "push", ROOTS).outcomes == {ROOTS: "completed"}
    again = fleet.deploy("--goal", "push", "--force", "--copy", "stream", ROOTS)
    assert again.outcomes == {ROOTS: "completed"}, again
    assert "nothing to copy" in log(again, ROOTS)


COPIED = "/nix/var/nix/gcroots/orchestrator-copied"


def test_what_was_copied_outlives_garbage_collection_until_it_runs(fleet: Bench) -> None:
    """A host collects garbage between copy and activation: nothing of the system is lost."""
    fleet.module(HOST, content(3, 900, "waits"))
    assert fleet.deploy("--goal", "push", HOST).outcomes == {HOST: "completed"}
    fleet.on(HOST, "nix-store --gc 2>/dev/null")
    done = fleet.deploy("--fast", HOST)
    assert done.outcomes == {HOST: "deployed"}, done
    assert "(--fast): the host has the system" in log(done, HOST)
    assert fleet.on(HOST, SOUND).out.strip().endswith("sound")
    name = done.report["hosts"][HOST]["out_path"].removeprefix("/nix/store/")
    # What was pushed and never ran stays for a day.
    assert name not in fleet.on(HOST, f"ls {COPIED} 2>/dev/null; :").out.split()


def test_what_is_collected_during_a_copy_is_copied_again(fleet: Bench) -> None:
    """Garbage that the new system needs goes during its copy: it is named, and sent after all."""
    fleet.module(HOST, content(3, 900, "needed"))
    assert fleet.deploy("--goal", "push", HOST).outcomes == {HOST: "completed"}
    assert fleet.on(HOST, f"rm -r {COPIED}").rc == 0
    more = content(12, 300_000, "beside").replace('"content"', '"beside"')
    fleet.module(HOST, content(3, 900, "needed") + more)
    with slow_link(fleet, HOST, delay=1, mbit=4):
        process = fleet.start("deploy", "--json", "--copy", "stream", HOST)
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if re.match(r"[1-9]\d* of \d+ paths", json.loads(line).get("text", "")):
                assert fleet.on(HOST, "nix-store --gc 2>/dev/null").rc == 0
                break
        out, err = process.communicate(timeout=120)
    done = Done(process.returncode, "".join(said) + out, err)
    assert done.outcomes == {HOST: "deployed"}, done
    assert re.search(r"collected as garbage on the host during the copy: /nix/store/\S+", out)
    assert fleet.on(HOST, SOUND).out.strip().endswith("sound")


def test_several_hosts_are_streamed_to_at_once(fleet: Bench) -> None:
    """What all five lack is brought to all five."""
    for host in ("p620", "razer", "samsung", "p510", HOST):
        fleet.module(host, content(10, 50_000, "shared"))
    done = fleet.deploy("--copy", "stream")
    assert set(done.outcomes.values()) == {"deployed"}, done
    for host in done.outcomes:
        assert fleet.on(host, SOUND).out.strip().endswith("sound")


def test_a_slow_link_is_measured_and_streamed_over(fleet: Bench) -> None:
    """Nothing is known, there is much to copy: the link is measured, and the stream is taken."""
    links = next(fleet.home.glob("state/orchestrator/fleets/*"), fleet.home) / "links.json"
    links.unlink(missing_ok=True)
    text = 'runCommand "text" { } "yes the same again | head -c 6000000 > $out"'
    fleet.module(ROOTS, f'environment.etc."content".source = pkgs.{text};')
    with slow_link(fleet, ROOTS, delay=1, mbit=20):
        done = fleet.deploy(ROOTS)
    assert done.outcomes == {ROOTS: "deployed"}, done
    assert re.search(r"by stream: the link gives [\d.]+ Mbit/s", log(done, ROOTS))
    samples = json.loads(links.read_text())["hosts"][ROOTS]
    assert [sample["method"] for sample in samples] == [None, "stream"]
    assert samples[0]["sent"] / samples[0]["seconds"] <= 20e6 / 8 * 1.5
    assert fleet.on(ROOTS, SOUND).out.strip().endswith("sound")


def test_ctrl_c_in_a_stream_leaves_whole_paths_and_nothing_else(fleet: Bench) -> None:
    """No process there, no file here; the next copy sends only what is missing."""
    fleet.module(HOST, content(12, 300_000, "broken"))
    with slow_link(fleet, HOST, delay=1, mbit=4):
        process = fleet.start("deploy", "--json", "--copy", "stream", HOST)
        assert process.stdout is not None
        for line in process.stdout:
            found = re.match(r"([3-9]) of \d+ paths", json.loads(line).get("text", ""))
            if found:
                break
        done = interrupt(process)
    assert done.rc == 130, done
    until(lambda: fleet.on(HOST, "pgrep -f 'nix-store --impor[t]'; :").out == "")
    left = [file.name for file in fleet.home.glob("state/orchestrator/fleets/*/*")]
    assert not [name for name in left if "spool" in name or name.startswith("tmp")]

    again = fleet.deploy("--copy", "stream", HOST)
    assert again.outcomes == {HOST: "deployed"}, again
    sent = re.search(r"copying (\d+) paths", log(again, HOST))
    assert sent is not None
    assert int(sent[1]) < 12
    assert fleet.on(HOST, SOUND).out.strip().endswith("sound")


@pytest.fixture
def asking(fleet: Bench) -> Iterator[Bench]:
    """A host whose sudo asks the deploy user for a password."""
    rule = "/etc/sudoers.d/zz-asks"
    setup = f"echo 'deploy ALL=(ALL) PASSWD: ALL' > {rule}; chpasswd"
    done = fleet.command(str(ORCHESTRATOR), "lab", "ssh", HOST, setup, stdin=f"deploy:{PASSWORD}\n")
    assert done.rc == 0, done
    yield fleet
    assert fleet.on(HOST, f"rm {rule}; usermod -p '*' deploy").rc == 0


@pytest.mark.parametrize("method", METHODS)
def test_a_copy_goes_to_where_sudo_asks(asking: Bench, method: str) -> None:
    """Each way is over our own connection, which gives sudo the password that a person typed."""
    asking.module(HOST, content(3, 900, f"asking-{method}"))
    more = ("--ask-sudo-password", "--no-verify", "--copy", method)
    done = on_terminal(asking, "sudo password", PASSWORD, "deploy", HOST, *more)
    assert done.rc == 0, done.out
