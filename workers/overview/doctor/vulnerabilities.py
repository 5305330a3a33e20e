"""The known vulnerabilities of a version of the server that matter to Notify: what anybody who can connect can do, and what a user can
do by scripts and blocking commands, which Notify needs.

The table was made in November 2026 from the CVE records and the release notes of Redis and Valkey, and does not update itself. Where they
disagree, the release notes count. It leaves out what takes other rights (``RESTORE``, modules), a replica, or a cluster.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final, Literal

import msgspec

from workers.overview.doctor.facts import Facts
from workers.overview.doctor.finding import Finding, error, note, ok, warning

__all__ = ["KNOWN", "Vulnerability", "check_version", "vulnerabilities_of"]

Version = tuple[int, int, int]
Use = Literal["tls", "client eviction"]

RECORDS: Final = "https://www.cve.org/CVERecord?id="


class Vulnerability(msgspec.Struct, frozen=True):
    """A vulnerability, and the versions that mend it.

    Args:
        cve: its number.
        what: what somebody can do with it.
        product: ``redis`` or ``valkey``.
        since: the first branch for which ``fixed`` is known.
        fixed: the first version of each branch without it. Branches between them that are missing have it in every version, and those
            after the last one in none.
        needs: what the server must use to be concerned: TLS, or eviction of clients (``maxmemory-clients``); empty if nothing.
    """

    cve: str
    what: str
    product: str
    since: tuple[int, int]
    fixed: tuple[Version, ...]
    needs: Use | None = None

    @property
    def source(self) -> str:
        """Where to read about it."""
        return f"{RECORDS}{self.cve}"

    def concerns(self, version: Version) -> bool:
        """Return whether a version has it."""
        branch = version[:2]
        if branch < self.since or branch > max(self.fixed)[:2]:
            return False
        mended = next((fixed for fixed in self.fixed if fixed[:2] == branch), None)
        return mended is None or version < mended


SCRIPTS: Final = "a user who may run scripts may run any code on the machine"
MEMORY: Final = "anybody who can connect may fill the memory of the machine"
BLOCKING: Final = "a user may run any code on the machine by blocking commands"

KNOWN: Final = (
    Vulnerability("CVE-2024-31449", SCRIPTS, "redis", (6, 2), ((6, 2, 16), (7, 2, 6), (7, 4, 1))),
    Vulnerability("CVE-2024-31449", SCRIPTS, "valkey", (7, 2), ((7, 2, 7), (8, 0, 1))),
    Vulnerability("CVE-2024-46981", SCRIPTS, "redis", (6, 2), ((6, 2, 17), (7, 2, 7), (7, 4, 2))),
    Vulnerability("CVE-2024-46981", SCRIPTS, "valkey", (7, 2), ((7, 2, 8), (8, 0, 2))),
    Vulnerability("CVE-2025-21605", MEMORY, "redis", (6, 2), ((6, 2, 18), (7, 2, 8), (7, 4, 3))),
    Vulnerability("CVE-2025-21605", MEMORY, "valkey", (7, 2), ((7, 2, 9), (8, 0, 3), (8, 1, 1))),
    Vulnerability("CVE-2025-49844", SCRIPTS, "redis", (6, 2), ((6, 2, 20), (7, 2, 11), (7, 4, 6), (8, 0, 4), (8, 2, 2))),
    Vulnerability("CVE-2025-49844", SCRIPTS, "valkey", (7, 2), ((7, 2, 11), (8, 0, 6), (8, 1, 4))),
    Vulnerability(
        "CVE-2025-67733",
        "a user who may run scripts may forge answers to others on the same connection",
        "valkey",
        (7, 2),
        ((7, 2, 12), (8, 0, 7), (8, 1, 6), (9, 0, 3)),
    ),
    Vulnerability("CVE-2026-27623", "anybody who can connect may end the server", "valkey", (9, 0), ((9, 0, 3),)),
    Vulnerability("CVE-2026-23479", BLOCKING, "redis", (7, 2), ((7, 2, 14), (7, 4, 9), (8, 2, 6), (8, 4, 3), (8, 6, 3))),
    Vulnerability("CVE-2026-23479", BLOCKING, "valkey", (7, 2), ((7, 2, 13), (8, 0, 9), (8, 1, 7), (9, 0, 4))),
    Vulnerability(
        "CVE-2026-56684",
        "a user may run any code on the machine through TLS connections",
        "valkey",
        (7, 2),
        ((7, 2, 14), (8, 0, 10), (8, 1, 9), (9, 0, 5), (9, 1, 1)),
        needs="tls",
    ),
    Vulnerability(
        "CVE-2026-81934",
        "anybody who can connect by TLS may run commands",
        "redis",
        (6, 2),
        ((6, 2, 24), (7, 2, 16), (7, 4, 11), (8, 2, 9), (8, 4, 6), (8, 6, 6), (8, 8, 2), (8, 10, 1)),
        needs="tls",
    ),
    Vulnerability(
        "CVE-2026-130822",
        "a user may end the server by writing what others wait for",
        "valkey",
        (7, 2),
        ((7, 2, 16), (8, 0, 13), (8, 1, 12), (9, 0, 8), (9, 1, 4)),
        needs="client eviction",
    ),
)
"""The vulnerabilities, by their date."""


def vulnerabilities_of(product: str, version: str, *, uses: Collection[Use] = ("tls", "client eviction")) -> list[Vulnerability]:
    """Return the known vulnerabilities of a version of ``redis`` or ``valkey`` that uses these; none if the version cannot be read."""
    found = _parsed(version)
    if found is None:
        return []
    return [each for each in KNOWN if each.product == product and each.concerns(found) and each.needs in (None, *uses)]


def check_version(facts: Facts) -> Iterator[Finding]:
    """Look whether the version of the server has known vulnerabilities."""
    info = facts.info or facts.client.server_info()
    product, version = _server(info)
    if not version:
        yield note("version", "not known: the server refuses INFO and HELLO", "grant +info")
        return
    found = vulnerabilities_of(product, version, uses=[*_uses(facts, info)])
    if not found:
        yield ok("version", f"{product.capitalize()} {version}, without a vulnerability that is known here")
    is_local = "path" in facts.client.connection_pool.connection_kwargs  # a Unix socket: others cannot connect
    for each in found:
        branch = (_parsed(version) or (0, 0, 0))[:2]
        mended = next((fixed for fixed in each.fixed if fixed[:2] == branch), max(each.fixed))
        yield (warning if is_local else error)(
            "version",
            f"{product.capitalize()} {version} has {each.cve}: {each.what} ({each.source})",
            f"update to {'.'.join(map(str, mended))} or newer; a distribution may have mended it without a new version: ask its tracker",
        )


def _uses(facts: Facts, info: Mapping[str, object]) -> Iterator[Use]:
    """Yield what the server uses, as far as it can be known."""
    listeners = [str(value) for name, value in info.items() if name.startswith("listener")]  # since Redis 7
    if (facts.bus.settings.url or "").startswith("rediss") or any("tls" in listener for listener in listeners):
        yield "tls"
    if facts.setting("maxmemory-clients") not in (None, "0"):
        yield "client eviction"


def _server(info: Mapping[str, object]) -> tuple[str, str]:
    """Return the product and version of a server: Valkey also says a version of Redis, which it is compatible with."""
    if info.get("valkey_version"):
        return "valkey", str(info["valkey_version"])
    return "redis", str(info.get("redis_version", ""))


def _parsed(version: str) -> Version | None:
    parts = [*version.split("."), "0", "0"][:3]
    numbers = ["".join(digit for digit in part if digit.isdigit()) for part in parts]
    return None if not all(numbers) else (int(numbers[0]), int(numbers[1]), int(numbers[2]))
