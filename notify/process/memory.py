"""The memory of a process and of those that it started."""

from pathlib import Path
from typing import Final

__all__ = ["memory_kib"]

MOST_PROCESSES: Final = 1000
"""The largest number of processes that are counted: jobs may start more, and then the sum says little anyway."""


def memory_kib(pid: int) -> int | None:
    """Return the memory of a process and all its descendants in KiB; ``None`` where the system does not say (outside of Linux).

    Memory that processes share, as after a fork, is counted once (``Pss`` of ``/proc/<pid>/smaps_rollup``).

    Args:
        pid: the process.
    """
    total: int | None = None
    left = [pid]
    for _ in range(MOST_PROCESSES):
        if not left:
            break
        current = left.pop()
        try:
            lines = Path(f"/proc/{current}/smaps_rollup").read_text().splitlines()
            for task in Path(f"/proc/{current}/task").iterdir():
                left += map(int, (task / "children").read_text().split())
        except OSError:
            continue  # it has ended, or this system has no such file
        total = (total or 0) + sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total
