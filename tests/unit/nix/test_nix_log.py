"""Nix's internal JSON log; the samples are Nix 2.26's own."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.nix.log import cause, copying, progress, readable, text

HASH = "l7nliymss3brzq1996ksmim79crcs01h"


def line(**event: object) -> bytes:
    """A line as Nix writes it."""
    return b"@nix " + json.dumps(event).encode()


BUILD = line(
    action="start",
    fields=[f"/nix/store/{HASH}-sample-1.0.drv", "", 1, 1],
    id=26104811225093,
    level=3,
    parent=0,
    text=f"building '/nix/store/{HASH}-sample-1.0.drv'",
    type=105,
)
COPY = line(
    action="start",
    fields=[f"/nix/store/{HASH}-hostname", "local", "local"],
    id=26182120636422,
    level=3,
    parent=0,
    text=f"copying path '/nix/store/{HASH}-hostname' to 'local'",
    type=100,
)
FETCH = line(
    action="start",
    fields=[f"/nix/store/{HASH}-bash-5.2", "https://cache.nixos.org"],
    id=1,
    level=3,
    parent=0,
    text="",
    type=108,
)
DOWNLOAD = line(
    action="start",
    fields=["https://cache.nixos.org/nix-cache-info"],
    id=1,
    level=4,
    parent=0,
    text="downloading 'https://cache.nixos.org/nix-cache-info'",
    type=101,
)
BUILDS = line(action="start", id=26104811225090, level=0, parent=0, text="", type=104)
OUTPUT = line(action="result", fields=["two"], id=26104811225093, type=101)
COUNT = line(action="result", fields=[0, 1, 0, 0], id=26104811225090, type=105)
STOP = line(action="stop", id=26104811225093)
MESSAGE = line(action="msg", level=3, msg="this derivation will be built:")
FAILED = line(
    action="msg",
    column=None,
    file=None,
    level=0,
    line=None,
    msg=(
        "\x1b[31;1merror:\x1b[0m \x1b[35;1m\x1b[0mbuilder for "
        f"'\x1b[35;1m/nix/store/{HASH}-bad-1.0.drv\x1b[0m' failed with exit code 3\x1b[0m"
    ),
    raw_msg="",
)
TRACE = line(
    action="msg",
    column=12,
    file="«string»:1:12",
    level=0,
    line=1,
    msg=(
        "\x1b[31;1merror:\x1b[0m\n"
        "       … while evaluating the attribute '\x1b[35;1mb\x1b[0m'\n"
        "         \x1b[34;1mat \x1b[35;1m«string»:1:22\x1b[0m:\n"
        "            1| let f = x: x.a; in { b = f { }; }.b\n"
        "             |                      \x1b[31;1m^\x1b[0m\n\n"
        "       \x1b[31;1merror:\x1b[0m attribute '\x1b[35;1ma\x1b[0m' missing\n"
        "       \x1b[34;1mat \x1b[35;1m«string»:1:12\x1b[0m:\n"
        "            1| let f = x: x.a; in { b = f { }; }.b\n"
        "             |            \x1b[31;1m^\x1b[0m"
    ),
    raw_msg="attribute '\x1b[35;1ma\x1b[0m' missing",
)


@pytest.mark.parametrize(
    ("given_line", "doing", "words"),
    [
        (BUILD, "building sample-1.0", "building sample-1.0"),
        (COPY, "copying hostname", "copying hostname"),
        (FETCH, "fetching bash-5.2", "fetching bash-5.2"),
        (DOWNLOAD, None, None),
        (BUILDS, None, None),
        (OUTPUT, None, "two"),
        (COUNT, None, None),
        (STOP, None, None),
        (MESSAGE, None, "this derivation will be built:"),
        (b"plain \x1b[1mwords\x1b[0m  ", None, "plain words"),
        (b"\xff", None, "�"),
        (b"", None, ""),
    ],
)
def test_a_line_is_read(given_line: bytes, doing: str | None, words: str | None) -> None:
    """What Nix begins is progress; what a person would read is text; the rest is nothing."""
    assert progress(given_line) == doing
    assert text(given_line) == words


def test_a_plain_line_names_the_path_that_is_copied() -> None:
    """Each path's line gives its name; no other line does, nor a path of another store."""
    path = "/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nginx-1.26"
    assert copying(f"copying path '{path}' to 'unix:///tmp/s'...".encode()) == "nginx-1.26"
    for line in (b"copying 6 paths...", b"copying path '/etc/x' to 'y'...", b"", b"\xff", COPY):
        assert copying(line) is None


def test_a_standard_error_is_readable() -> None:
    """Events without words leave no empty lines; colours are gone."""
    log = b"\n".join((MESSAGE, BUILDS, BUILD, OUTPUT, STOP, FAILED, b"", b"bye")).decode()
    assert readable(log).splitlines() == [
        "this derivation will be built:",
        "building sample-1.0",
        "two",
        f"error: builder for '/nix/store/{HASH}-bad-1.0.drv' failed with exit code 3",
        "bye",
    ]


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        (FAILED.decode(), f"builder for '/nix/store/{HASH}-bad-1.0.drv' failed with exit code 3"),
        (TRACE.decode(), "attribute 'a' missing"),
        (
            "error:\n       … while calling\n\n       error: undefined variable 'x'",
            "undefined variable 'x'",
        ),
        ("error: getting status of '/x': no such file", "getting status of '/x': no such file"),
        ("warning: Git tree is dirty", None),
        ("", None),
    ],
)
def test_the_cause_is_the_innermost_error(stderr: str, expected: str | None) -> None:
    """The last ``error:`` that says something; none where nothing does."""
    assert cause(stderr) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
events = st.fixed_dictionaries(
    {},
    optional={
        "action": st.sampled_from(["start", "stop", "result", "msg"]) | json_values,
        "type": st.sampled_from([100, 101, 105, 108]) | json_values,
        "fields": json_values,
        "msg": json_values,
    },
)


@given(
    st.binary(max_size=50)
    | st.binary(max_size=50).map(lambda data: b"@nix " + data)
    | (events | json_values).map(lambda event: b"@nix " + json.dumps(event).encode())
)
def test_no_line_stops_a_deployment(anything: bytes) -> None:
    """Whatever Nix, a builder or a future version writes, it is words or nothing."""
    assert progress(anything) is None or isinstance(progress(anything), str)
    assert text(anything) is None or isinstance(text(anything), str)
    assert isinstance(readable(anything.decode(errors="replace")), str)
