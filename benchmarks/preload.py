"""Fill the queue of one side: ``python -m benchmarks.preload <peer> <job> <count>``, the server in ``BENCH_URL``."""

import sys
from importlib import import_module

if __name__ == "__main__":
    import_module(f"benchmarks.peer_{sys.argv[1]}").preload(sys.argv[2], int(sys.argv[3]))
