"""The table of known vulnerabilities, and what it says of a version."""

import pytest

from workers.overview.doctor.vulnerabilities import KNOWN, Use, vulnerabilities_of

LUA, TLS, EVICTION = "CVE-2025-49844", "CVE-2026-81934", "CVE-2026-130822"


def cves(product: str, version: str, *uses: Use) -> set[str]:
    return {each.cve for each in vulnerabilities_of(product, version, uses=uses)}


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
    assert TLS in cves("redis", "8.8.1", "tls")
    assert TLS not in cves("redis", "8.8.1")
    assert TLS not in cves("redis", "8.8.2", "tls")


def test_what_concerns_the_eviction_of_clients_is_told_of_servers_that_do_that() -> None:
    assert EVICTION in cves("valkey", "9.1.3", "client eviction")
    assert EVICTION not in cves("valkey", "9.1.3", "tls")
    assert EVICTION not in cves("valkey", "9.1.4", "client eviction")


@pytest.mark.parametrize(
    ("product", "newest"),
    [
        *(("redis", version) for version in ("6.2.24", "7.2.16", "7.4.11", "8.2.9", "8.4.6", "8.6.6", "8.8.2", "8.10.1")),
        *(("valkey", version) for version in ("7.2.16", "8.0.13", "8.1.12", "9.0.8", "9.1.4")),
    ],
)
def test_the_newest_release_of_a_branch_that_is_mended_has_none(product: str, newest: str) -> None:
    assert not cves(product, newest, "tls", "client eviction")
    branch, _, patch = newest.rpartition(".")
    assert cves(product, f"{branch}.{int(patch) - 1}", "tls", "client eviction")


@pytest.mark.parametrize(("product", "version"), [("redis", "7.2.13"), ("valkey", "7.2.12"), ("valkey", "8.0.8"), ("redis", "8.0.6")])
def test_the_vulnerability_of_blocking_commands_is_told_of_all_branches_that_have_it(product: str, version: str) -> None:
    assert "CVE-2026-23479" in cves(product, version)


def test_a_version_that_cannot_be_read_has_none() -> None:
    assert not cves("redis", "unstable")
    assert not cves("keydb", "6.3.4")


def test_each_vulnerability_names_where_to_read_about_it_and_no_branch_twice() -> None:
    assert all(each.source == f"https://www.cve.org/CVERecord?id={each.cve}" for each in KNOWN)
    assert all(len({fixed[:2] for fixed in each.fixed}) == len(each.fixed) for each in KNOWN)
    assert all(list(each.fixed) == sorted(each.fixed) for each in KNOWN)
