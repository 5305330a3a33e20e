"""The event loop of a flow, in a thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from notify.errors import FlowError

__all__ = ["LoopThread"]

T = TypeVar("T")


class LoopThread:
    """Runs an event loop from `open` to `close`.

    Args:
        name: the name of the thread.
    """

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def open(self) -> None:
        """Start the thread."""
        self._thread.start()

    def start(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine as a task; to cancel the future cancels the task."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def call(self, hook: Callable[..., Any], *arguments: Any, timeout_s: float) -> Any:
        """Call a coroutine function in the loop, and return its result.

        Raises:
            FlowError: it took longer.
            Exception: what it raised.
        """
        future = self.start(hook(*arguments))
        try:
            return future.result(timeout_s)
        except TimeoutError as exc:
            if future.done():
                raise  # the hook has raised it
            future.cancel()
            name = getattr(hook, "__qualname__", repr(hook))
            raise FlowError(f"{name} has not returned after {timeout_s:g} s and was cancelled: limit what it waits for") from exc

    @property
    def is_here(self) -> bool:
        """Whether the calling code runs in the loop."""
        return self._thread is threading.current_thread()

    def close(self, *, timeout_s: float) -> bool:
        """Cancel what still runs, and end the thread. Returns ``False`` if it still runs after ``timeout_s`` seconds."""
        if not self._thread.is_alive():
            if not self.loop.is_closed():
                self.loop.close()
            return True
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            left = asyncio.all_tasks(self.loop)
            for task in left:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()
