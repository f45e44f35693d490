"""How layers fold into a host, and where each value came from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.core.errors import UsageError
from orchestrator.core.host import BuildOn, BuildSite, Connect, Deadlines, Limits, User
from orchestrator.inventory.load import Inventory, load

Loaded = Callable[..., Inventory]

LAYERS = {
    "a": """\
defaults:
  system: a-linux
  state_version: "01.05"
  connect: {user: u-defaults, port: 1}
  tags: [both, t-defaults]
  features: [f-defaults]
  hardware: {disk: {size: 1, kind: ssd}, list: [1]}
templates:
  base:
    connect: {jump: j-base}
    tags: [t-base]
  box:
    extends: base
    system: t-linux
    state_version: "02.05"
    connect: {port: 2}
    profiles: [p-template]
    tags: [t-template]
    features: [f-template]
profiles:
  p-template:
    state_version: "03.05"
    tags: [t-p1]
  p-host:
    state_version: "04.05"
    tags: [t-p2]
    features: [f-profile]
features:
  f-defaults: {}
  f-template: {tags: [t-f1], deadlines: {build: 5}}
  f-profile: {state_version: "05.05"}
  f-host: {tags: [t-f2]}
""",
    "b": """\
hosts:
  web1:
    template: box
    profiles: [p-host]
    features: [f-host]
    tags: [both, t-host]
    hardware: {disk: {size: 2}, list: [1, 2]}
    connect:
      port: 3
""",
}


def test_three_lines_are_an_inventory(loaded: Loaded) -> None:
    """A host with an address is enough; everything else is built in."""
    inventory = loaded(hosts="hosts:\n  web1:\n    address: 10.0.0.5\n")
    host = inventory.fleet.hosts["web1"]
    assert (host.name, host.attr, host.connect) == ("web1", "web1", Connect("10.0.0.5"))
    assert (host.template, host.deadlines, host.build) == (None, Deadlines(), BuildSite())
    assert (inventory.fleet.name, inventory.fleet.limits) == ("fleet", Limits())
    assert inventory.fleet.flake == inventory.fleet.root


def test_a_host_without_an_address_is_an_ssh_alias(loaded: Loaded) -> None:
    """A name alone is a host; ssh finds it by that name."""
    assert loaded(hosts="hosts:\n  web1:\n").fleet.hosts["web1"].connect.address == "web1"


def test_layers_apply_in_order(loaded: Loaded) -> None:
    """Single values override: defaults, template, profiles, features, host."""
    host = loaded(**LAYERS).fleet.hosts["web1"]
    assert host.system == "t-linux"
    assert host.state_version == "05.05"
    assert host.connect == Connect("web1", user="u-defaults", port=3, jump="j-base")
    assert host.deadlines.build == 5.0


def test_lists_accumulate_in_order_without_repeats(loaded: Loaded) -> None:
    """Lists grow from layer to layer, and keep what came first where it first was."""
    host = loaded(**LAYERS).fleet.hosts["web1"]
    assert host.profiles == ("p-template", "p-host")
    assert host.features == ("f-defaults", "f-template", "f-profile", "f-host")
    expected = "both t-defaults t-base t-template t-p1 t-p2 t-f1 t-f2 t-host"
    assert host.tags == tuple(expected.split())


def test_mappings_merge_deeply(loaded: Loaded) -> None:
    """Free-form facts of several layers are one mapping."""
    host = loaded(**LAYERS).fleet.hosts["web1"]
    assert host.hardware == {"disk": {"size": 2, "kind": "ssd"}, "list": [1, 2]}


def test_every_value_tells_its_file_line_and_layer(loaded: Loaded) -> None:
    """Provenance names the layer that won; of a list, each item's."""
    inventory = loaded(**LAYERS)
    found = [(r.key, r.value, str(r.origin)) for r in inventory.origins("web1")]
    assert ("connect.port", 3, "inventory/b.yaml:9 (host web1)") in found
    assert ("connect.jump", "j-base", "inventory/a.yaml:10 (template base)") in found
    assert ("system", "t-linux", "inventory/a.yaml:14 (template box)") in found
    assert ("state_version", "05.05", "inventory/a.yaml:31 (feature f-profile)") in found
    assert ("tags", "t-p1", "inventory/a.yaml:23 (profile p-template)") in found
    assert ("tags", "both", "inventory/a.yaml:5 (defaults)") in found
    assert ("hardware.disk.size", 2, "inventory/b.yaml:7 (host web1)") in found
    assert ("hardware.disk.kind", "ssd", "inventory/a.yaml:7 (defaults)") in found
    assert ("verify.retries", 2, "built-in") in found
    assert ("address", "web1", "built-in") in found


def test_origins_of_an_unknown_host(loaded: Loaded) -> None:
    """Asking for a host that is not there names the nearest, and all that are."""
    inventory = loaded(hosts="hosts: {web1: , web2: }\n")
    with pytest.raises(UsageError, match="did you mean 'web1'") as caught:
        inventory.origins("wbe1")
    assert caught.value.hint == "hosts: web1, web2"


@pytest.mark.parametrize(
    ("build", "site"),
    [
        ("here", BuildSite(BuildOn.HERE)),
        ("target", BuildSite(BuildOn.TARGET)),
        ("web2", BuildSite(BuildOn.BUILDER, "web2")),
        ("web1", BuildSite(BuildOn.TARGET)),
    ],
)
def test_where_a_system_is_built(loaded: Loaded, build: str, site: BuildSite) -> None:
    """Here, on the target, or on another host; a host that builds on itself is a target."""
    inventory = loaded(hosts=f"hosts:\n  web1: {{build: {build}}}\n  web2:\n")
    assert inventory.fleet.hosts["web1"].build == site


@pytest.mark.parametrize(
    ("written", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1.5m", 90), ("7", 7)]
)
def test_durations(loaded: Loaded, written: str, seconds: float) -> None:
    """A duration is a number of seconds, or has a unit."""
    hosts = f"hosts: {{web1: {{deadlines: {{copy: {written}}}}}}}"
    assert loaded(hosts=hosts).fleet.hosts["web1"].deadlines.copy == seconds


def test_the_fleet_as_a_whole(loaded: Loaded) -> None:
    """Name, flake, limits and users are read; what is left out is built in."""
    fleet = loaded(
        fleet="fleet: {name: n, flake: 'path:nix'}\nlimits: {builds: 7}\n"
        "users:\n  admin: {description: d, groups: [wheel], shell: zsh}\n",
        hosts="hosts: {web1: {users: [admin], machine_id: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}}",
    ).fleet
    assert (fleet.name, fleet.flake) == ("n", "path:nix")
    assert fleet.limits == Limits(builds=7)
    assert fleet.users == {"admin": User("admin", ("wheel",), "zsh")}
    assert fleet.hosts["web1"].machine_id == "a" * 32


def test_the_memory_of_evaluations(loaded: Loaded) -> None:
    """A size is read as bytes; powers of 1024."""
    limits = loaded(fleet="limits: {evaluation_memory: 3G}", hosts="hosts: {web1: }").fleet.limits
    assert limits == Limits(evaluation_memory=3 * 1024**3)


@pytest.mark.parametrize("wrong", ["3", "3GB", "0G", "[3G]", "true"])
def test_what_is_no_size_of_memory(loaded: Loaded, wrong: str) -> None:
    """A number without a unit would be bytes, which nobody means."""
    with pytest.raises(UsageError, match=r"a size such as 512M, 3G or 1\.5T"):
        loaded(fleet=f"limits: {{evaluation_memory: {wrong}}}", hosts="hosts: {web1: }")


def test_a_flake_url_is_kept(loaded: Loaded) -> None:
    """What has a scheme is a URL and no path."""
    text = "fleet: {flake: 'github:owner/repo?dir=x'}\nhosts: {web1: }\n"
    assert loaded(all=text).fleet.flake == "github:owner/repo?dir=x"


def test_hosts_keep_the_order_of_sorted_files(loaded: Loaded) -> None:
    """The inventory's order is that of the sorted files, and of the lines in them."""
    inventory = loaded(b="hosts: {a: }", a="hosts: {z: , y: }")
    assert list(inventory.fleet.hosts) == ["z", "y", "a"]


def test_aliases_within_reason_are_read(loaded: Loaded) -> None:
    """An anchor and its alias are a plain way to say something twice."""
    text = "hosts:\n  a: &a {tags: &t [x, y]}\n  b: {tags: *t}\n  c: *a\n"
    hosts = loaded(h=text).fleet.hosts
    assert [hosts[name].tags for name in "abc"] == [("x", "y")] * 3


def test_suites_are_found_by_their_names(write: Callable[..., Path]) -> None:
    """Verification exists because its file does: from every host's to the host's own."""
    root = write(
        h="templates: {big-box: {}}\nprofiles: {dev: {}}\nfeatures: {a-b: {}, c: {}}\n"
        "hosts:\n  web1: {template: big-box, profiles: [dev], features: [a-b, c],"
        " verify: {suites: [extra]}}\n  web2:\n"
    )
    wanted = [
        "tests/verify/test_every_host.py",
        "tests/verify/templates/test_big_box.py",
        "tests/verify/profiles/test_dev.py",
        "tests/verify/features/test_a_b.py",
        "hosts/web1/test_own.py",
    ]
    for name in [*wanted, "tests/verify/features/test_other.py", "hosts/web1/helper.py"]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "extra").mkdir()
    inventory = load(root)
    assert inventory.fleet.hosts["web1"].verify.suites == (*wanted, "extra")
    assert inventory.fleet.hosts["web2"].verify.suites == (wanted[0],)
    origins = {r.value: str(r.origin) for r in inventory.origins("web1")}
    assert origins[wanted[1]] == f"{wanted[1]} (convention)"
