"""Messages between a worker and its horse, through a pair of sockets: tasks to the horse, and a reply to each."""

import math
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from workers.scripts import Ended, OwedCallback

__all__ = ["LENGTH_BYTES", "Channel", "Reply", "Task", "decoded"]

CHUNK: Final = 65_536
"""Bytes to read from the socket at once."""
LENGTH_BYTES: Final = 4
"""Each message begins with its length."""

T = TypeVar("T")


class Task(msgspec.Struct, frozen=True, array_like=True):
    """A run for the horse to perform.

    Args:
        job_id, fence: the run.
        queue: the name of the queue of the job.
        fields: the hash of the job, as it was claimed.
        is_stopped: the run is over, and only the ``on_stopped`` callback of the job is to be called.
        owed: a run of the job was killed, and only its ``on_failure`` callback is to be called.
        number: of the task; each is larger than the one before. A token with this number lets the horse begin the task.
        rings: whether the horse wakes the worker at the end of the task.
        begin_by: the moment of `steady_s` after which the horse must not begin the task.
        is_announced: whether RQ's records of the run are written, and the event of its start is published.
        runs_beside: whether it is performed side by side with others of this kind.
        timeouts: how often a command of the worker got no answer in time. If that has changed, the horse opens its connections anew.
        order: no task, but an order about the run, which is performed side by side with others: ``flag`` or ``cancel``.
        function: the path of its function, if it is performed side by side with others.
        concurrency: how many runs of this function go on side by side at most; 0: any number.
    """

    job_id: str
    fence: str
    queue: str
    fields: Mapping[bytes, bytes]
    is_stopped: bool = False
    owed: OwedCallback | None = None
    number: int = 0
    rings: bool = True
    begin_by: float = math.inf
    is_announced: bool = True
    runs_beside: bool = False
    timeouts: int = 0
    order: str = ""
    function: str = ""
    concurrency: int = 0

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
        is_late: the task was not begun: the horse took it after the time by which it had to begin.
        seconds: how long the task took.
        number: of the task.
        has_called_back: the horse has called the ``on_stopped`` callback of the stopped job.
    """

    ended: Ended | None = None
    problem: str = ""
    stopped: bool = False
    lost: str = ""
    retires: bool = False
    ends_programs: bool = False
    is_late: bool = False
    seconds: float = 0.0
    number: int = 0
    has_called_back: bool = False

    @property
    def is_plain(self) -> bool:
        """True if the function returned and the horse goes on: the worker has nothing to do at once."""
        return self.ended is not None and not self.retires


class Channel:
    """One end of the pair of sockets, for whole messages in their order.

    Args:
        end: the socket; the channel owns it from now on.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._buffer = bytearray()
        self._encoder = msgspec.msgpack.Encoder()

    def fileno(self) -> int:
        """Return the number of the socket, for ``select.poll``."""
        return self._end.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._end.close()

    def send(self, *messages: Task | Reply, on_its_way: Callable[[], object] = lambda: None) -> int:
        """Send messages together, and return the number of bytes.

        Args:
            messages: the messages.
            on_its_way: called when the first part of much data is sent: the rest may not fit into the socket before the other end reads.

        Raises:
            OSError: the other end is closed.
        """
        data = b"".join(map(self._framed, messages))
        self._end.sendall(data[:CHUNK])
        if len(data) > CHUNK:
            on_its_way()
            self._end.sendall(data[CHUNK:])
        return len(data)

    def arrived(self, kind: type[T]) -> Iterator[T]:
        """Yield the whole messages that have arrived, without reading from the socket."""
        while (message := self._buffered(kind)) is not None:
            yield message

    def take(self, kind: type[T]) -> T | None:
        """Return the next message. If it has not arrived, read from the socket once; this blocks while there is nothing to read.

        Args:
            kind: the type of the message.

        Returns:
            The message; ``None`` while it is incomplete: call this again.

        Raises:
            EOFError: the other end is closed.
        """
        if (message := self._buffered(kind)) is None:
            self.fill()
            message = self._buffered(kind)
        return message

    def fill(self, *, waits: bool = True) -> None:
        """Read from the socket once, for `take`. Errors as there.

        Args:
            waits: whether to wait until there is something to read.
        """
        try:
            chunk = self._end.recv(CHUNK, 0 if waits else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            raise EOFError
        self._buffer += chunk

    def _buffered(self, kind: type[T]) -> T | None:
        for message, end in decoded(self._buffer, kind):
            del self._buffer[:end]
            return message
        return None

    def _framed(self, message: Task | Reply) -> bytes:
        encoded = self._encoder.encode(message)
        return len(encoded).to_bytes(LENGTH_BYTES, "big") + encoded


def decoded(data: bytes | bytearray, kind: type[T]) -> Iterator[tuple[T, int]]:
    """Yield the messages in some bytes, each with the place where it ends. The last may be incomplete, and is left out.

    Raises:
        msgspec.DecodeError: the bytes do not begin with a message.
    """
    at = 0
    while at + LENGTH_BYTES <= len(data):
        begin = at + LENGTH_BYTES
        at = begin + int.from_bytes(data[at:begin], "big")
        if at > len(data):
            return
        message: Any = msgspec.msgpack.decode(bytes(data[begin:at]), type=kind)
        yield message, at
