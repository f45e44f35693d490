"""Builders and caches in the inventory: what may be written, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.core.host import Cache
from orchestrator.inventory.load import Inventory

Loaded = Callable[..., Inventory]
Told = Callable[..., list[str]]

KEY = f"cache.lan-1:{'A' * 43}="
LAN = f"lan: {{url: 'http://cache.lan', public_key: '{KEY}'}}"
WAN = f"wan: {{url: 'https://cache.example', public_key: '{KEY}'}}"
HOST = "hosts:\n  web1:\n    tags: [x]\n"


def test_builders_are_kept_as_they_are(loaded: Loaded) -> None:
    """In the words of Nix's machines file, with any number of its fields."""
    lines = (
        "ssh-ng://build@fast.lan",
        "ssh-ng://build@arm.lan aarch64-linux,armv7l-linux /root/.ssh/key 8 2.5 kvm,big-parallel - "
        "c3NoLWVkMjU1MTkgQUFBQUMzTnphQzFsWkRJMU5URTU=",
        "ssh://[fe80::1]:2222 - - 4",
    )
    text = "builders:\n" + "".join(f"  - '{line}'\n" for line in lines)
    assert loaded(a=HOST, b=text).fleet.builders == lines
    assert loaded(a=HOST, b="").fleet.builders == ()


@pytest.mark.parametrize(
    "line",
    [
        "fast.lan x86_64-linux",
        "ssh-ng://fast.lan  x86_64-linux",
        "ssh-ng://fast.lan x86_64-linux ~/.ssh/key",
        "ssh-ng://fast.lan x86_64-linux - many",
        "ssh-ng://fast.lan ; ssh-ng://other",
        "ssh-ng://fast.lan # the fast one",
        "@/etc/nix/machines",
        "--store",
    ],
)
def test_what_nix_would_misread_is_a_mistake(mistakes: Told, line: str) -> None:
    """A builder's line that Nix would misread is a mistake with its place and an example."""
    (told,) = mistakes(a=HOST, b=f"builders:\n  - '{line}'\n")
    assert told.startswith("inventory/b.yaml:2:5: the text '")
    assert "ssh-ng://build@host x86_64-linux /root/.ssh/key 4" in told


def test_builders_stand_in_one_file(mistakes: Told) -> None:
    """Two lists would leave open which holds."""
    text = "builders: ['ssh-ng://fast.lan']\n"
    (told,) = mistakes(a=HOST, b=text, c=text)
    assert "inventory/c.yaml:1:1: the section 'builders' a second time" in told


def test_a_cache_is_read_whole(loaded: Loaded) -> None:
    """A key file is one of the fleet's, unless its path says more."""
    text = f"""caches:
  lan:
    description: In the cellar.
    url: http://cache.lan
    public_key: "{KEY}"
    push: ssh-ng://root@cache.lan
    secret_key: secrets/cache.key
  other: {{url: "file:///srv", public_key: "{KEY}", secret_key: /root/key}}
"""
    fleet = loaded(a=HOST, b=text).fleet
    assert fleet.caches["lan"] == Cache(
        "lan",
        "http://cache.lan",
        KEY,
        push="ssh-ng://root@cache.lan",
        secret_key=f"{fleet.root}/secrets/cache.key",
    )
    assert fleet.caches["other"].secret_key == "/root/key"
    assert fleet.caches["other"].push is None


@pytest.mark.parametrize(
    ("caches", "said", "wanted"),
    [
        (LAN, "true", "lan"),
        (LAN, "lan", "lan"),
        (LAN, "false", None),
        (f"{LAN}, {WAN}", "wan", "wan"),
    ],
)
def test_a_host_fetches_from(loaded: Loaded, caches: str, said: str, wanted: str | None) -> None:
    """The only cache, the one that is named, or none."""
    fleet = loaded(a=f"{HOST}    substitute: {said}\n", b=f"caches: {{{caches}}}\n").fleet
    assert fleet.hosts["web1"].substitute == wanted


def test_a_hosts_own_word_goes_first(loaded: Loaded) -> None:
    """Before its template's, and that before the defaults'; without any word it is copied to."""
    text = f"""caches: {{{LAN}, {WAN}}}
defaults: {{substitute: lan}}
templates: {{laptop: {{substitute: wan}}}}
hosts:
  one: {{}}
  two: {{template: laptop}}
  three: {{template: laptop, substitute: false}}
"""
    hosts = loaded(a=text).fleet.hosts
    assert [hosts[name].substitute for name in ("one", "two", "three")] == ["lan", "wan", None]
    assert loaded(a=HOST).fleet.hosts["web1"].substitute is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("substitute: true", "4:17: true; expected one declared under caches, where there is none"),
        ("substitute: lna", "4:17: the unknown cache 'lna'"),
        ("substitute: 5", "4:17: the number 5; expected true, false or a cache's name"),
        ("substitute: yes", "'yes' (YAML 1.1 and 1.2 read it differently)"),
    ],
)
def test_a_wrong_word_is_told(mistakes: Told, text: str, told: str) -> None:
    """A wrong ``substitute`` is a mistake with its place and what is expected there."""
    (found,) = mistakes(a=f"{HOST}    {text}\n")
    assert told in found


def test_true_means_the_only_cache(mistakes: Told) -> None:
    """With two, nobody knows which; they are named."""
    (told,) = mistakes(a=f"{HOST}    substitute: true\n", b=f"caches: {{{LAN}, {WAN}}}\n")
    assert "4:17: true, where there are 2 caches; expected one of lan, wan" in told


@pytest.mark.parametrize(
    ("cache", "told"),
    [
        ("{url: 'http://cache.lan'}", "a cache without 'public_key'"),
        (f"{{public_key: '{KEY}'}}", "a cache without 'url'"),
        ("", "nothing; expected a cache: a mapping with one of"),
        (f"{{url: cache.lan, public_key: '{KEY}'}}", "expected a store's URL, such as"),
        (f"{{url: 'http://a b', public_key: '{KEY}'}}", "expected a store's URL, such as"),
        ("{url: 'http://c', public_key: c}", "expected NAME:KEY"),
        (f"{{url: 'http://c', public_key: '{KEY}', push: /srv}}", "expected a store's URL"),
    ],
)
def test_a_wrong_cache_is_told(mistakes: Told, cache: str, told: str) -> None:
    """What is missing as well as what is there."""
    (found,) = mistakes(a=HOST, b=f"caches:\n  lan: {cache}\n")
    assert found.startswith("inventory/b.yaml:2:")
    assert told in found
