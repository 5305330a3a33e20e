"""Ends a child process when its parent ends, also if the parent is killed."""

import ctypes
import os
import signal
import sys
import threading
import time
from typing import Final

__all__ = ["die_with_parent"]

PR_SET_PDEATHSIG: Final = 1
"""From <linux/prctl.h>."""
POLL_S: Final = 0.5
"""Seconds between two checks whether the parent is alive, where the kernel does not report its death."""


def die_with_parent(signum: signal.Signals = signal.SIGKILL, *, parent: int | None = None) -> None:
    """Send this process a signal when its parent ends, also by SIGKILL. Call it once, early in the child.

    On Linux the kernel sends the signal. Elsewhere a thread checks twice a second whether the parent is alive, and sends the signal.

    Args:
        signum: the signal.
        parent: the process id of the parent, as the parent passed it to the child. Without it, the end of a parent before this
            call goes unnoticed.
    """
    parent = os.getppid() if parent is None else parent
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signum))
        if os.getppid() != parent:  # the parent ended before the kernel was asked
            os.kill(os.getpid(), signum)
        return

    def watch_parent() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_S)
        os.kill(os.getpid(), signum)

    threading.Thread(target=watch_parent, name="notify-parent-watch", daemon=True).start()
