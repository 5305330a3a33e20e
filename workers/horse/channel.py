"""Messages between a worker and its horse, through a pair of sockets: a task to the horse, and its reply."""

import math
import select
import socket
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from workers.scripts import Ended, OwedCallback

__all__ = ["Channel", "Reply", "Task"]

CHUNK: Final = 65_536
"""Bytes to read from the socket at once."""

T = TypeVar("T")


class Task(msgspec.Struct, frozen=True, array_like=True):
    """A run for the horse to perform.

    Args:
        job_id, fence: the run.
        queue: the name of the queue of the job.
        fields: the hash of the job, as it was claimed.
        is_stopped: the run is over, and only the ``on_stopped`` callback of the job is to be called.
        owed: a run of the job was killed, and only its ``on_failure`` callback is to be called.
    """

    job_id: str
    fence: str
    queue: str
    fields: Mapping[bytes, bytes]
    is_stopped: bool = False
    owed: OwedCallback | None = None

    @property
    def calls_back(self) -> bool:
        """True if the job has an ``on_stopped`` callback."""
        return bool(self.fields.get(b"stopped_callback_name"))


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """The answer of the horse to a task. Without ``ended``, ``problem`` and ``stopped`` there is nothing left to record.

    Args:
        ended: the end of a run whose function returned; the worker has to record it.
        problem: why the job cannot be read, or empty; the worker has to record it.
        stopped: the run ended because it was stopped; the worker has to record it.
        lost: the need for whose loss it was stopped, if the horse found that; else empty.
        retires: the horse ends after this reply, because of `RetireAfter` or because the job left something behind.
        ends_programs: the programs that the job started are ended with the horse, because the job was stopped or its timeout was over.
    """

    ended: Ended | None = None
    problem: str = ""
    stopped: bool = False
    lost: str = ""
    retires: bool = False
    ends_programs: bool = False


class Channel:
    """One end of the pair of sockets. At most one message is on its way at any time: a task, or the reply to it.

    Args:
        end: the socket; the channel owns it from now on.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._buffer = bytearray()
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)
        self._encoder = msgspec.msgpack.Encoder()

    def fileno(self) -> int:
        """Return the number of the socket, for ``select.poll``."""
        return self._end.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._end.close()

    def is_ready(self, timeout_s: float) -> bool:
        """Wait until there is something to read, and return whether there is."""
        return bool(self._poll.poll(math.ceil(timeout_s * 1000)))

    def send(self, message: Task | Reply) -> None:
        """Send a message.

        Raises:
            OSError: the other end is closed.
        """
        encoded = self._encoder.encode(message)
        self._end.sendall(len(encoded).to_bytes(4, "big") + encoded)

    def take(self, kind: type[T]) -> T | None:
        """Read from the socket once; this blocks while there is nothing to read.

        Args:
            kind: the type of the message.

        Returns:
            The message; ``None`` while it is incomplete: call this again.

        Raises:
            EOFError: the other end is closed.
        """
        try:
            chunk = self._end.recv(CHUNK)
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            raise EOFError
        self._buffer += chunk
        length = int.from_bytes(self._buffer[:4], "big")
        if len(self._buffer) < 4 + length:
            return None
        message: Any = msgspec.msgpack.decode(memoryview(self._buffer)[4 : 4 + length], type=kind)
        self._buffer = bytearray()
        return message  # type: ignore[no-any-return]  # decode checked it
