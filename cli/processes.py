"""Our own services and workers as child processes: started with their address out of sight, ended in order, never left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Final

from cli.signals import HeldSignals
from notify import Settings
from workers import Pool

__all__ = ["Child", "environ_of", "working"]

GRACE_S: Final = 5.0
HURRY_S: Final = 2.0
"""How long a child may take to end after Ctrl-C was pressed once more."""


class Child:
    """``notify serve ...`` as a process of its own; use it as a context manager. It ends with us, whatever happens to us.

    Args:
        arguments: what follows ``notify serve``; the first one is its name here.
        environ: from `environ_of`.
        capture: read its stdout through `stdout`; otherwise what it prints there is dropped.
        quiet: drop what it says on stderr, too.
    """

    def __init__(self, arguments: Sequence[str], *, environ: Mapping[str, str], capture: bool = False, quiet: bool = False) -> None:
        self.name = arguments[0]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cli", "serve", *arguments, "--with-parent", str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if capture else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if quiet else None,
            text=True,
            encoding="utf-8",
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
        """Ask it to end (SIGTERM) and wait; kill it if it does not, or when we are interrupted."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._kill()
        except KeyboardInterrupt:
            self._kill()
            raise

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop(grace_s=HURRY_S if isinstance(error, KeyboardInterrupt) else GRACE_S)


@contextmanager
def working(pool: Pool) -> Iterator[Pool]:
    """Run a pool within the block. Its workers finish the jobs in hand, unless we are interrupted, before or meanwhile."""
    try:
        with HeldSignals():
            pool.open()
        yield pool
        pool.close()
    except KeyboardInterrupt:
        pool.close(grace_s=HURRY_S)
        raise
    except BaseException:
        pool.close()
        raise


def environ_of(settings: Settings) -> dict[str, str]:
    """Our environment, with the server and namespace of ``settings`` in it: an address can hold a password, and argv is public."""
    return {**os.environ, "NOTIFY_URL": settings.url or "", "NOTIFY_NAMESPACE": settings.namespace}
