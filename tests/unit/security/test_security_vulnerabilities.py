"""Known vulnerabilities on made feeds of the real form, with known answers."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.errors import UsageError
from orchestrator.core.risk import AcceptedFinding
from orchestrator.core.store import OutPath
from orchestrator.security.feeds import advisories
from orchestrator.security.plan.advisories import compare, may_be_of, read
from orchestrator.security.plan.vulnerabilities import (
    Fate,
    accepted,
    difference,
    sentence,
    versions_of,
)


def osv(name: str, package: str, *events: dict[str, str], ecosystem: str = "OSS-Fuzz") -> Any:
    """An advisory as OSV publishes it."""
    return {
        "schema_version": "1.6.0",
        "id": f"OSV-{name}",
        "aliases": [f"CVE-{name}"],
        "summary": f"a flaw of {package}",
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N"}],
        "affected": [
            {
                "package": {"ecosystem": ecosystem, "name": package},
                "ranges": [{"type": "ECOSYSTEM", "events": [*events]}],
            }
        ],
    }


def nvd(name: str, product: str, **ends: str) -> Any:
    """A page of one as NVD's API 2.0 has it."""
    match = {"vulnerable": True, "criteria": f"cpe:2.3:a:vendor:{product}:*:*:*:*:*:*:*:*", **ends}
    cve = {
        "id": f"CVE-{name}",
        "vulnStatus": "Analyzed",
        "descriptions": [{"lang": "en", "value": "a flaw"}],
        "configurations": [{"nodes": [{"operator": "OR", "cpeMatch": [match]}]}],
    }
    return {"format": "NVD_CVE", "vulnerabilities": [{"cve": cve}]}


FEED = [
    osv("2024-1", "curl", {"introduced": "0"}, {"fixed": "8.6.0"}),
    osv("2024-2", "curl", {"introduced": "8.5"}, {"last_affected": "8.9.1"}),
    osv("2024-3", "requests", {"introduced": "0"}, {"fixed": "2.32"}, ecosystem="PyPI"),
    osv("2024-4", "openssl", {"introduced": "0"}, {"fixed": "9"}, ecosystem="crates.io"),
    osv("2024-5", "openssl", {"introduced": "0"}, {"fixed": "3.0.11-1"}, ecosystem="Debian:12"),
    osv("2024-6", "nginx", {"introduced": "1.27.0"}),
    osv("2024-7", "curl", {"introduced": "0"}, {"fixed": "7"}, {"introduced": "8.7"}),
]


def paths(*names: str) -> list[OutPath]:
    """A closure."""
    return [OutPath(f"/nix/store/{str(n) * 32}-{name}") for n, name in enumerate(names)]


BEFORE = versions_of(paths("curl-8.5.0", "curl-8.5.0-bin", "openssl-3.0.10", "nginx-1.26.2"))
AFTER = versions_of(
    paths("curl-8.7.1-bin", "openssl-3.0.11", "nginx-1.27.1", "python3.12-requests-2.31.0")
)


def test_a_difference_says_what_a_deployment_fixes_brings_and_leaves() -> None:
    """By name and version, each of an ecosystem whose names are nixpkgs', in one sentence."""
    found = difference(BEFORE, AFTER, read(FEED), {})
    assert {(one.id, one.package): one.fate for one in found} == {
        ("CVE-2024-1", "curl"): Fate.FIXES,
        ("CVE-2024-2", "curl"): Fate.LEAVES,
        ("CVE-2024-3", "python3.12-requests"): Fate.BRINGS,
        ("CVE-2024-6", "nginx"): Fate.BRINGS,
        ("CVE-2024-7", "curl"): Fate.BRINGS,
    }
    assert sentence(found) == "fixes 1, brings 3, leaves 1"
    one = next(one for one in found if one.id == "CVE-2024-2")
    assert (one.before, one.after, one.severity) == (("8.5.0",), ("8.7.1",), "CVSS:3.1/AV:N")


def test_a_patch_named_after_an_advisory_is_evidence_that_it_is_corrected() -> None:
    """Nixpkgs corrects without another version; a longer number is another CVE."""
    patches = {"curl": {"CVE-2024-2.patch", "CVE-2024-71.patch"}}
    found = {one.id: one for one in difference(BEFORE, AFTER, read(FEED), patches)}
    assert found["CVE-2024-2"].fate is Fate.PATCHED
    assert found["CVE-2024-2"].evidence == ("CVE-2024-2.patch",)
    assert found["CVE-2024-7"].fate is Fate.BRINGS
    assert sentence([*found.values()]).endswith("; 1 patched")


def test_nvds_ranges_are_read_with_each_of_their_ends() -> None:
    """From one version on or after it, up to one or before it; an exact version is that one."""
    feed = [
        nvd("2025-1", "curl", versionStartIncluding="8.0", versionEndExcluding="8.7.1"),
        nvd("2025-2", "curl", versionEndIncluding="8.7.1"),
        nvd("2025-3", "curl", versionStartExcluding="8.7.1"),
        nvd("2025-4", "linux_kernel", versionEndExcluding="7"),
    ]
    before, after = versions_of(paths("curl-8.5.0")), versions_of(paths("curl-8.7.1", "linux-6.12"))
    found = {one.id: one.fate for one in difference(before, after, read(feed), {})}
    assert found == {
        "CVE-2025-1": Fate.FIXES,
        "CVE-2025-2": Fate.LEAVES,
        "CVE-2025-4": Fate.BRINGS,
    }


def test_what_is_accepted_is_not_counted_until_its_day_is_over() -> None:
    """An acceptance goes by CVE and package."""
    (one,) = difference({}, AFTER, read(FEED[2]), {})
    word = AcceptedFinding("cve:CVE-2024-3 *", "not reached", date(2027, 1, 1))
    assert accepted(one, [word], date(2027, 1, 1)) == "not reached (until 2027-01-01)"
    assert accepted(one, [word], date(2027, 1, 2)) == ""
    other = AcceptedFinding("cve:CVE-2024-4 *", "x", date(2027, 1, 1))
    assert accepted(one, [other], date(2027, 1, 1)) == ""


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0", "2.3"),
        ("2.1", "2.3"),
        ("2.3", "2.3.1"),
        ("2.3pre1", "2.3"),
        ("2.3pre3", "2.3pre12"),
        ("2.3a", "2.3c"),
        ("2.3pre1", "2.3c"),
        ("2.3pre1", "2.3q"),
        ("1.9", "1.10"),
        ("9" * 30, "1" + "0" * 30),
    ],
)
def test_versions_are_ordered_as_nix_orders_them(older: str, newer: str) -> None:
    """The examples of Nix's manual, both ways, and numbers of any length."""
    assert compare(older, newer) < 0
    assert compare(newer, older) > 0
    assert compare(newer, newer) == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                (
                    *("id", "aliases", "affected", "package", "name", "ranges", "events"),
                    *("introduced", "vulnerabilities", "cve", "configurations", "nodes"),
                    *("cpeMatch", "criteria"),
                )
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_no_feed_breaks_its_reader(said: Any) -> None:
    """What is no advisory is left out, whatever it is."""
    for one in read(said):
        may_be_of(one, "curl")
        one.is_of("1.0")


def test_withdrawn_and_rejected_advisories_do_not_count() -> None:
    """A publisher takes back what was wrong."""
    gone = {**FEED[0], "withdrawn": "2024-05-01T00:00:00Z"}
    page = nvd("2025-1", "curl")
    page["vulnerabilities"][0]["cve"]["vulnStatus"] = "Rejected"
    assert [*read([gone, page])] == []


def test_feeds_are_files_or_folders_and_say_where_they_are_none(tmp_path: Path) -> None:
    """A folder is read with all below it; half a file is named."""
    (tmp_path / "PyPI").mkdir()
    (tmp_path / "PyPI/a.json").write_text(json.dumps(FEED[2]))
    (tmp_path / "b.json").write_text(json.dumps(FEED[:2]))
    assert {one.id for one in advisories([tmp_path])} == {"CVE-2024-1", "CVE-2024-2", "CVE-2024-3"}
    assert len([*advisories([tmp_path / "b.json"])]) == 2
    (tmp_path / "c.json").write_text('[{"id":')
    with pytest.raises(UsageError, match=r"c\.json is no feed"):
        [*advisories([tmp_path])]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no file of JSON"):
        [*advisories([tmp_path / "empty"])]
