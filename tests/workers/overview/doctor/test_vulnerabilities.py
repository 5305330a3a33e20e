"""The table of known vulnerabilities, and what it says of a version."""

import pytest

from workers.overview.doctor.vulnerabilities import KNOWN, vulnerabilities_of

LUA, TLS = "CVE-2025-49844", "CVE-2026-81934"


def cves(product: str, version: str, *, has_tls: bool = False) -> set[str]:
    return {each.cve for each in vulnerabilities_of(product, version, has_tls=has_tls)}


@pytest.mark.parametrize(
    ("product", "before", "mended"),
    [
        ("redis", "6.2.19", "6.2.20"),
        ("redis", "7.2.10", "7.2.11"),
        ("redis", "7.4.5", "7.4.6"),
        ("redis", "8.0.3", "8.0.4"),
        ("redis", "8.2.1", "8.2.2"),
        ("valkey", "7.2.10", "7.2.11"),
        ("valkey", "8.0.5", "8.0.6"),
        ("valkey", "8.1.3", "8.1.4"),
    ],
)
def test_a_version_has_a_vulnerability_until_the_release_of_its_branch_that_mends_it(product: str, before: str, mended: str) -> None:
    assert LUA in cves(product, before)
    assert LUA not in cves(product, mended)


def test_a_branch_between_that_was_never_mended_has_it_in_every_version() -> None:
    assert LUA in cves("redis", "7.0.15")
    assert LUA not in cves("redis", "8.4.0")
    assert LUA not in cves("valkey", "9.0.0")


def test_what_concerns_tls_is_told_of_servers_that_speak_it() -> None:
    assert TLS in cves("redis", "8.8.1", has_tls=True)
    assert TLS not in cves("redis", "8.8.1")
    assert TLS not in cves("redis", "8.8.2", has_tls=True)


def test_a_version_that_cannot_be_read_has_none() -> None:
    assert not cves("redis", "unstable")
    assert not cves("keydb", "6.3.4")


def test_each_vulnerability_names_where_to_read_about_it_and_no_branch_twice() -> None:
    assert all(each.source == f"https://www.cve.org/CVERecord?id={each.cve}" for each in KNOWN)
    assert all(len({fixed[:2] for fixed in each.fixed}) == len(each.fixed) for each in KNOWN)
    assert all(list(each.fixed) == sorted(each.fixed) for each in KNOWN)
