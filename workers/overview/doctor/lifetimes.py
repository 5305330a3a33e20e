"""Check of the keys of the namespace: each has a lifetime, but those of what exists now."""

from collections.abc import Iterator
from typing import Any, Final

from notify.keys import Keys
from workers.overview.doctor.facts import MOST_KEYS, Facts
from workers.overview.doctor.finding import Finding, ok, warning

__all__ = ["check_lifetimes", "immortal_families"]

PAGE: Final = 500
SHOWN: Final = 5


def immortal_families(keys: Keys) -> tuple[str, ...]:
    """Return the beginnings of the keys that live as long as what they describe; all others have a lifetime."""
    return (keys.services, keys.due, keys.suspects, keys.provides(""), keys.group(""), keys.standby(""), keys.state(""))


def check_lifetimes(facts: Facts) -> Iterator[Finding]:
    """Look for keys that will never expire although they should."""
    immortal = immortal_families(facts.keys)
    names = [name for name in facts.names if not name.startswith(immortal)]
    found: list[str] = []
    for start in range(0, len(names), PAGE):
        page = names[start : start + PAGE]
        with facts.client.pipeline(transaction=False) as pipe:
            for name in page:
                pipe.pttl(name)
            lifetimes: list[Any] = pipe.execute(raise_on_error=False)
        found += [name for name, lifetime in zip(page, lifetimes, strict=True) if lifetime == -1]
    counted = f"{len(facts.names):,} keys" if facts.has_all_keys else f"the first {len(facts.names):,} keys (of at most {MOST_KEYS:,})"
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        yield warning(
            "lifetimes",
            f"{len(found):,} keys have no lifetime and should have one: {', '.join(sorted(found)[:SHOWN])}{more}",
            "another program wrote them, or persisted them: set one (redis-cli EXPIRE KEY 86400), or delete them",
        )
    else:
        yield ok("lifetimes", f"all of {counted} that should expire do")
