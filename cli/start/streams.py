"""The standard streams of a command: opened before it, flushed and closed after it."""

import io
import os
import sys
from typing import TextIO

from cli.start.usage import tell

__all__ = ["close_streams", "drop", "open_streams"]


def open_streams() -> None:
    """Make all three streams usable: the shell may have closed one, and a terminal may not know a character."""
    # Python sets a stream to None if the shell closed it.
    nowhere = open(os.devnull, "r+")  # noqa: SIM115  # stays open until the process ends
    sys.stdin, sys.stdout, sys.stderr = sys.stdin or nowhere, sys.stdout or nowhere, sys.stderr or nowhere
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a character that the terminal cannot show must not end the command


def close_streams(code: int) -> int:
    """Write what is left in the buffers, at the end of a command. Returns its exit code: 1 in place of 0 if stdout cannot be written."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        drop(sys.stdout)
    except OSError as exc:
        drop(sys.stdout)
        if code == 0:  # otherwise the command has told of an error already
            tell(f"the operating system reported an error: {exc}")
            code = 1
    try:
        sys.stderr.flush()
    except OSError:
        drop(sys.stderr)
    return code


def drop(stream: TextIO) -> None:
    """Lead a stream nowhere: Python would try to write again, and report an error, when it closes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
