"""The look-up: calls a function that may block, in several threads, and hands the results on in the order of the items."""

import queue
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Final

from notify.errors import ContentsError, WiringError
from notify.events import Gap
from notify.flows.filters.text import contents
from notify.flows.items import Failed, Items, Mark
from notify.flows.protocol import Context, Stage
from notify.settings import MAX_LIFETIME_S, positive

__all__ = ["lookup"]

MAX_CACHED: Final = 10_000
"""The most results that are remembered; the oldest is forgotten first."""
LOOK_S: Final = 0.05
"""How often a wait for a result looks whether the flow is cut."""


def lookup(
    fn: Callable[[Any], Any], *, cache_s: float | None = None, threads: int = 4, key: Callable[[Any], Hashable] | None = None
) -> Stage:
    """Return a stage that calls a function with each item, for example to look something up in a database.

    Args:
        fn: takes an item and returns the one to hand on, or ``None``. It is called in several threads at once.
        cache_s: seconds for which a result is used again for items with the same key; by default each item is looked up.
        threads: how many calls may run at once. The results keep the order of the items.
        key: returns the key of an item; by default the item, of an event its contents.

    Raises:
        WiringError: ``threads`` is not a whole number above 0.
        SettingsError: ``cache_s`` is not above 0.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise WiringError(f"a look-up has {threads!r} threads: give a whole number above 0")
    if cache_s is not None:
        positive(cache_s, "cache_s", at_most=MAX_LIFETIME_S)
    return Lookup(fn, cache_s, threads, key or contents)


class Answer:
    """The result of one call, which comes later."""

    def __init__(self, item: Any) -> None:
        self.item = item
        self.result: Any = None
        self.error: Exception | None = None
        self.done_at = 0.0
        self._done = threading.Event()

    @property
    def is_done(self) -> bool:
        """Whether the call has ended."""
        return self._done.is_set()

    def finish(self) -> None:
        """Record the end of the call."""
        self.done_at = time.monotonic()
        self._done.set()

    def wait(self, context: Context) -> bool:
        """Wait for the end of the call. Returns ``False`` if the flow was cut first."""
        while not self._done.wait(LOOK_S):
            if context.is_cut:
                return False
        return True


class Lookup(Stage):
    """The stage that `lookup` returns, which has the description."""

    def __init__(self, fn: Callable[[Any], Any], cache_s: float | None, threads: int, key: Callable[[Any], Hashable]) -> None:
        self._fn, self._cache_s, self._count, self._key = fn, cache_s, threads, key
        self._asked: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        self._pending: deque[tuple[Any, Answer] | Gap | Mark] = deque()
        self._cache: OrderedDict[Hashable, Answer] = OrderedDict()
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()

    def open(self, context: Context) -> None:
        self._context = context
        self._threads, self._closing = [], threading.Event()
        for number in range(self._count):
            # A daemon thread: a look-up that never returns must not keep the process from ending.
            thread = threading.Thread(target=self._answer_all, name=f"notify-{context.name}-{number + 1}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def take(self, item: Any) -> Items:
        self._pending.append((item, self._ask(item)))
        while len(self._pending) > 2 * self._count and isinstance(head := self._pending[0], tuple):
            if not head[1].wait(self._context):
                break
            return self._ready()
        return self._ready()

    def take_gap(self, gap: Gap) -> Any:
        return self._behind(gap)

    def mark(self, mark: Mark) -> Any:
        return self._behind(mark)

    def tick(self) -> Items:
        return self._ready()

    def held(self) -> int:
        return sum(isinstance(entry, tuple) for entry in self._pending)

    def end(self) -> Iterator[Any]:
        while self._pending:
            head = self._pending[0]
            if isinstance(head, tuple) and not head[1].wait(self._context):
                return
            yield from self._ready().items

    def close(self) -> None:
        self._closing.set()
        for _ in self._threads:
            self._asked.put(None)
        for thread in self._threads:
            thread.join(0.0 if self._context.is_cut else 1.0)

    def _behind(self, item: Gap | Mark) -> Any:
        """Hand on a gap or a mark behind the items that are looked up at the moment."""
        self._pending.append(item)
        return self._ready()

    def _ready(self) -> Items:
        """Return the results at the head that are there."""
        results: list[Any] = []
        while self._pending:
            head = self._pending[0]
            if isinstance(head, tuple):
                item, answer = head
                if not answer.is_done:
                    break
                results.append(answer.result if answer.error is None else Failed(item, answer.error))
            else:
                results.append(head)
            self._pending.popleft()
        return Items(results)

    def _ask(self, item: Any) -> Answer:
        """Have an item looked up, or return an answer that holds for it as well."""
        if self._cache_s is None:
            answer = Answer(item)
        else:
            key = self._key(item)
            if not isinstance(key, Hashable):
                raise ContentsError(f"a {type(key).__name__} cannot be the key of a look-up: give key=, a function that returns text")
            known = self._cache.get(key)
            is_fresh = known is not None and (not known.is_done or time.monotonic() - known.done_at < self._cache_s)
            if known is not None and is_fresh and known.error is None:
                return known
            answer = self._cache[key] = Answer(item)
            self._cache.move_to_end(key)
            if len(self._cache) > MAX_CACHED:
                self._cache.popitem(last=False)
        self._asked.put(answer)
        return answer

    def _answer_all(self) -> None:
        while (answer := self._asked.get()) is not None:
            if not self._closing.is_set():
                self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        """Make one call, again if it raises and the policy of the stage says so."""
        pauses = self._context.policy.pauses()
        while True:
            try:
                answer.result, answer.error = self._fn(answer.item), None
                break
            except Exception as exc:
                answer.error = exc
            pause_s = next(pauses, None)
            if pause_s is None or self._closing.wait(pause_s):
                break
        answer.finish()
        self._context.wake()
