"""Opens and closes the objects of a flow, and the event loop in which some of them live."""

import inspect
import logging
from collections.abc import Callable
from typing import Any, Final

from notify.flows.engine.loop_thread import LoopThread
from notify.flows.protocol import Context, Source, Stage

__all__ = ["CUT_S", "Hooks"]

CUT_S: Final = 1.0
"""How long stages and the event loop get to end after the flow was cut."""
HOOK_S: Final = 30.0
"""The longest time that a hook in the event loop may take."""

log = logging.getLogger(__name__)


class Hooks:
    """Calls the hooks `open` and `close` of sources and stages: each once, though an object may be at several places of the flow.

    Args:
        flow: the name of the flow.
    """

    def __init__(self, flow: str) -> None:
        self._flow = flow
        self._opened: list[Source | Stage] = []
        self.loop: LoopThread | None = None
        """The event loop; ``None`` until it is needed."""

    def running_loop(self) -> LoopThread:
        """Return the event loop; starts it in the first call."""
        if self.loop is None:
            self.loop = LoopThread(f"notify-{self._flow}")
            self.loop.open()
        return self.loop

    def open(self, work: Any, context: Context) -> None:
        """Open a source or stage, if it has hooks and is not open."""
        if isinstance(work, Source | Stage) and not any(work is other for other in self._opened):
            self._opened.append(work)
            self._call(work.open, context)

    def close(self) -> Exception | None:
        """Close what was opened, the last one first, then the event loop. Returns the first error."""
        problem: Exception | None = None
        while self._opened:
            work = self._opened.pop()
            try:
                self._call(work.close)
            except Exception as exc:
                log.exception("%r could not be closed; the flow %r goes on closing", work, self._flow)
                problem = problem or exc
        if self.loop is not None and not self.loop.close(timeout_s=CUT_S):
            log.warning("the event loop of the flow %r does not end: a stage blocks it", self._flow)
        return problem

    def _call(self, hook: Callable[..., Any], *arguments: Any) -> None:
        if inspect.iscoroutinefunction(hook):
            self.running_loop().call(hook, *arguments, timeout_s=HOOK_S)
        else:
            hook(*arguments)
