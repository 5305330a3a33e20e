"""Lets an idle worker wait for a token that somebody leaves for it because there is a new job: one job wakes one worker."""

import math
import os
import select
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from notify.server import ANSWER_S, SingleConnection
from workers import rq_keys
from workers.scripts import JobScripts

__all__ = ["JobWaiter"]

BLOCK_S: Final = 1.0
"""Seconds for which one command blocks in the server. Its answer shows that the connection still works."""
SHORTEST_BLOCK_S: Final = 0.02
"""The server takes a much shorter time for none, and then blocks without limit."""


class JobWaiter:
    """Waits for a token in one of the lists ``ns:wake:<queue>``, and looks at the queues once a second.

    A token only wakes: the claim that follows decides whether there is a job. Whoever enqueues by our scripts leaves a token for each
    job; for jobs that others put on a queue the leader does (`PushWatch`). A token that nobody takes is deleted by the next claim that
    finds the queue empty. So no job is lost with a token: the claims of busy workers need none, and an idle worker looks once a second. It
    wakes for a job that it finds unless another worker serves that queue: otherwise all idle workers would wake within the second for which
    a burst of short jobs lasts.

    Args:
        client: the connection of the claims. While it waits here, it is used for nothing else.
    """

    def __init__(self, client: SingleConnection) -> None:
        self._client = client
        self._scripts = JobScripts(client)
        # Reentrant: a signal handler that wakes may interrupt the thread that holds it.
        self._lock = threading.RLock()
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        os.set_blocking(self._read_end, False)

    def wait(self, queues: Sequence[str], *, timeout_s: float) -> bool:
        """Wait until there may be a job in one of the queues, or `wake` is called.

        Args:
            queues: the keys of the queues; without any this waits only for `wake`.
            timeout_s: seconds to wait at most.

        Returns:
            True if there may be a job, which another worker may have claimed by now, or if `wake` was called.

        Raises:
            ServerError: the connection cannot be opened, or was lost; the next call opens another.
        """
        until = time.monotonic() + timeout_s
        if not queues:
            return self._is_woken(timeout_s)
        lists = [self._client.own_keys.wake(rq_keys.queue_name(queue)) for queue in queues]
        with self._client.translating("waiting for a job"):
            while (left_s := until - time.monotonic()) > 0:
                if self._take_token(lists, max(SHORTEST_BLOCK_S, min(BLOCK_S, left_s))):
                    return True
                if self._client.exchange("EXISTS", *queues):
                    self._scripts.wake_idle(
                        [rq_keys.queue_name(queue) for queue in queues], is_leaving=False
                    )  # the next BLPOP finds the token
        return False

    def wake(self) -> None:
        """End the present wait, or the next one. Safe in a signal handler and from any thread."""
        with self._lock, suppress(OSError):  # it is full, or closed
            os.write(self._write_end, b"!")

    def close(self) -> None:
        """End the use of the waiter. The connection stays open."""
        with self._lock:  # a `wake` in another thread must not write into the next file with the same number
            ends = self._read_end, self._write_end
            self._read_end = self._write_end = -1  # first: a signal handler may interrupt this thread here
            for end in ends:
                os.close(end)

    def _take_token(self, lists: Sequence[str], block_s: float) -> bool:
        """Wait for a token, or for `wake`. Returns whether one of them came."""
        self._client.send("BLPOP", *lists, f"{block_s:.3f}")
        try:
            if self._is_woken(block_s + ANSWER_S, self._client.fileno()):
                self._client.drop()  # the command is still blocked in the server
                return True
            return self._client.receive(timeout_s=0.1) is not None
        except BaseException:
            self._client.drop()
            raise

    def _is_woken(self, timeout_s: float, *answers: int) -> bool:
        """Wait for `wake`, or until one of the files can be read. Returns whether it was `wake`."""
        poll = select.poll()
        for file in (self._read_end, *answers):
            poll.register(file, select.POLLIN)
        ready = {file for file, _ in poll.poll(math.ceil(timeout_s * 1000))}
        if self._read_end not in ready:
            return False
        with suppress(BlockingIOError):  # somebody else has read it
            os.read(self._read_end, 1024)
        return True
