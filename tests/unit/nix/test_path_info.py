"""What Nix says of paths, in the forms of its versions."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.nix.closure import PathInfo, parse

BUILT = {"narSize": 120, "ultimate": True, "deriver": None}
FETCHED = {"narSize": 5, "signatures": ["a"]}


@pytest.mark.parametrize(
    "said",
    [
        {"/a": BUILT, "/b": FETCHED, "/c": None},
        [{"path": "/a", **BUILT}, {"path": "/b", **FETCHED}, {"path": "/c", "valid": False}],
    ],
)
def test_a_path_that_is_not_valid_is_left_out(said: Any) -> None:
    """A path that is not valid is left out, and of others it is known who built them."""
    assert parse(said) == {"/a": PathInfo(120, True), "/b": PathInfo(5, False)}
