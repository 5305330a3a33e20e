"""Messages between a worker and its horse: through a socket, one whole message after another."""

import socket
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from workers.scripts import Ended

__all__ = ["Channel", "Reply", "Task"]

CHUNK: Final = 65_536

T = TypeVar("T")


class Task(msgspec.Struct, frozen=True, array_like=True):
    """A run that the horse shall do.

    Args:
        job_id, fence: the run.
        queue: the name of its queue.
        fields: the job's hash as it was claimed.
        is_stopped: the run is over, and all that shall be done is to call its ``on_stopped``.
    """

    job_id: str
    fence: str
    queue: str
    fields: Mapping[bytes, bytes]
    is_stopped: bool = False

    @property
    def calls_back(self) -> bool:
        """Whether there is an ``on_stopped`` to call."""
        return bool(self.fields.get(b"stopped_callback_name"))


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """How a run went.

    Args:
        ended: the function returned, and the end is to be recorded.
        problem: why the job could not even be read.
        stopped: the run ended because it was stopped.
        retires: the horse ends now: it has done its share, or the job left something behind.

    With none of them, the horse has recorded the end itself.
    """

    ended: Ended | None = None
    problem: str = ""
    stopped: bool = False
    retires: bool = False


class Channel:
    """One end of a pair of sockets. There is never more than one message on its way: a task, or the reply to it."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._buffer = bytearray()
        self._encoder = msgspec.msgpack.Encoder()

    def fileno(self) -> int:
        return self._end.fileno()

    def close(self) -> None:
        self._end.close()

    def send(self, message: Task | Reply) -> None:
        """Send a message.

        Raises:
            OSError: nobody is at the other end.
        """
        encoded = self._encoder.encode(message)
        self._end.sendall(len(encoded).to_bytes(4, "big") + encoded)

    def take(self, kind: type[T]) -> T | None:
        """Read what is there; wait if that is nothing.

        Returns:
            A message, or ``None`` while it is incomplete: then more of it comes.

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
