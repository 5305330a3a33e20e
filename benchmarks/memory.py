"""Memory of a subscriber that falls behind: a million events, and it reads one in a hundred of the pace."""

import os
import threading
import time
from pathlib import Path
from typing import Final

import notify

__all__ = ["memory_of_a_slow_subscriber"]

EVENTS: Final = 1_000_000


def memory_of_a_slow_subscriber(bus: notify.Bus) -> str:
    """Resident memory of this process at the start and at its highest, while the publisher waits for room in its own queue."""
    done = threading.Event()

    def publish() -> None:
        with bus.background_publisher(max_items=1_000, when_full="block") as publisher:
            for number in range(EVENTS):
                publisher.put("flood", number)
        done.set()

    before = highest = _resident_mib()
    gaps = received = 0
    with bus.subscribe("flood") as events:
        threading.Thread(target=publish).start()
        while not done.is_set():
            item = events.get(0.1)
            gaps += isinstance(item, notify.Gap)
            received += isinstance(item, notify.Event)
            highest = max(highest, _resident_mib())
            time.sleep(0.005)
    return (
        f"{'slow subscriber, 1,000,000 events':<34} {before:.0f} MiB at first, {highest:.0f} MiB at most; {received} read, {gaps} gaps told"
    )


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
