"""What failed where an activation ended with 4: the names, and none that failed before."""

from __future__ import annotations

import pytest

from orchestrator.deploy.plan.decide import to_blame

OLD = ("backup.service",)


@pytest.mark.parametrize(
    ("said", "blamed"),
    [
        ("warning: the following units failed: backup.service\n", ()),
        ("warning: the following units failed: backup.service, web.service\n", ("web.service",)),
        ("Failed to reload web.service\n", ("web.service",)),
        ("Failed to restart sysinit-reactivation.target: no\n", ("sysinit-reactivation.target",)),
        ("Job for web.service failed because of its timeout.\n", ("web.service",)),
        ("warning: user activation for ada failed\n", ("user activation for ada",)),
        ("Failed to start user unit backup.service\n", None),
        ("something else\n", None),
    ],
)
def test_only_what_did_not_fail_before_is_to_blame(
    said: str, blamed: tuple[str, ...] | None
) -> None:
    """A unit, a job, a user's activation; where nothing is named, nothing is known."""
    assert to_blame(said, OLD) == blamed
