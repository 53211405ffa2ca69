"""Versions sort as each ecosystem's own tool sorts them: rows are in ascending order, equal ones share a text."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.scanning.versions import KEYS, NotAVersion, key_of

ASCENDING = {
    "Debian": "1.0~~ 1.0~~a 1.0~ 1.0~beta1 1.0 1.0-1 1.0-1+b1 1.0-1.1 1.0-2 1.0a 1.0+b1 1.0.1 1.2-3-4 1.9 1.10 "
    "2.36-9+deb12u9 2.36-9+deb12u10 1:0.1 2:0.0.1-1",
    "Rocky Linux": "1.0~rc1-1 1.0~rc2-1 1.0-1 1.0^git1-1 1.0.a-1 1.0.1-1 1.9-1 1.10-1 2.a-1 2.1-1 2.1-6.el9 "
    "2.1-6.el9_2 2.1-10.el9 1:0.1-1",
    "Alpine": "0.9 1.0_alpha1 1.0_alpha2 1.0_beta 1.0_pre1 1.0_rc1 1.0_rc1-r1 1.0 1.0-r1 1.0-r10 1.0_cvs1 1.0_p1 "
    "1.0_p2 1.0a 1.0b 1.05 1.1 1.2.3 1.2.10 20240101",
    "PyPI": "1.0.dev1 1.0a1.dev1 1.0a1 1.0a2 1.0b1 1.0rc1 1.0 1.0+a 1.0+1 1.0+1.2 1.0.post1.dev1 "
    "1.0.post1 1.0.1 1.9 1.10 1!0.1",
    "npm": "0.0.1 1.0.0-1 1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.0.1 "
    "1.2.0 1.10.0 2.0.0",
}
EQUAL = {
    "Debian": [("1.0", "1.0-0"), ("0:1.0", "1.0"), ("1.00", "1.0"), ("0", "0-0")],
    "Rocky Linux": [("0:1-1", "1-1"), ("1.01-1", "1.1-1"), ("1_0-1", "1.0-1")],
    "Alpine": [("1.0", "1.0-r0")],
    "PyPI": [
        ("1.0", "1.0.0"),
        ("1.0-1", "1.0.post1"),
        ("1.0alpha1", "1.0a1"),
        ("v1.0", "1"),
        ("1.0+ubuntu-1", "1.0+ubuntu.1"),
    ],
    "npm": [("1.0.0+build", "1.0.0"), ("v1.2.3", "=1.2.3"), ("1", "1.0.0")],
}


@pytest.mark.parametrize("ecosystem", ASCENDING)
def test_versions_ascend(ecosystem: str) -> None:
    versions = ASCENDING[ecosystem].split()
    keys = [key_of(ecosystem, version) for version in versions]
    for (low, lower), (high, higher) in pairwise(zip(versions, keys, strict=True)):
        assert lower < higher, f"{low} is not before {high}"


@pytest.mark.parametrize("ecosystem", EQUAL)
def test_some_are_the_same(ecosystem: str) -> None:
    for one, other in EQUAL[ecosystem]:
        assert key_of(ecosystem, one) == key_of(ecosystem, other), (one, other)


@pytest.mark.parametrize("ecosystem", ASCENDING)
def test_what_is_none_is_refused(ecosystem: str) -> None:
    for text in ("", "-", "ver sion", "1" * 600, "1.0\n2.0"):
        with pytest.raises(NotAVersion):
            key_of(ecosystem, text)
    with pytest.raises(NotAVersion):
        key_of("Hackage", "1.0")


@given(st.sampled_from(sorted(KEYS)), st.lists(st.text(alphabet="0123459.-+~^:_arcpbev!", max_size=12), min_size=2))
def test_any_two_versions_compare(ecosystem: str, texts: list[str]) -> None:
    keys = []
    for text in texts:
        try:
            keys.append(key_of(ecosystem, text))
        except NotAVersion:
            continue
    assert sorted(keys) == sorted(keys, reverse=True)[::-1]
