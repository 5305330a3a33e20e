"""A flow: starts the runners of all nodes, and stops them in order."""

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from notify.errors import ClosedError
from notify.flows.engine import CUT_S, AsyncParker, Control, Counters, Hooks, SourceRunner, StageRunner, Station, ThreadParker
from notify.flows.wiring import Link, Node, Wiring, has_async
from notify.process import SignalSafeEvent
from notify.values import counted

__all__ = ["Flow"]

CLOSE_S: Final = 10.0
"""How long `Flow.close` waits, by default, until what is in the flow is delivered."""
SOURCE_S: Final = 0.5
"""How long a source that cannot be stopped may wait for its next item before it is given up."""
POLL_S: Final = 0.05

log = logging.getLogger(__name__)


class Flow(Control):
    """Runs sources, stages and sinks until all have ended. Made by `pipeline` and `graph`.

    `run` blocks. `start` and `close`, or a ``with`` block, run it in the background. A flow runs once.

    Args:
        wiring: its nodes and links.
        name: its name in logs and in the names of its threads.
    """

    def __init__(self, wiring: Wiring, *, name: str = "flow") -> None:
        super().__init__()
        self.name = name
        self._wiring = wiring
        self._hooks = Hooks(name)
        self._runners: dict[str, SourceRunner | StageRunner] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._tasks: dict[str, Any] = {}
        self._left: set[str] = set()
        self._given_up: set[str] = set()
        self._over, self._stop_asked = SignalSafeEvent(), SignalSafeEvent()
        self._closing = threading.Lock()
        self._is_started = self._is_closed = False
        self._was_complete = True
        self.unopened: str | None = None
        """The name of the node whose `open` failed in `start`."""

    @property
    def nodes(self) -> dict[str, Node]:
        """The nodes by name, in the order of the flow."""
        return {name: self._wiring.nodes[name] for name in self._wiring.order}

    @property
    def links(self) -> tuple[Link, ...]:
        """The links between the nodes."""
        return self._wiring.links

    def counters(self) -> dict[str, Counters]:
        """Return the counters of each node by name, in the order of the flow; all are 0 before the start."""
        return {name: self._runners[name].counters if name in self._runners else Counters() for name in self._wiring.order}

    def start(self) -> "Flow":
        """Open all nodes, from the sinks to the sources, and start them. Returns the flow.

        Raises:
            ClosedError: the flow has run before.
            Exception: the first error of a hook `open`; what was open is closed again.
        """
        with self._closing:
            if self._is_started or self._is_closed:
                raise ClosedError(f"the flow {self.name!r} was started or closed before: make another one")
            self._is_started = True
        try:
            self._make_runners()
            for name in reversed(self._wiring.order):
                self.unopened = name
                self._hooks.open(self._wiring.nodes[name].work, self._runners[name].station)
            self.unopened = None
            self._start_all()
        except BaseException:
            self._is_closed = True
            self._hooks.close()
            raise
        return self

    def run(self, *, close_s: float = CLOSE_S) -> None:
        """Start the flow and wait until all nodes have ended, or `stop` is called; then close it.

        Args:
            close_s: seconds that `close` gets after a stop.

        Raises:
            ClosedError: the flow has run before.
            Exception: the first error that ended the flow.
        """
        self.start()
        try:
            self._stop_asked.wait()
        finally:
            self.close(timeout_s=close_s)

    def stop(self) -> None:
        """Have the sources end, and everything behind them in order. Returns at once; stages and signal handlers may call it."""
        self.is_stopping = True
        for name in self._wiring.sources:
            runner = self._runners.get(name)
            if isinstance(runner, SourceRunner):
                runner.stop()
        self._stop_asked.set()

    def hold(self) -> None:
        """Have the sources give nothing more until `release`, for example while a service is gone that the flow needs."""
        self.is_held = True

    def release(self) -> None:
        """End a `hold`."""
        self.is_held = False
        for runner in self._runners.values():
            runner.station.parker.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until all nodes have ended: by themselves, after `stop`, or by an error, which `close` raises. Returns whether they have."""
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        return self._stop_asked.wait(timeout_s) and self._wait_for_end(deadline)

    def close(self, *, timeout_s: float = CLOSE_S) -> bool:
        """Stop the sources, deliver what is in the flow, end all nodes in order, and close them.

        A stage of the flow that calls it only asks for the stop.

        Args:
            timeout_s: seconds to wait until everything is delivered; then the flow is cut: what is left is dropped, counted and logged.

        Returns:
            Whether everything was delivered: ``False`` if the flow was cut, and in a stage.

        Raises:
            Exception: the first error that ended the flow, unless an earlier `close` has raised it.
        """
        self.stop()
        if threading.current_thread() in self._threads.values() or (self._hooks.loop is not None and self._hooks.loop.is_here):
            return False
        with self._closing:
            if self._is_closed:
                return self._was_complete
            self._is_closed = True
            if self._is_started:
                self._was_complete = self._end(time.monotonic() + timeout_s)
                at_close = self._hooks.close()
                self.problem = self.problem or at_close
        if self.problem is not None:
            raise self.problem
        return self._was_complete

    def cut(self) -> None:
        """End the flow without what is left in it, which is dropped, counted and logged. A `close` that waits in another thread returns."""
        self.stop()
        if self._is_started and self.unopened is None and not self._over.is_set and not self.is_cut:
            self._cut()

    def ended(self, name: str) -> None:
        with self._lock:
            self._left.discard(name)
            is_last = not self._left
        if is_last:
            self._over.set()
            self._stop_asked.set()  # `run` waits for this one

    def __enter__(self) -> "Flow":
        return self.start()

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        try:
            self.close()
        except BaseException as exc:
            if error is None or exc is error:
                raise
            error.add_note(f"the flow {self.name!r} failed as well: {type(exc).__name__}: {exc}")

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "over" if self._over.is_set else "running" if self._is_started else "not started"
        return f"<Flow {self.name!r}: {', '.join(map(str, self.links))} ({state})>"

    def _make_runners(self) -> None:
        """Make a runner for each node, with a thread of its own or in the event loop, and link them."""
        for name in self._wiring.order:
            self._runners[name] = self._make_runner(name, self._wiring.nodes[name])
        for link in self.links:
            end = self._runners[link.end]
            if isinstance(end, StageRunner):
                self._runners[link.start].outlets.link(link.outlet, end.inputs.inbox_for(link.start))
        self._left = set(self._runners)

    def _start_all(self) -> None:
        """Start all runners, sinks first. If the system has no further thread, those that were started are ended."""
        try:
            for name in reversed(self._wiring.order):
                if name in self._threads:
                    self._threads[name].start()
                else:
                    self._tasks[name] = self._hooks.running_loop().start(self._runners[name].work())
        except BaseException:
            with self._lock:
                self._left -= {name for name, thread in self._threads.items() if thread.ident is None}
            self._cut()
            raise

    def _make_runner(self, name: str, node: Node) -> SourceRunner | StageRunner:
        is_source = name in self._wiring.sources
        is_async = has_async(node, is_source=is_source)
        parker = AsyncParker(self._hooks.running_loop().loop) if is_async else ThreadParker()
        station = Station(name, node, self, parker, self._wiring.uses(node.work))
        runner: SourceRunner | StageRunner
        if is_source:
            copies = self._wiring.copies(name)
            runner = SourceRunner(station, copies=copies, ends=self._wiring.ends(copies))
        else:
            links = Counter(link.start for link in self.links if link.end == name)
            runner = StageRunner(station, links=links, is_async=is_async)
        if not is_async:
            # A daemon thread: a stage that does not end in time must not keep the process from ending.
            thread = threading.Thread(target=_drive, args=(runner.work,), name=f"notify-{self.name}-{name}", daemon=True)
            self._threads[name] = thread
        return runner

    def _end(self, deadline: float) -> bool:
        """Wait until all nodes have ended; after the deadline cut the flow. Returns whether everything was delivered."""
        if not self._wait_for_end(deadline):
            self.cut()
        was_complete = not self.is_cut
        for name, thread in self._threads.items():
            if name not in self._given_up:
                thread.join(CUT_S)
        return was_complete

    def _wait_for_end(self, deadline: float) -> bool:
        """Wait, after a stop, until all nodes have ended. Returns whether they have at the deadline."""
        self._over.wait(min(SOURCE_S, max(0.0, deadline - time.monotonic())))
        while not self._over.is_set and not self.is_cut and time.monotonic() < deadline:
            self._give_up_sources()
            self._over.wait(max(0.0, min(POLL_S, deadline - time.monotonic())))
        return self._over.is_set

    def _give_up_sources(self) -> None:
        """Do not wait any longer for sources that cannot be stopped and have no item."""
        for name in self._wiring.sources:
            runner = self._runners[name]
            if isinstance(runner, SourceRunner) and runner.give_up():
                log.info("the source %r of the flow %r waits for an item, and is given up", name, self.name)
                self._given_up.add(name)
                self._cancel([name])

    def _cut(self) -> None:
        """End all nodes without what is left in the flow."""
        self.is_cut = True
        with self._lock:
            left = sorted(self._left)
        for runner in self._runners.values():
            runner.station.parker.set()
        self._cancel(self._tasks)
        self._over.wait(CUT_S)
        for runner in self._runners.values():
            if isinstance(runner, StageRunner):
                runner.drop_queued()
        dropped = sum(runner.station.dropped for runner in self._runners.values())
        log.warning("the flow %r was cut: %s did not end in time; %s dropped in all", self.name, ", ".join(left), counted(dropped, "item"))

    def _cancel(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._tasks:
                self._tasks[name].cancel()


def _drive(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run the coroutine of a node in this thread. It never suspends: where it waits, its parker blocks the thread."""
    try:
        work().send(None)
    except StopIteration:
        return
