"""An option's path as it is typed, and what is told of what Nix answers."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from orchestrator.core.errors import UsageError
from orchestrator.fleet.draw_option import draw_option, in_words
from orchestrator.fleet.option import Option, Options, answered, parse_path, show_path
from orchestrator.render.output import Output

PLAIN = {"kind": "plain", "value": "no"}
DEFAULT = {"kind": "plain", "value": None}
SAID: dict[str, Any] = {
    "kind": "option",
    "type": "string",
    "value": PLAIN,
    "whole": True,
    "counting": ["/f/host.nix"],
    "priority": 50,
    "readOnly": False,
    "default": DEFAULT,
    "description": "May root\x1b[31m log in?\n",
    "declared": [{"file": "/nix/store/x-source/nixos/sshd.nix", "line": 9}],
    "definitions": [
        {"file": "", "line": None, "priority": 1500, "counts": False, "value": DEFAULT},
        {"file": "/f/host.nix", "line": 3, "priority": 50, "counts": True, "value": PLAIN},
        {"file": "/f/x.nix", "line": None, "priority": 77, "counts": False, "value": None},
    ],
}
PATH = ("services", "openssh", "permit.Root")


def option(**changed: Any) -> Option:
    """An option that Nix answered."""
    found = answered(PATH, SAID | changed, "web", None)
    assert isinstance(found, Option)
    return found


def drawn(found: Option | Options, *, as_json: bool = False) -> str:
    """What a person or a script sees."""
    stream = io.StringIO()
    draw_option(found, Output(stream, colour=False), as_json=as_json)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("time.timeZone", ("time", "timeZone")),
        ('a."b.c".d', ("a", "b.c", "d")),
        (r'a."b\"c"', ("a", 'b"c')),
        (r'a."\${b} $c"', ("a", "${b} $c")),
    ],
)
def test_a_path_is_read_as_nix_reads_it(text: str, parts: tuple[str, ...]) -> None:
    """Names with dots between; one that has dots itself stands in quotes. It is written alike."""
    assert parse_path(text) == parts
    assert show_path(parts) == text


@pytest.mark.parametrize("text", ["", ".", "a..b", "a.", 'a."b', "a b", "a\nb", "x" * 2000])
def test_what_is_no_path_is_refused(text: str) -> None:
    """What cannot be read as a path is a mistake of who typed it: nothing is evaluated for it."""
    with pytest.raises(UsageError, match="is no path of an option"):
        parse_path(text)


def test_definitions_that_count_come_first() -> None:
    """By their priorities; the option's own default stands where the option is declared."""
    found = option()
    assert [one.priority for one in found.definitions] == [50, 77, 1500]
    assert str(found.definitions[2].at) == "…/nixos/sshd.nix:9"
    assert found.doubt == ""


def test_what_does_not_match_the_module_system_is_said() -> None:
    """The definitions that count are held against those that the module system has."""
    assert "counts 2 definitions" in option(counting=["a", "b"]).doubt
    assert "of priority 100" in option(priority=100).doubt
    assert "are not known" in option(whole=False).doubt
    assert option(counting=None).doubt == ""


def test_an_option_is_drawn_without_what_controls_a_terminal() -> None:
    """Value, definitions with priority and place, type, default, and its description."""
    text = drawn(option())
    assert text.startswith('services.openssh."permit.Root" = "no"\n')
    assert "50 (mkForce)" in text
    assert "/f/host.nix:3" in text
    assert "«not evaluated»" in text
    assert "declared  …/nixos/sshd.nix:9" in text
    assert "May root log in?" in text
    assert "\x1b" not in text


def test_a_value_that_does_not_evaluate_shows_why() -> None:
    """In the place of the value stands the reason."""
    found = answered(PATH, SAID | {"value": None}, "web", None)
    assert isinstance(found, Option)
    assert "= «error: »" in drawn(found)


def test_a_script_is_told_plain_values() -> None:
    """Places apart from lines, and what set a priority by its name."""
    said = json.loads(drawn(option(), as_json=True))
    assert said["value"] == "no"
    assert said["definitions"][0] == {
        "file": "/f/host.nix",
        "line": 3,
        "priority": 50,
        "set_by": "mkForce",
        "counts": True,
        "taken": True,
        "value": "no",
    }


def test_values_are_written_as_in_nix() -> None:
    """What is no plain value stands in angle quotes, and what is shortened ends in dots."""
    inner = [{"kind": "function", "value": ""}, {"kind": "derivation", "value": "vim-9"}]
    several = {"kind": "list", "size": 3, "value": inner}
    assert in_words(several) == "[ «function» «derivation vim-9» … ]"
    named = {"kind": "set", "size": 1, "value": [{"name": "a", "value": PLAIN}]}
    assert in_words(named) == '{ a = "no"; }'
    assert in_words({"kind": "cut", "value": "x"}) == '"x"…'
    assert in_words({"kind": "derivation", "value": "/nix/store/x"}) == "/nix/store/x"
    long = {"kind": "list", "size": 90, "value": [{"kind": "plain", "value": "x" * 9}] * 80}
    text = drawn(option(value=long))
    assert "\n  … 30 more\n]\n" in text
    assert json.loads(drawn(option(value=named), as_json=True))["value"] == {"a": "no"}
    assert json.loads(drawn(option(value=several), as_json=True))["value"][0] == "«function»"


def test_a_set_of_options_is_its_names() -> None:
    """One a line; for a script a list."""
    found = answered(("a",), {"kind": "group", "names": ["b", "c"]}, "web", None)
    assert drawn(found) == "b\nc\n"
    assert json.loads(drawn(found, as_json=True)) == {"path": "a", "names": ["b", "c"]}


def test_a_name_that_is_not_there_is_corrected() -> None:
    """By the nearest one at the level at which the path fails, or by what is there."""
    said = {"kind": "missing", "at": ["a"], "name": "hostNam", "names": ["hostName", "other"]}
    with pytest.raises(UsageError) as caught:
        answered(("a", "hostNam"), said, "web", None)
    assert caught.value.message == "there is no hostNam in a of web"
    assert caught.value.hint == "did you mean a.hostName?"
    many = [f"n{number}" for number in range(30)]
    with pytest.raises(UsageError) as caught:
        answered(("zzzzzz",), said | {"at": [], "name": "zzzzzz", "names": many}, "web", None)
    assert (caught.value.hint or "").endswith("n19, and 10 more")


def test_definitions_that_are_not_taken_come_last_and_others_are_counted() -> None:
    """Those of the fleet are shown with their place; of nixpkgs' own modules JSON has each."""
    idle = {"line": 3, "priority": None, "counts": False, "value": None}
    files = (
        "templates/box.nix",
        "/nix/store/x-source/nixos/a.nix",
        "/nix/store/x-source/nixos/b.nix",
    )
    found = option(untaken=[{**idle, "file": file} for file in files])
    text = drawn(found)
    (line,) = (line for line in text.splitlines() if "templates/box.nix:3" in line)
    assert line.endswith("not taken: its condition is false")
    assert "a.nix" not in text
    assert "and 2 of other modules, whose conditions are false (--json)" in text
    last = json.loads(drawn(found, as_json=True))["definitions"][-1]
    assert (last["file"], last["taken"], last["priority"]) == ("…/nixos/b.nix", False, None)
