"""The place of a node in a running flow: where it waits, what it counts, and what it knows of the flow."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from notify.errors import WiringError
from notify.flows.engine.inbox import Parker, ThreadParker
from notify.flows.policy import Policy
from notify.flows.protocol import Uses
from notify.flows.wiring import Node
from notify.values import counted

__all__ = ["Control", "Counters", "CutShort", "Station", "short"]

LONG_READ_S: Final = 0.001
"""A source that gives its next item within this time is counted as busy: to ask for the time of the processor would cost more."""
LOG_EVERY_S: Final = 1.0
"""Skipped items are logged once in this time: a stage that raises for each item must not fill the log."""

log = logging.getLogger(__name__)


class CutShort(BaseException):
    """Ends the loop of a node when the flow is cut. It is no error: nothing catches it but that loop."""


class Counters(msgspec.Struct, frozen=True):
    """What a node has done so far.

    Args:
        taken: items that came in.
        out: items that it handed on, those of the outlet ``error`` not among them.
        errors: items for which it raised, after the last attempt.
        dropped: items that were dropped by a policy, because the flow failed, or because it was cut.
        queued: items that wait in front of it.
        busy_ms: milliseconds in which it did not wait for items or for room. Of a source that blocks in its thread they are those in
            which it used the processor.
    """

    taken: int = 0
    out: int = 0
    errors: int = 0
    dropped: int = 0
    queued: int = 0
    busy_ms: int = 0


class Control:
    """What the nodes of a flow know of it: whether it stops, is held, or is cut, and its first error."""

    def __init__(self) -> None:
        self.is_stopping = False
        self.is_held = False
        self.is_cut = False
        self.problem: BaseException | None = None
        self._lock = threading.Lock()

    def fail(self, problem: BaseException) -> None:
        """Record an error, which ends the flow."""
        with self._lock:
            self.problem = self.problem or problem
        self.stop()

    def stop(self) -> None:
        """Have the sources end."""
        raise NotImplementedError

    def ended(self, name: str) -> None:
        """Record the end of a node."""
        raise NotImplementedError


class Station:
    """The place of one node; it is the context that the node gets.

    Args:
        name: the name of the node.
        node: the node.
        control: the state of the flow.
        parker: where the node waits.
        uses: how the flow uses the object of the node.
    """

    def __init__(self, name: str, node: Node, control: Control, parker: Parker, uses: Uses) -> None:
        self.name = name
        self.node = node
        self.policy: Policy = node.policy
        self.control = control
        self.parker = parker
        self.uses = uses
        self.is_woken = False
        self.offer: Callable[[Any], bool] = lambda _: False
        self.taken = self.out = self.errors = self.dropped = 0
        self._waited_s = self._waits_since = 0.0
        self._cpu_s = self._cpu_seen_at = 0.0
        self._started_at = self._ended_at = 0.0
        self._logged_at, self._unlogged = 0.0, 0

    @property
    def is_cut(self) -> bool:
        """Whether the flow is cut: nothing is delivered any more."""
        return self.control.is_cut

    def begin(self) -> None:
        """Record the start of the node, in its thread."""
        self._started_at = self._cpu_seen_at = time.monotonic()
        self._cpu_s = time.thread_time()

    def end(self) -> None:
        """Record the end of the node."""
        self._ended_at = time.monotonic()
        self.control.ended(self.name)

    def counters(self, queued: int) -> Counters:
        """Return the counters; ``queued`` is the number of items that wait."""
        end = self._ended_at or time.monotonic()
        waited_s, since = self._waited_s, self._waits_since
        waited_s += max(0.0, end - since) if since else 0.0
        busy_s = max(0.0, end - self._started_at - waited_s) if self._started_at else 0.0
        return Counters(self.taken, self.out, self.errors, self.dropped, queued, round(busy_s * 1000))

    def sleep(self, delay_s: float) -> bool:
        """Wait in the thread of the stage, but not longer than the flow has time. Returns false if the flow is cut.

        Raises:
            WiringError: the stage runs in the event loop.
        """
        if not isinstance(self.parker, ThreadParker):
            raise WiringError(f"the stage {self.name!r} runs in the event loop, which must not sleep: await asyncio.sleep")
        deadline = time.monotonic() + delay_s
        while not self.is_cut and (left_s := deadline - time.monotonic()) > 0:
            self.parker.block(left_s)
        self._waited_s += delay_s
        return not self.is_cut

    def wake(self) -> None:
        """End the present wait of the stage, or the next one."""
        if not self.is_woken:
            self.is_woken = True
            self.parker.set()

    async def pause(self, delay_s: float) -> None:
        """Wait, but not longer than the flow has time."""
        deadline = time.monotonic() + delay_s
        while (left_s := deadline - time.monotonic()) > 0:
            await self.park(left_s)

    async def park(self, timeout_s: float | None) -> None:
        """Wait at the parker, and count the time as waited; raise `CutShort` if the flow is cut."""
        before = self.waits()
        if not self.is_cut:
            await self.parker.wait(timeout_s)
        self.waited(since=before)

    def waits(self) -> float:
        """Record that the node waits from now on. Returns the time for `waited`, `idled` or `read`."""
        self._waits_since = now = time.monotonic()
        return now

    def waited(self, *, since: float) -> None:
        """Count the time since then as waited; raise `CutShort` if the flow is cut."""
        self.idled(since=since)
        if self.is_cut:
            raise CutShort

    def worked(self, *, since: float) -> None:
        """Count the time since then, within a wait, as busy."""
        self._waited_s -= time.monotonic() - since

    def idled(self, *, since: float) -> None:
        """Count the time since then as waited."""
        self._waits_since = 0.0
        self._waited_s += time.monotonic() - since

    def read(self, *, since: float) -> None:
        """Count the time since then, in which a thread read its source, as waited; if it was long, without the time of the processor."""
        self._waits_since = 0.0
        now = time.monotonic()
        if now - since < LONG_READ_S:
            return
        cpu_s = time.thread_time()
        # Before the read the thread can have used the processor all the time, and that is counted as busy already.
        worked_s = max(0.0, cpu_s - self._cpu_s - (since - self._cpu_seen_at))
        self._waited_s += max(0.0, now - since - worked_s)
        self._cpu_s, self._cpu_seen_at = cpu_s, now

    def skip(self, item: Any, error: Exception) -> None:
        """Count an item as dropped, and log it, unless another one was logged just now."""
        self.dropped += 1
        self._unlogged += 1
        now = time.monotonic()
        if not self._logged_at or now - self._logged_at >= LOG_EVERY_S:
            skipped = counted(self._unlogged, "item")
            log.warning("%r skipped %s; the last was %s: %s: %s", self.name, skipped, short(item), type(error).__name__, error)
            self._logged_at, self._unlogged = now, 0


def short(item: Any) -> str:
    """Return the repr of an item for a message, cut after 80 letters."""
    text = repr(item)
    return text if len(text) <= 80 else f"{text[:80]}…"
