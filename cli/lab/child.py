"""Runs built-in services as child processes. They end in order and with their parent.

Their environment holds the address of the server: a command line, which is public, does not.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, Final

from notify import Settings
from notify.process import own_command

__all__ = ["Child", "environ_of"]

GRACE_S: Final = 5.0
"""Seconds that a child may take to end after SIGTERM."""
HURRY_S: Final = 2.0
"""The same after Ctrl-C has interrupted this process."""


class Child:
    """``notify serve ...`` as a child process; use it as a context manager. The child ends with its parent, also when that is killed.

    Args:
        arguments: the arguments of ``notify serve``; the first one names the child.
        environ: the environment, from `environ_of`.
        capture: make the output of the child available as `stdout`; otherwise it is dropped.
        quiet: drop the stderr of the child as well.
    """

    def __init__(self, arguments: Sequence[str], *, environ: Mapping[str, str], capture: bool = False, quiet: bool = False) -> None:
        self.name = arguments[0]
        self._process = subprocess.Popen(
            own_command("cli", "serve", *arguments, "--with-parent", str(os.getpid())),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if capture else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if quiet else None,
            text=True,
            encoding="utf-8",
            env=dict(environ),
            # Ctrl-C in the terminal must reach the parent only, which stops its children in order.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def stdout(self) -> IO[str]:
        """The output of the child; only with ``capture``."""
        assert self._process.stdout is not None  # noqa: S101  # capture was given
        return self._process.stdout

    @property
    def ended(self) -> int | None:
        """The exit code; ``None`` while the child runs."""
        return self._process.poll()

    def stop(self, *, grace_s: float = GRACE_S) -> None:
        """Send SIGTERM and wait; kill the child if it does not end in time, or if this process is interrupted."""
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


def environ_of(settings: Settings) -> dict[str, str]:
    """Return the environment for a child, with the server and namespace of ``settings``.

    They do not go on the command line, which is public: an address can hold a password.
    """
    return {**os.environ, "NOTIFY_URL": settings.url or "", "NOTIFY_NAMESPACE": settings.namespace}
