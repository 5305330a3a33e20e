"""A worker process that is started by hand, without a pool.

It reads the process id of its parent, and then its options, from standard input.
"""

import signal
import sys

import msgspec

from workers.horse import die_with_parent, open_standard_files
from workers.pool import WorkerOptions, run_worker

__all__ = ["main"]


def main() -> int:
    """Run a worker. It ends with its parent."""
    open_standard_files()
    die_with_parent(signal.SIGTERM, parent=int(sys.stdin.buffer.readline()))
    return run_worker(msgspec.json.decode(sys.stdin.buffer.read(), type=WorkerOptions))


if __name__ == "__main__":
    sys.exit(main())
