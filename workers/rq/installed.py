"""The version of RQ that is installed, found out once: `IS_RQ_3` chooses the adapter."""

from typing import Final

from rq.version import VERSION

from workers.errors import RqVersionError

__all__ = ["IS_RQ_3", "check_version"]


def check_version(version: str) -> int:
    """Return the major version of RQ.

    Args:
        version: the version, such as ``2.12.0``.

    Raises:
        RqVersionError: there is no adapter for this version.
    """
    major, minor = (int("".join(filter(str.isdigit, part)) or 0) for part in f"{version}.0".split(".")[:2])
    if not (2, 12) <= (major, minor) < (4, 0):
        raise RqVersionError(f"RQ {version} is installed, and workers needs RQ 2.12 or later, below 4: pip install 'rq>=2.12,<4'")
    return major


IS_RQ_3: Final = check_version(VERSION) == 3
