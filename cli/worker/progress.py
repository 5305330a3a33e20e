"""Shows the progress of a burst: a bar on a terminal, and one line at the end everywhere."""

import time
from types import TracebackType
from typing import TYPE_CHECKING

import redis

from cli.output import Output
from notify import ServerError
from workers import Pool
from workers.overview import WorkerProgress, worker_progress

if TYPE_CHECKING:
    from cli.output.terminal import Bar

__all__ = ["BurstProgress"]


class BurstProgress:
    """Shows how many jobs a pool has done and has left. Use it as a context manager, and call `show` repeatedly.

    Args:
        output: the bar goes to its stderr if that is a terminal, unless the output is JSON.
        connection: ``bus.redis``.
        pool: the open pool.
        queues: the queues that the pool works on.
        has_bar: whether to show the bar; without it, there is only the line at the end.
    """

    def __init__(self, output: Output, connection: redis.Redis, pool: Pool, queues: tuple[str, ...], *, has_bar: bool = True) -> None:
        self._output, self._connection, self._pool, self._queues = output, connection, pool, queues
        self._began_at = time.monotonic()
        self._progress = WorkerProgress(0, 0, 0)
        self._has_bar = has_bar
        self._bar: Bar | None = None

    def show(self) -> None:
        """Ask the server for the numbers, and update the bar."""
        if self._bar is not None and self._update():
            done = self._progress.done + self._progress.failed
            self._bar.show(done, done + self._progress.left, self._summary())

    def close(self) -> None:
        """Print the final numbers."""
        if self._bar is not None:
            self._bar.close()
        self._update()
        record = {
            "done": self._progress.done,
            "failed": self._progress.failed,
            "left": self._progress.left,
            "seconds": round(self._seconds, 3),
        }
        if self._output.as_json:
            self._output.record(record, "")
        else:
            self._output.talk(f"{self._summary()} in {self._seconds:.1f} s")

    def __enter__(self) -> "BurstProgress":
        self._bar = self._output.bar() if self._has_bar else None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        elif self._bar is not None:
            self._bar.close()

    def _update(self) -> bool:
        """Ask the server for the numbers. Returns whether it answered; if not, the last numbers stay."""
        try:
            self._progress = worker_progress(self._connection, queues=self._queues, workers=self._pool.names)
        except ServerError:
            return False
        return True

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began_at

    def _summary(self) -> str:
        rate = (self._progress.done + self._progress.failed) / max(self._seconds, 0.001)
        return f"{self._progress.done} done, {self._progress.failed} failed, {self._progress.left} left, {rate:.0f}/s"
