"""Adopts the orphans of jobs: programs whose own parent has ended. Whoever adopts them has to reap them, or they stay zombies."""

import ctypes
import os
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["adopt_orphans", "disown_orphans", "reap_orphans"]

PR_SET_CHILD_SUBREAPER: Final = 36
"""From <linux/prctl.h>."""
PROC: Final = Path("/proc/self/task")


def adopt_orphans() -> None:
    """Become the parent of all descendants that lose theirs, in the place of process 1. On Linux only; elsewhere process 1 stays it.

    In a container process 1 is often the program itself, which does not know of them and would leave them as zombies.
    """
    _set_adopting(adopts=True)


def disown_orphans() -> None:
    """Leave them to process 1 again, or to an ancestor that adopts them."""
    _set_adopting(adopts=False)


def _set_adopting(*, adopts: bool) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, int(adopts))


def reap_orphans(own: Collection[int]) -> None:
    """Reap the children that have ended.

    Args:
        own: the process ids of the children that this process has forked itself: their ends are for who waits for them.
    """
    if sys.platform != "linux":
        return  # there are none
    with suppress(ChildProcessError):  # there is none
        try:
            children = [int(child) for child in (PROC / f"{os.getpid()}/children").read_text().split()]
        except OSError:  # the kernel does not list them, or /proc is that of another pid namespace
            _reap_first(own)
            return
        for child in children:
            if child not in own:
                os.waitpid(child, os.WNOHANG)


def _reap_first(own: Collection[int]) -> None:
    """Reap until the kernel shows none that has ended, or one of our own."""
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None or ended.si_pid in own:
            return
        os.waitpid(ended.si_pid, os.WNOHANG)
