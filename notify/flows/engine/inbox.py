"""The bounded queue in front of a stage, and how a stage waits for items and for room.

One thread or task takes from an inbox, and one puts into it. Putting and taking use the atomic operations of a deque and no lock: a
waiting side says so in a flag *before* it looks once more, and the other side looks at the flag *after* its own step, so one of the two
always sees the other.
"""

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

__all__ = ["AsyncParker", "Inbox", "Inputs", "Parker", "ThreadParker"]


SHORT: Final = 16
"""In a queue that is no longer than this, each free place is used at once."""


QUIET_S: Final = 0.001
"""Items that come faster are taken several at once, which costs less for each. Before a single one every microsecond counts."""
TURN: Final = 64
"""So many items of one node are taken before those of the next one."""


class Parker(Protocol):
    """Where a stage waits. `set` may be called from any thread; a wait may end without cause, so each waiter looks again."""

    def set(self) -> None:
        """End the present wait, or the next one."""

    async def wait(self, timeout_s: float | None) -> None:
        """Wait until `set` is called, at most ``timeout_s`` seconds."""


class ThreadParker(Parker):
    """Where a stage waits that has a thread of its own. The coroutine of such a stage never suspends: its thread blocks."""

    def __init__(self) -> None:
        self._tokens: queue.SimpleQueue[None] = queue.SimpleQueue()  # its `put` may be called in a signal handler

    def set(self) -> None:
        self._tokens.put(None)

    async def wait(self, timeout_s: float | None) -> None:
        self.block(timeout_s)

    def block(self, timeout_s: float | None) -> None:
        """Wait as `wait` does, in code that is no coroutine."""
        try:
            self._tokens.get(timeout=timeout_s)
        except queue.Empty:
            return


class AsyncParker(Parker):
    """Where a stage waits that is a task of the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._event = asyncio.Event()
        self._thread: int | None = None
        self._set_at = 0.0
        self.instead: Callable[[], bool] | None = None
        """Called in the loop when another thread calls `set` after a quiet moment; if it has done what the waiter would do, it returns
        ``True``, and that waits on."""

    def set(self) -> None:
        if threading.get_ident() == self._thread:
            self._event.set()
            return
        before, self._set_at = self._set_at, time.monotonic()
        is_busy = self._set_at - before < QUIET_S
        try:
            self._loop.call_soon_threadsafe(self._event.set if is_busy else self._wake)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more
        if not is_busy:
            time.sleep(0)  # the loop needs the interpreter, which this thread would hold a while longer

    def _wake(self) -> None:
        if self.instead is None or not self.instead():
            self._event.set()

    async def wait(self, timeout_s: float | None) -> None:
        self._thread = threading.get_ident()
        if timeout_s is None:
            await self._event.wait()
        else:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._event.wait()
            except TimeoutError:
                return
        self._event.clear()


class Inbox:
    """A bounded queue of items.

    Args:
        max_items: how many items may wait; those that were put in one step may exceed it by one.
        parker: where the stage that takes the items waits.
        inputs: by how many links the node before puts items into it.
    """

    __slots__ = ("_lock", "blocked", "inputs", "is_waiting", "items", "low", "max_items", "parker")

    def __init__(self, max_items: int, parker: Parker, inputs: int) -> None:
        self.items: deque[Any] = deque()
        self.max_items = max_items
        self.low = max_items // 2 if max_items > SHORT else max_items - 1
        """Those that wait for room go on at this length: to wake them for each item of a long queue would cost more than the item."""
        self.parker = parker
        self.inputs = inputs
        self.is_waiting = False
        self.blocked: deque[Parker] = deque()
        self._lock = threading.Lock()

    def put(self, item: Any) -> bool:
        """Add an item. Returns whether the inbox is full now: then the putter waits for room before it goes on."""
        self.items.append(item)
        if self.is_waiting:
            self.is_waiting = False
            self.parker.set()
        return len(self.items) >= self.max_items

    def unblock(self) -> None:
        """Wake all that wait for room."""
        while self.blocked:
            self.blocked.popleft().set()

    def end_input(self) -> None:
        """Record the end of one input."""
        with self._lock:
            self.inputs -= 1
        self.parker.set()

    async def room(self, parker: Parker) -> None:
        """Wait, as a putter, until the inbox is not full any more, or something else sets ``parker``."""
        self.blocked.append(parker)
        if len(self.items) >= self.max_items:
            await parker.wait(None)


class Inputs:
    """The inboxes of a stage: one for each node that is linked to it, from which it takes in turn.

    A busy node does not keep the items of another one from coming through. The items of one node keep their order, by whatever outlets
    they come.

    Args:
        links: the name of each node before → the number of its links to the stage.
        max_items: how many items may wait in all; each node has its share of it, at least one item.
        parker: where the stage waits.
    """

    def __init__(self, links: Mapping[str, int], max_items: int, parker: Parker) -> None:
        share = max(1, max_items // len(links))
        self._by_node = {name: Inbox(share, parker, count) for name, count in links.items()}
        self._inboxes = list(self._by_node.values())
        self.front = self._inboxes[0] if len(links) == 1 else Inbox(max_items, parker, 0)
        """The inbox that the stage takes from: that of the one node before it, or the one that `gather` fills."""
        self._turn = min(TURN, share)

    def inbox_for(self, name: str) -> Inbox:
        """Return the inbox that a node puts its items into."""
        return self._by_node[name]

    def __len__(self) -> int:
        return sum(len(inbox.items) for inbox in self._inboxes) + (0 if self.front in self._inboxes else len(self.front.items))

    @property
    def are_over(self) -> bool:
        """Whether all nodes before have ended; items may be left."""
        return not any(inbox.inputs for inbox in self._inboxes)

    def waits(self, is_waiting: bool) -> None:
        """Say that the stage waits for items, or does not any more."""
        for inbox in self._inboxes:
            inbox.is_waiting = is_waiting

    def gather(self) -> bool:
        """Move some items of each node to the front. Returns whether there were any; with one node there is nothing to move."""
        if len(self._inboxes) == 1:
            return False
        for inbox in self._inboxes:
            for _ in range(min(self._turn, len(inbox.items))):
                self.front.items.append(inbox.items.popleft())
            if inbox.blocked and len(inbox.items) <= inbox.low:
                inbox.unblock()
        return bool(self.front.items)

    def take_rest(self) -> Iterator[Any]:
        """Take all items out that are left, and wake those that wait for room."""
        for inbox in {id(inbox): inbox for inbox in (self.front, *self._inboxes)}.values():
            while inbox.items:
                try:
                    item = inbox.items.popleft()
                except IndexError:
                    break  # the flow and the thread of the stage both do this when the flow is cut
                yield item
            inbox.unblock()
