"""Fill the queue of one side: ``python -m benchmarks.preload <peer> <job> <count>``, the server in ``BENCH_URL``.

``<peer>`` may be ``blitzq:at_once``, to call another function of the side than ``preload``. It prints the seconds that the call took;
a call before it, for ten jobs of another name, has opened the connections.
"""

import os
import sys
import time
from importlib import import_module

if __name__ == "__main__":
    peer, _, function = sys.argv[1].partition(":")
    fill = getattr(import_module(f"benchmarks.peer_{peer}"), function or "preload")
    if sys.argv[4:] == ["timed"]:
        fill(sys.argv[2], 10)
    began = time.perf_counter()
    fill(sys.argv[2], int(sys.argv[3]))
    print(time.perf_counter() - began, flush=True)
    os._exit(0)  # the core of ArdiQ may crash at the end of the interpreter
