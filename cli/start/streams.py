"""The standard streams of a command: opened before it, flushed and closed after it."""

import io
import os
import sys
from typing import Final, TextIO

from cli.start.usage import tell

__all__ = ["close_streams", "drop", "open_streams"]

STREAMS: Final = {"stdin": "r", "stdout": "w", "stderr": "w"}
"""The streams in the order of their files, and how they are opened."""


def open_streams() -> None:
    """Make all three streams usable: the shell may have closed one, and a terminal may not know a character."""
    # Its file is opened too, or the next socket would get its number. As workers do it, whose code would take long to import.
    while (file := os.open(os.devnull, os.O_RDWR)) < len(STREAMS):
        os.set_inheritable(file, True)
    os.close(file)
    for number, (name, mode) in enumerate(STREAMS.items()):
        if getattr(sys, name) is None:  # Python does that if the shell closed it
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115  # stays open until the process ends
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
