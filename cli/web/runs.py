"""Actions that take longer than a request may: each goes on in a thread, and the page shows how far it is."""

import asyncio
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeAlias

from cli.web.plan import Done
from cli.web.view import FilterError
from notify import NotifyError

__all__ = ["PageEndedError", "Run", "RunNotFoundError", "Runs", "Tell"]

Tell: TypeAlias = Callable[[int, int | None], None]
"""Is told how many things are done, and of how many; ``None`` while they are looked for."""

MOST_KEPT: Final = 100
"""Actions of which the page can tell what came of them."""
MOST_AT_ONCE: Final = 8
LOOK_S: Final = 0.01
END_S: Final = 5.0
"""Seconds for which a page that ends waits for the batches that are under way."""


class RunNotFoundError(NotifyError):
    """The page knows no such action: it belongs to somebody else, or to a page that has ended."""


class PageEndedError(NotifyError):
    """The page ended while an action went on."""


class Run:
    """An action that goes on.

    Args:
        name: the action.
        viewer: who asked for it, and may see it.
    """

    def __init__(self, name: str, viewer: str) -> None:
        self.id = secrets.token_urlsafe(9)
        self.name = name
        self.viewer = viewer
        self.count = 0
        """Of how many things it is known that they are done, or to be done while ``of`` is ``None``."""
        self.of: int | None = None
        self.has_ended = False
        self.thread: threading.Thread | None = None
        self._is_to_end = False
        self._done: Done | None = None
        self._problem: Exception | None = None

    def tell(self, count: int, of: int | None) -> None:
        """Say how far it is.

        Raises:
            PageEndedError: the page ends, and something is left to do.
        """
        self.count, self.of = count, of
        if self._is_to_end and count != of:
            so_far = "nothing was changed" if of is None else f"{count:,} of {of:,} were looked at, and the others are as they were"
            raise PageEndedError(f"the page ended in the middle: {so_far}; to go on, do it again")

    def end(self) -> None:
        """Let it stop before its next batch."""
        self._is_to_end = True

    def run(self, work: Callable[[Tell], Done]) -> None:
        """Do it."""
        try:
            self._done = work(self.tell)
        except Exception as exc:  # who asks for the result gets it
            self._problem = exc
        finally:
            self.has_ended = True

    def result(self) -> Done | None:
        """Return what was done; ``None`` while it goes on. Raises the error that ended it."""
        if not self.has_ended:
            return None
        if self._problem is not None:
            raise self._problem
        return self._done

    async def wait(self, timeout_s: float) -> None:
        """Wait until it has ended, or a time has passed."""
        until = time.monotonic() + timeout_s
        while not self.has_ended and time.monotonic() < until:
            await asyncio.sleep(LOOK_S)


class Runs:
    """The actions of a page."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._is_ending = False

    def start(self, name: str, viewer: str, work: Callable[[Tell], Done]) -> Run:
        """Begin an action in a thread.

        Raises:
            FilterError: many go on already.
            PageEndedError: the page ends.
        """
        if self._is_ending:
            raise PageEndedError("the page ends: nothing was changed")
        if sum(not run.has_ended for run in self._runs.values()) >= MOST_AT_ONCE:
            raise FilterError(f"{MOST_AT_ONCE} actions go on already: wait until one has ended")
        run = Run(name, viewer)
        self._runs[run.id] = run
        for old in [key for key, each in self._runs.items() if each.has_ended][: max(0, len(self._runs) - MOST_KEPT)]:
            del self._runs[old]
        run.thread = threading.Thread(target=run.run, args=(work,), name=f"notify-web-{name}", daemon=True)
        run.thread.start()
        return run

    def end(self) -> None:
        """Let all stop between two batches, and wait until they have: each then publishes how far it came."""
        self._is_ending, until = True, time.monotonic() + END_S
        going_on = [run for run in self._runs.values() if not run.has_ended]
        for run in going_on:
            run.end()
        for run in going_on:
            if run.thread is not None:
                run.thread.join(max(0.0, until - time.monotonic()))

    def find(self, run_id: str, viewer: str) -> Run:
        """Return an action.

        Raises:
            RunNotFoundError: this process of the page knows none of this person.
        """
        run = self._runs.get(run_id)
        if run is None or run.viewer != viewer:
            raise RunNotFoundError(
                "this page knows no such action of yours. If it was started anew, the action ended with it, perhaps in the middle: "
                "topic ops tells how far it came. What was changed stays changed, and the rest is as it was: do it again for that"
            )
        return run
