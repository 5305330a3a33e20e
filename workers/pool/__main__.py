"""The fork server of a pool, as a process that is not forked from it.

Its arguments are the process id of the pool, and the number of its socket.
"""

import socket
import sys

from workers.horse import open_standard_files
from workers.pool.serving import serve

__all__: list[str] = []

if __name__ == "__main__":
    parent, control = map(int, sys.argv[1:])
    open_standard_files()
    serve(socket.socket(fileno=control), parent=parent)
