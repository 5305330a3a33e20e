"""Several workers in one process: each has a thread and a horse, and all horses have one fork server."""

import logging
import os
import select
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from workers.errors import WorkersFailedError
from workers.worker import Worker
from workers.worker.end_signals import END_NOW, signals_of_pool

__all__ = ["SharedProcess", "check_end"]

MOST: Final = 4096

log = logging.getLogger(__name__)


class SharedProcess:
    """Runs workers in threads until all have ended. If one fails, the others are told to end after their jobs.

    RQ and `workers` see as many workers as there are: each has its name, lease, queue order, current job and horse, and each can be told
    to end by a command. What they share is the memory of the process, the fork server of the horses, and the signals, which are for all.

    Args:
        workers: the workers, which do not work yet. Make them, and open their horses together, in the main thread, while there is no other.
        left: called, in the thread of a worker, when it has ended in order.
    """

    def __init__(self, workers: Sequence[Worker], *, left: Callable[[Worker], object] = lambda _: None) -> None:
        self._workers = workers
        self._left = left
        self._running = set(workers)
        self._failure: BaseException | None = None
        self._ended, self._noted_ends = os.pipe()
        self._signals: deque[int] = deque()

    def run(self, *, burst: bool) -> None:
        """Run the workers. Call it in the main thread.

        Args:
            burst: whether a worker ends when its queues are empty.

        Raises:
            WorkersFailedError: a worker ended although it was not told to.
            Exception: the error with which the first worker failed.
        """
        for worker in self._workers:
            worker._signals.are_elsewhere = True
            worker._background.workers_of_process = len(self._workers)
        for file in (self._ended, self._noted_ends):
            os.set_blocking(file, False)
        # The kernel may give a signal to any thread: only this file is certain to end the wait of the main thread.
        signal.set_wakeup_fd(self._noted_ends, warn_on_full_buffer=False)
        for signum in signals_of_pool():
            signal.signal(signum, self._note)
        threads = [
            threading.Thread(target=self._work, args=(worker, burst), name=f"notify-worker-{number}")
            for number, worker in enumerate(self._workers)
        ]
        try:
            for thread in threads:
                thread.start()
            while self._running:
                self._wait()
            for thread in threads:
                thread.join()
        finally:
            signal.set_wakeup_fd(-1)
        if self._failure is not None:
            raise self._failure

    def _work(self, worker: Worker, burst: bool) -> None:
        try:
            worker.work(burst=burst, with_scheduler=True)
            check_end(worker, burst=burst)
            self._left(worker)
        except SystemExit:  # it was told to end before it had begun
            self._left(worker)
        except BaseException as exc:
            log.debug("worker %s has failed", worker.name, exc_info=True)
            self._failure = self._failure or exc
        finally:
            self._running.discard(worker)  # first: the main thread looks once for each byte
            os.write(self._noted_ends, b"!")

    def _wait(self) -> None:
        """Wait for a signal or for the end of a worker, and do what follows from it."""
        poll = select.poll()
        poll.register(self._ended, select.POLLIN)
        poll.poll(1000)
        with suppress(BlockingIOError):  # until it is empty
            while os.read(self._ended, MOST):
                continue
        if self._failure is not None:
            self._signals.append(signal.SIGTERM)
        while self._signals:
            is_urgent = self._signals.popleft() == END_NOW
            for worker in self._workers:
                worker._signals.end_now() if is_urgent else worker._signals.end_after_job()

    def _note(self, signum: int, _: object) -> None:
        self._signals.append(signum)


def check_end(worker: Worker, *, burst: bool) -> None:
    """Check how a worker ended that has returned from `work`: RQ's loop ends after an error as it does when it is told to.

    Raises:
        WorkersFailedError: it was not told to.
    """
    if not burst and not worker._signals.told_to_end:
        raise WorkersFailedError(f"worker {worker.name} ended because of an error, which is in its log")
