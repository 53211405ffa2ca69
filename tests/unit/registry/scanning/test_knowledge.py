"""Advisories are read, weighed and matched as OSV and CVSS define it; nonsense in them is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.scanning.ecosystems import ecosystems_of
from registry.scanning.findings import Finding, worst_first
from registry.scanning.matching import fixed_version, is_affected
from registry.scanning.osv import BadAdvisory, read_advisory
from registry.scanning.packages import System
from registry.scanning.rules import matches
from registry.scanning.severities import read_cvss, severity_of_score
from tests.support.scanning import advisory


def events(*said: str, versions: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"ranges": [[dict([event.split("=", 1)]) for event in said]] if said else [], "versions": list(versions)}


@pytest.mark.parametrize(
    ("vector", "score"),
    [
        # Scores of FIRST's own examples and of well-known CVEs.
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 7.5),
        ("CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1),
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 6.4),
        ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 7.8),
        ("CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N", 1.6),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0),
        ("AV:N/AC:L/Au:N/C:C/I:C/A:C", 10.0),
        ("AV:N/AC:L/Au:N/C:N/I:N/A:C", 7.8),
        ("(AV:L/AC:H/Au:N/C:C/I:C/A:C)", 6.2),
        ("AV:N/AC:L/Au:N/C:N/I:N/A:N", 0.0),
    ],
)
def test_base_scores_are_as_the_standard_computes_them(vector: str, score: float) -> None:
    cvss = read_cvss(vector)
    assert cvss is not None
    assert cvss.score == score


@pytest.mark.parametrize("vector", ["", "CVSS:4.0/AV:N", "CVSS:3.1/AV:X/AC:L", "AV:N", "x" * 500, None, 7, "CVSS:3.1"])
def test_what_is_no_vector_has_no_score(vector: Any) -> None:
    assert read_cvss(vector) is None


def test_scores_are_ranked_as_ecr_ranks_them() -> None:
    ranks = [severity_of_score(score) for score in (0.0, 0.1, 3.9, 4.0, 6.9, 7.0, 8.9, 9.0)]
    assert ranks == ["INFORMATIONAL", "LOW", "LOW", "MEDIUM", "MEDIUM", "HIGH", "HIGH", "CRITICAL"]


def test_ranges_hold_what_lies_between_their_events() -> None:
    several = events("introduced=0", "fixed=1.2", "introduced=2.0", "last_affected=2.5")
    inside = [
        version for version in ("0.1", "1.1", "1.2", "1.9", "2.0", "2.5", "2.6") if is_affected("npm", version, several)
    ]
    assert inside == ["0.1", "1.1", "2.0", "2.5"]
    assert [fixed_version("npm", version, several) for version in ("1.0", "2.1")] == ["1.2", None]
    shuffled = events("last_affected=2.5", "introduced=2.0", "fixed=1.2", "introduced=0")
    assert is_affected("npm", "2.1", shuffled)
    assert not is_affected("npm", "1.5", shuffled)


def test_the_next_fix_is_told_and_not_one_of_another_branch() -> None:
    branches = {
        "ranges": [*events("introduced=1.0", "fixed=1.5")["ranges"], *events("introduced=2.0", "fixed=2.5")["ranges"]]
    }
    assert fixed_version("npm", "2.1.0", branches) == "2.5"
    assert fixed_version("npm", "1.1.0", branches) == "1.5"


def test_listed_versions_are_affected_as_they_are_written() -> None:
    assert is_affected("Debian:12", "what is this", events(versions=("what is this",)))
    assert not is_affected("Debian:12", "what is this", events("introduced=0"))


def test_bounds_that_nobody_can_compare_do_not_hide_a_vulnerability() -> None:
    assert is_affected("npm", "1.0.0", events("introduced=0", "fixed=no version"))
    assert is_affected("npm", "1.0.0", events("introduced=no version", "fixed=2.0.0"))


def test_an_advisory_about_one_cve_bears_its_number() -> None:
    for members, name in (
        ({"aliases": ["CVE-2026-1", "GHSA-x"]}, "CVE-2026-1"),
        ({"upstream": ["CVE-2026-1"]}, "CVE-2026-1"),
        ({"upstream": ["CVE-2026-1", "CVE-2026-2"]}, "DSA-1"),
        ({}, "DSA-1"),
    ):
        found = read_advisory(advisory("DSA-1", "bash", fixed="5", **members))
        assert found is not None
        assert found.document["name"] == name


def test_commits_and_unknown_ecosystems_are_left_out() -> None:
    document = advisory("GO-1", "stdlib", fixed="1.2", ecosystem="Go")
    found = read_advisory(document)
    assert found is not None
    assert not found.packages
    document = advisory("A-1", "left-pad", fixed="1.2", ecosystem="npm")
    document["affected"][0]["ranges"] = [{"type": "GIT", "repo": "x", "events": [{"introduced": "0"}]}]
    found = read_advisory(document)
    assert found is not None
    assert [row["document"]["ranges"] for row in found.packages] == [[]]
    assert read_advisory(document | {"withdrawn": "2026-01-01T00:00:00Z"}) is None


@pytest.mark.parametrize(
    "broken",
    [
        [],
        {},
        {"id": 7},
        {"id": "x" * 500},
        {"id": "A\0"},
        {"id": "A-1", "affected": {}},
        {"id": "A-1", "affected": [{"package": 3}]},
        {"id": "A-1", "affected": [{"package": {"ecosystem": "npm"}}]},
        {"id": "A-1", "affected": [{"package": {"ecosystem": "npm", "name": "\ud800"}}]},
        {"id": "A-1", "affected": [{"package": {"ecosystem": "npm", "name": "a"}, "ranges": [3]}]},
        {"id": "A-1", "affected": [{"package": {"ecosystem": "npm", "name": "a"}, "versions": "1"}]},
        {"id": "A-1", "aliases": "CVE-1"},
        {"id": "A-1", "references": 1},
    ],
)
def test_a_document_that_is_no_advisory_is_refused(broken: Any) -> None:
    with pytest.raises(BadAdvisory):
        read_advisory(broken)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(advisory("A-1", "a", fixed="1"))), _JSON)
def test_any_member_may_be_anything(member: str, value: Any) -> None:
    document = advisory("A-1", "a", fixed="1", ecosystem="npm") | {member: value}
    try:
        read_advisory(document)
    except BadAdvisory as refused:
        assert str(refused)


@given(st.sampled_from(["package", "ranges", "versions", "severity", "ecosystem_specific", "database_specific"]), _JSON)
def test_so_may_any_member_of_an_affected_package(member: str, value: Any) -> None:
    document = advisory("A-1", "a", fixed="1", ecosystem="npm")
    document["affected"][0][member] = value
    try:
        read_advisory(document)
    except BadAdvisory as refused:
        assert str(refused)


def finding(name: str, severity: str, **members: Any) -> Finding:
    return Finding(name=name, severity=severity, package="a", version="1", type="npm", **members)


def test_what_several_tell_is_one_finding_where_its_gravest_stands() -> None:
    given = [
        finding("CVE-1", "LOW"),
        finding("CVE-2", "HIGH"),
        finding("CVE-1", "CRITICAL"),
        finding("CVE-3", "UNDEFINED"),
        finding("CVE-2", "HIGH", fixed="2"),
    ]
    for order in (given, given[::-1]):
        assert [(each.name, each.severity, each.fixed) for each in worst_first(order)] == [
            ("CVE-1", "CRITICAL", None),
            ("CVE-2", "HIGH", "2"),
            ("CVE-3", "UNDEFINED", None),
        ]


@pytest.mark.parametrize(
    ("type", "id", "version", "name"),
    [
        ("deb", "debian", "12.4", "Debian:12"),
        ("deb", "ubuntu", "22.04", "Ubuntu:22.04:LTS"),
        ("apk", "alpine", "3.19.1", "Alpine:v3.19"),
        ("rpm", "rocky", "9.3", "Rocky Linux:9"),
        ("rpm", "almalinux", "8.9", "AlmaLinux:8"),
        ("rpm", "rhel", "9.2", "Red Hat:enterprise_linux:9::baseos"),
        ("rpm", "sles", "15.5", "SUSE:Linux Enterprise Server 15 SP5"),
        ("npm", "anything", "", "npm"),
    ],
)
def test_systems_are_called_as_osv_calls_them(type: str, id: str, version: str, name: str) -> None:
    assert ecosystems_of(type, System(id=id, version=version))[0] == name


def test_nobody_writes_about_packages_of_no_system() -> None:
    assert ecosystems_of("deb", None) == ()
    assert ecosystems_of("rpm", System(id="debian", version="12")) == ()


def test_filters_match_as_ecr_says() -> None:
    assert matches("team", "my-team/api")
    assert matches("team*", "team/api")
    assert not matches("team*", "my-team/api")
    assert matches("*prod*api", "x/prod/web/api")
