"""Our own services as child processes: started with their address out of sight, ended in order, never left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Final

from notify import Settings

__all__ = ["Child", "environ_of"]

GRACE_S: Final = 5.0


class Child:
    """``notify serve ...`` as a process of its own. It ends with us, whatever happens to us.

    Args:
        arguments: what follows ``notify serve``; the first one is its name here.
        environ: from `environ_of`.
        capture: read its stdout through `stdout`; otherwise what it prints, there or on stderr, is dropped.
    """

    def __init__(self, arguments: Sequence[str], *, environ: Mapping[str, str], capture: bool = False) -> None:
        self.name = arguments[0]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cli", "serve", *arguments, "--with-parent"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if capture else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            env=dict(environ),
            # Ctrl-C in the terminal is for us: we stop our children in order.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdout(self) -> IO[str]:
        """What it prints, if captured."""
        assert self._process.stdout is not None  # noqa: S101  # only asked for when captured
        return self._process.stdout

    @property
    def ended(self) -> int | None:
        """Its exit code, ``None`` while it runs."""
        return self._process.poll()

    def stop(self, *, grace_s: float = GRACE_S) -> None:
        """Ask it to end (SIGTERM) and wait; kill it if it does not."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def environ_of(settings: Settings) -> dict[str, str]:
    """Our environment, with the server and namespace of ``settings`` in it: an address can hold a password, and argv is public."""
    return {**os.environ, "NOTIFY_URL": settings.url or "", "NOTIFY_NAMESPACE": settings.namespace}
