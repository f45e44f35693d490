"""Hosts that fetch: the cache is filled once, signatures count, and what is wrong is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cache_bench import KEY, URL, CacheBench
from fleet_bench import HOSTS, Bench, Done, log_of

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST = "dex5550"
SYSTEM = ("running", "profile", "boot_default")


@pytest.fixture
def cache(fleet: Bench, tmp_path: Path) -> Iterator[CacheBench]:
    """A cache that is up, and a host that has something to fetch."""
    bench = CacheBench(fleet, tmp_path)
    fleet.module(HOST, f'environment.etc."marker".text = "{tmp_path.name}";')
    with bench.serving():
        yield bench


def log(done: Done, host: str = HOST) -> str:
    """A host's log of a run."""
    return log_of(done.report["folder"], host)


def test_the_cache_is_filled_once_and_every_host_fetches(fleet: Bench, cache: CacheBench) -> None:
    """Five hosts, one signed copy of what they share; nothing is copied to a host."""
    for host in HOSTS:
        fleet.module(host, f'environment.etc."marker".text = "{cache.folder.name} of {host}";')
    cache.declare(cache.make_key())
    done = fleet.deploy()
    assert set(done.outcomes.values()) == {"deployed"}, done
    infos = [info.read_text() for info in cache.store.glob("*.narinfo")]
    assert infos
    assert all(f"\nSig: {KEY}:" in info for info in infos)
    for host in HOSTS:
        wanted = done.report["hosts"][host]["out_path"]
        name = wanted.removeprefix("/nix/store/").partition("-")[0]
        assert any(f"GET /{name}.narinfo" in line for line in cache.asked)
        assert fleet.on(host, f"nix-store --query --requisites {wanted}").rc == 0
        assert " by connection" not in log(done, host)


def test_what_is_there_is_not_fetched(fleet: Bench, cache: CacheBench) -> None:
    """A host that has its system asks no cache, and the cache is not filled."""
    assert fleet.deploy("--goal", "push", HOST).rc == 0
    cache.declare(cache.make_key())
    before = cache.asked
    done = fleet.deploy(HOST)
    assert done.outcomes == {HOST: "deployed"}
    assert "nothing to copy" in log(done)
    assert cache.asked == before
    assert not list(cache.store.glob("*.narinfo"))


def test_a_way_that_a_person_names_goes_before_the_cache(fleet: Bench, cache: CacheBench) -> None:
    """With `--copy connection` a host is copied to, and the cache is not asked."""
    cache.declare(cache.make_key())
    before = cache.asked
    assert fleet.deploy("--copy", "connection", HOST).outcomes == {HOST: "deployed"}
    assert cache.asked == before


def unsigned(cache: CacheBench, _: Bench) -> str:
    """Nobody signs, and the host is told to trust a key."""
    cache.declare(cache.make_key(), signs_with=None)
    return f"without a valid signature by {KEY}"


def another_key(cache: CacheBench, _: Bench) -> str:
    """What signs is not what is trusted, though it bears the same name."""
    trusted = cache.make_key("trusted")
    cache.make_key("key")
    cache.declare(trusted)
    return f"without a valid signature by {KEY}"


def lacking(cache: CacheBench, _: Bench) -> str:
    """It is filled elsewhere than where hosts look."""
    cache.declare(cache.make_key())
    path = cache.fleet.root / "inventory/caches.yaml"
    path.write_text(path.read_text().replace(str(cache.store), str(cache.folder / "elsewhere")))
    return "the cache 'lab' lacks /nix/store/"


def down(cache: CacheBench, fleet: Bench) -> str:
    """It is filled, and does not answer the hosts."""
    cache.declare(cache.make_key())
    path = fleet.root / "inventory/caches.yaml"
    path.write_text(path.read_text().replace(URL, f"{URL}1"))
    return f"the cache 'lab' does not answer on the host: {URL}1/"


@pytest.mark.parametrize("wrong", [unsigned, another_key, lacking, down])
def test_a_cache_that_cannot_be_trusted_fails_the_host(
    fleet: Bench, cache: CacheBench, wrong: Callable[[CacheBench, Bench], str]
) -> None:
    """The host is untouched, the error names cache, path and remedy; nothing is copied instead."""
    words = wrong(cache, fleet)
    before = fleet.state(HOST)
    done = fleet.deploy(HOST)
    assert done.rc == 1
    assert done.outcomes == {HOST: "failed"}, done
    failed = done.report["hosts"][HOST]
    assert words in failed["reason"], failed
    assert failed["step"] == "copy"
    assert "--copy connection" in failed["hint"]
    assert "nix-store --realise" in failed["command"]
    if "signature" in words or "lacks" in words:
        assert "/nix/store/" in failed["reason"]
    after = fleet.state(HOST)
    assert [after[key] for key in SYSTEM] == [before[key] for key in SYSTEM]
    wanted = fleet.run("plan", "--json", HOST).report["hosts"][HOST]["out_path"]
    assert fleet.on(HOST, f"nix-store --check-validity {wanted}").rc != 0


def test_a_cache_that_cannot_be_filled_is_named(fleet: Bench, cache: CacheBench) -> None:
    """The push fails: the error names the cache, and nothing is copied instead."""
    cache.declare(cache.make_key())
    (cache.folder / "key.secret").unlink()
    done = fleet.deploy(HOST)
    assert done.outcomes == {HOST: "failed"}
    assert "the cache 'lab'" in done.report["hosts"][HOST]["reason"]


def test_after_the_repair_it_is_fetched(fleet: Bench, cache: CacheBench) -> None:
    """The host remembers nothing of the cache's failure."""
    words = unsigned(cache, fleet)
    done = fleet.deploy(HOST)
    assert words in done.report["hosts"][HOST]["reason"]
    wanted = fleet.run("plan", "--json", HOST).report["hosts"][HOST]["out_path"]
    key = ("--key-file", str(cache.folder / "key.secret"))
    store = ("--store", f"file://{cache.store}")
    experimental = ("--extra-experimental-features", "nix-command")
    cache.nix("nix", *experimental, "store", "sign", *store, *key, "--recursive", wanted)
    assert fleet.deploy(HOST).outcomes == {HOST: "deployed"}
