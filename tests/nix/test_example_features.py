"""Features of the example fleet on the stand-in: what they leave, and what bundles weigh."""

from __future__ import annotations

import itertools
import json

from nix_bench import HOSTS, Fleet
from test_fleet import changed

BUNDLES = ("minimal", "essential", "development", "full")
UNITS = {"host-page", "status-api"}
"""Features that are seen by a unit of their name, and not by a file."""


def test_every_feature_leaves_something_to_see(fleet: Fleet) -> None:
    """Each feature of a host leaves a file of its name in ``/etc/fleet/features``, or a unit."""
    apply = """builtins.mapAttrs (_: host: {
      inherit (host.config.fleet) features;
      seen = builtins.attrNames host.config.environment.etc;
    })"""
    done = fleet.evaluate("nixosConfigurations", "--apply", apply)
    assert done.returncode == 0, done.stderr
    hosts = json.loads(done.stdout)
    assert hosts.keys() == HOSTS
    for name, host in hosts.items():
        expected = {
            f"systemd/system/{one}.service" if one in UNITS else f"fleet/features/{one}"
            for one in host["features"]
        }
        assert expected <= set(host["seen"]), name
        files = {one for one in host["seen"] if one.startswith("fleet/features/")}
        assert files <= expected, name


def test_a_setting_reaches_the_host_and_its_server(fleet: Fleet) -> None:
    """A client's other port is opened there and asked by the server; no other host changes."""
    systems = fleet.systems()
    path = fleet.root / "inventory/fleet.json"
    facts = json.loads(path.read_text())
    facts["hosts"]["p510"]["settings"]["monitoring"]["port"] = 9200
    path.write_text(json.dumps(facts))
    assert changed(fleet, systems) == {"p510", "dex5550"}
    assert fleet.option("p510", "services.prometheus.exporters.node.port") == 9200
    (job,) = fleet.option("dex5550", "services.prometheus.scrapeConfigs")
    (static,) = job["static_configs"]
    assert static["targets"] == ["dex5550:9100", "p510:9200", "p620:9100"]


def test_no_deployer_of_a_private_network_is_banned(fleet: Fleet) -> None:
    """Whoever mistypes at home or in the tailnet can still deploy; a host names other networks."""
    path = fleet.root / "inventory/fleet.json"
    facts = json.loads(path.read_text())
    facts["hosts"]["p510"]["settings"]["fail2ban"]["ignore_ip"] = ["192.0.2.0/24"]
    path.write_text(json.dumps(facts))
    ignored = {
        host: fleet.option(host, "services.fail2ban.ignoreIP") for host in ("dex5550", "p510")
    }
    assert {"192.168.0.0/16", "fc00::/7", "100.64.0.0/10"} <= {*ignored["dex5550"]}
    assert "192.0.2.0/24" in ignored["p510"]
    assert "192.168.0.0/16" not in ignored["p510"]


def test_what_a_bundle_of_packages_weighs_is_measured(fleet: Fleet) -> None:
    """Each bundle is built by itself; Nix weighs its closure, which has that of the one before."""
    place = f"path:{fleet.root}#nixosConfigurations.p620.config.system.build.bundles.packages"
    built = fleet.nix(
        *("build", "--no-link", "--print-out-paths"), *(f"{place}-{name}" for name in BUNDLES)
    )
    assert built.returncode == 0, built.stderr
    paths = built.stdout.split()
    closures = []
    for path in paths:
        done = fleet.nix("path-info", "--recursive", path)
        closures.append({one for one in done.stdout.split() if one not in paths})
    assert [len(closure) for closure in closures] != [0] * len(BUNDLES)
    for less, more in itertools.pairwise(closures):
        assert less < more
    weighed = fleet.nix("path-info", "--closure-size", *paths)
    assert weighed.returncode == 0, weighed.stderr
    sizes = {path: int(size) for path, size in map(str.split, weighed.stdout.splitlines())}
    assert sorted(paths, key=sizes.__getitem__) == paths
