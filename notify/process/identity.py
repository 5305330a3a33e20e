"""The identity of a process: enough to tell, in another process on the same machine, that it is certainly dead."""

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

__all__ = ["ProcessIdentity", "this_process"]

PROC: Final = Path("/proc")
FIRST_FIELD_AFTER_NAME: Final = 3
STATE, START_TIME = 3 - FIRST_FIELD_AFTER_NAME, 22 - FIRST_FIELD_AFTER_NAME
"""Places of fields in ``/proc/<pid>/stat`` behind the name of the program, which may itself contain spaces and brackets."""


class ProcessIdentity(msgspec.Struct, frozen=True):
    """A process, as it is recorded where other processes can read it.

    Args:
        host: the name of the machine.
        pid: the process id.
        space: the boot of the machine, and the pid and time namespaces of the process. A pid and a start time mean something only
            within one space: two containers may have the same host name and pids. Empty if the system does not tell (macOS).
        started: the start time of the process, in clock ticks since the boot; empty if the system does not tell.
    """

    host: str
    pid: int
    space: str = ""
    started: str = ""

    def is_certainly_dead(self) -> bool:
        """Return whether the process has certainly ended: false if it runs, on another machine or in another space, or nobody can tell."""
        return self._runs_here() is False

    def is_certainly_alive(self) -> bool:
        """Return whether the process certainly runs: false if it has ended, or in the cases in which nobody can tell."""
        return self._runs_here() is True

    def _runs_here(self) -> bool | None:
        here = this_process()
        if not self.space or not self.started or self.pid <= 0 or (self.host, self.space) != (here.host, here.space):
            return None
        if not _exists(self.pid):
            return False
        fields = _stat(self.pid)
        if fields is None:
            return None
        return fields[START_TIME] == self.started and not (fields[STATE] == "Z" and _has_no_threads(self.pid))


def this_process() -> ProcessIdentity:
    """Return the identity of this process."""
    host, pid = socket.gethostname(), os.getpid()
    with suppress(OSError):  # there is no such /proc, or it may not be read: the end of this process cannot be told then
        if os.readlink(PROC / "self") == str(pid):  # else /proc is that of another pid namespace
            fields = _stat(pid)
            boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
            namespaces = [os.readlink(PROC / "self/ns" / kind) for kind in ("pid", "time")]
            if fields is not None and boot:
                return ProcessIdentity(host, pid, " ".join([boot, *namespaces]), fields[START_TIME])
    return ProcessIdentity(host, pid)


def _exists(pid: int) -> bool:
    """Return whether there is a process; ``/proc`` may hide those of other users."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # no pid is so large
        return False
    except PermissionError:
        return True  # it belongs to another user
    return True


def _stat(pid: int) -> list[str] | None:
    """Return the fields of ``/proc/<pid>/stat`` from the state on; ``None`` if it cannot be read."""
    try:
        fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields if len(fields) > START_TIME else None


def _has_no_threads(pid: int) -> bool:
    """Return whether a zombie is a dead process, and not only a first thread that ended before the others."""
    try:
        return len(os.listdir(PROC / str(pid) / "task")) <= 1
    except OSError:
        return False
