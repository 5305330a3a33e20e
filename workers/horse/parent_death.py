"""A child that does not outlive its parent, however that ends."""

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


def die_with_parent(signum: signal.Signals = signal.SIGKILL, *, parent: int | None = None) -> None:
    """Have this process get ``signum`` when its parent ends, also by SIGKILL. Call it once, early in the child.

    On Linux the kernel sees to it. Elsewhere a thread looks twice a second whether the parent is still there.

    Args:
        signum: which signal.
        parent: its process id as the parent itself tells it. Without that, one that has ended by now goes unnoticed.
    """
    parent = os.getppid() if parent is None else parent
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signum))
        if os.getppid() != parent:  # it ended before that
            os.kill(os.getpid(), signum)
        return

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_S)
        os.kill(os.getpid(), signum)

    threading.Thread(target=look, name="notify-lifeline", daemon=True).start()
