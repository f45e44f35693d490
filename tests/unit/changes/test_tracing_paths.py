"""From system calls to questions about a tree."""

from __future__ import annotations

import pytest

from orchestrator.changes.tracing.tracer import accesses

FOLDER = "abc-source"
LINKS = {
    "link": "files/a",
    "dirlink": "files",
    "files/up": "../other",
    "loop": "loop",
    "out": "/etc/passwd",
    "far": "../../etc",
    "back": f"/nix/store/{FOLDER}/files/a",
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"/nix/store/{FOLDER}/files/a", {("open", "files/a")}),
        (f"/nix/store/{FOLDER}", {("open", "")}),
        (f"/else/where/{FOLDER}//./files/../x", {("open", "x")}),
        (f"/nix/store/{FOLDER}.lock", set()),
        (f"/nix/store/{FOLDER}/../another", set()),
        (f"/nix/store/{FOLDER}/link", {("readlink", "link"), ("open", "files/a")}),
        (f"/nix/store/{FOLDER}/dirlink/new", {("readlink", "dirlink"), ("open", "files/new")}),
        (
            f"/nix/store/{FOLDER}/dirlink/up/x",
            {("readlink", "dirlink"), ("readlink", "files/up"), ("open", "other/x")},
        ),
        (f"/nix/store/{FOLDER}/loop/x", {("readlink", "loop"), ("open", "loop/x")}),
        (f"/nix/store/{FOLDER}/out", {("readlink", "out")}),
        (f"/nix/store/{FOLDER}/far", {("readlink", "far")}),
        (f"/nix/store/{FOLDER}/back", {("readlink", "back"), ("open", "files/a")}),
    ],
)
def test_a_path_is_what_it_leads_to_and_the_links_on_its_way(
    path: str, expected: set[tuple[str, str]]
) -> None:
    """However it is spelled, and whoever follows the links."""
    assert accesses([("open", path)], FOLDER, LINKS) == expected


def test_reading_a_link_does_not_follow_it() -> None:
    """Only the links above it are followed."""
    seen = accesses([("readlink", f"/nix/store/{FOLDER}/dirlink/up")], FOLDER, LINKS)
    assert seen == {("readlink", "dirlink"), ("readlink", "files/up")}
