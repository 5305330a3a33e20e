"""Check of the versions of RQ, redis-py and Python, here and of the workers."""

import platform
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, Final

from workers import rq_keys
from workers.overview.doctor.facts import Facts
from workers.overview.doctor.finding import Finding, error, ok, warning

__all__ = ["check_libraries"]

REDIS_PY: Final = ((8, 1), (9, 0))
"""The versions of redis-py that are supported: from, and below."""


def check_libraries(facts: Facts) -> Iterator[Finding]:
    """Look whether the libraries have supported versions, and whether all workers have the same version of RQ."""
    rq, redis_py = version("rq"), version("redis")
    here = f"RQ {rq}, redis-py {redis_py}, Python {platform.python_version()}"
    is_supported = REDIS_PY[0] <= _branch(redis_py) < REDIS_PY[1]
    if not is_supported:
        yield error("libraries", f"redis-py {redis_py} is installed, and 8.1 or later, below 9, is needed", "pip install 'redis>=8.1,<9'")
    others = sorted({each for each in _versions_of_workers(facts) if each.partition(".")[0] != rq.partition(".")[0]})
    if others:
        what = f"here is RQ {rq}, and workers run RQ {', '.join(others)}"
        yield warning("libraries", what, "install the same major version everywhere: they keep some keys in different forms")
    elif is_supported:
        yield ok("libraries", here)


def _versions_of_workers(facts: Facts) -> list[str]:
    members: Any = facts.client.smembers(rq_keys.WORKERS)
    with facts.client.pipeline(transaction=False) as pipe:
        for member in members:
            pipe.hget(member, "version")
        rows: list[Any] = pipe.execute(raise_on_error=False)
    return [row.decode(errors="replace") for row in rows if isinstance(row, bytes)]


def _branch(text: str) -> tuple[int, int]:
    major, minor = (int("".join(filter(str.isdigit, part)) or 0) for part in f"{text}.0".split(".")[:2])
    return major, minor
