"""Two hosts at one address are a mistake of the inventory, however that is spelled."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.inventory.load import Inventory


def two(one: str, other: str) -> str:
    """An inventory of two hosts with these settings."""
    return f"hosts:\n  web1: {{{one}}}\n  web2: {{{other}}}\n"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("address: 10.0.0.5", "address: 10.0.0.5"),
        ("address: web.lan", "address: WEB.lan."),
        ("address: web2", ""),
        ("address: 'fe80::1%eth0'", "address: 'FE80:0::1%eth0'"),
        ("address: '2001:db8::5'", "address: '2001:0DB8:0:0::5'"),
        ("address: 10.0.0.5", "address: '::ffff:10.0.0.5'"),
        ("address: 10.0.0.5", "address: '10.5'"),
        ("address: 10.0.0.5", "address: '0xa000005'"),
        ("address: a", "address: a, connect: {port: 22}"),
        ("address: a, connect: {port: 2222}", "address: A, connect: {port: 2222}"),
        ("address: a, connect: {user: root}", "address: a, connect: {user: deploy}"),
        ("address: a, connect: {jump: gate}", "address: a, connect: {jump: 'ada@gate:22'}"),
        ("address: a, connect: {jump: '[::1]:2'}", "address: a, connect: {jump: '[0:0::1]:2'}"),
    ],
)
def test_two_hosts_at_one_address(mistakes: Callable[..., list[str]], one: str, other: str) -> None:
    """Two hosts at one address are a mistake that names both, each with its place."""
    (told,) = mistakes(hosts=two(one, other))
    assert "hosts.yaml:3:" in told
    assert (
        "the host 'web2' at the address of 'web1' (the other is at inventory/hosts.yaml:2" in told
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("address: 10.0.0.5", "address: 10.0.0.6"),
        ("", ""),
        ("address: a, connect: {port: 2201}", "address: a, connect: {port: 2202}"),
        ("address: a", "address: a, connect: {port: 2202}"),
        ("address: 10.0.0.5, connect: {jump: a}", "address: 10.0.0.5, connect: {jump: b}"),
        ("address: 10.0.0.5, connect: {jump: a}", "address: 10.0.0.5"),
        ("address: 'fe80::1%eth0'", "address: 'fe80::1%eth1'"),
    ],
)
def test_two_machines(loaded: Callable[..., Inventory], one: str, other: str) -> None:
    """Ports tell machines behind one address apart, and so do the networks behind jump hosts."""
    assert set(loaded(hosts=two(one, other)).fleet.hosts) == {"web1", "web2"}


def test_three_hosts_at_one_address(mistakes: Callable[..., list[str]]) -> None:
    """Of three hosts at one address the second and the third are each a mistake."""
    lines = "".join(f"  web{n}: {{address: 10.0.0.5}}\n" for n in range(3))
    assert len(mistakes(hosts=f"hosts:\n{lines}")) == 2
