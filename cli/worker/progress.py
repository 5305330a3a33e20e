"""Shows the progress of a burst: a bar on a terminal, and one line at the end everywhere."""

import time
from types import TracebackType

import redis
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from cli.output import Output
from notify import ServerError
from workers import Pool
from workers.overview import WorkerProgress, worker_progress

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
        console = output.display
        self._bar = None if console is None or not has_bar else _bar(console)
        self._task = None if self._bar is None else self._bar.add_task("jobs", total=None, summary="")

    def show(self) -> None:
        """Ask the server for the numbers, and update the bar."""
        if self._bar is not None and self._task is not None and self._update():
            done = self._progress.done + self._progress.failed
            self._bar.update(self._task, completed=done, total=done + self._progress.left, summary=self._summary(), refresh=True)

    def close(self) -> None:
        """Print the final numbers."""
        if self._bar is not None:
            self._bar.stop()
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
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        elif self._bar is not None:
            self._bar.stop()

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


def _bar(console: Console) -> Progress:
    columns = BarColumn(), TextColumn("{task.fields[summary]}")
    return Progress(*columns, console=console, auto_refresh=False, transient=True)
