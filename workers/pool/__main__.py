"""The processes of a pool that are not forked: its parent, and a fork server that is no fork of it.

With the number of a file, and words for those who read the list of processes, it is the parent; see `workers.pool.parent`. With the
process id of a pool and the number of a socket it is the fork server.
"""

import _strptime  # type: ignore[import-not-found]  # noqa: F401  # each worker would import it, to read the times of RQ
import socket
import sys

from workers.horse import open_standard_files
from workers.pool.parent import run_parent
from workers.pool.serving import serve

__all__: list[str] = []

if __name__ == "__main__":
    first, second, *_ = map(str, sys.argv[1:])
    if second.isdecimal():
        open_standard_files()
        serve(socket.socket(fileno=int(second)), parent=int(first))
    run_parent(int(first))
