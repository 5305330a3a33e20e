"""How stages, sources and sinks of a flow are written: base classes with a hook for each moment of their life.

Plain callables and iterables need none of them. A class derives from `Stage` to have several outlets, a clock, or items in hand; from
`Source` to be stopped at once, or to remember how far its items were taken.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, runtime_checkable

import msgspec

from notify.events import Gap
from notify.flows.items import OUT, Mark
from notify.flows.policy import Policy

__all__ = ["Context", "Sink", "Source", "Stage", "TakesMany", "TakesNow", "Uses"]


class Uses(msgspec.Struct, frozen=True):
    """How a flow uses an object, which may be at two places of it.

    Args:
        is_source: whether it is a source.
        is_stage: whether it is a stage or a sink.
        has_errors: whether the outlet ``error`` of the source is linked: what it cannot use may go there.
    """

    is_source: bool = False
    is_stage: bool = False
    has_errors: bool = False


class Context(Protocol):
    """What `open` hands to a stage or source: its place in the flow."""

    @property
    def name(self) -> str:
        """The name of the stage in its flow."""

    @property
    def uses(self) -> Uses:
        """How the flow uses the object."""

    @property
    def policy(self) -> Policy:
        """What is done when the stage raises."""

    @property
    def is_cut(self) -> bool:
        """Whether the time to deliver what is in the flow is over: a stage that waits gives up."""

    def sleep(self, delay_s: float) -> bool:
        """Sleep in the thread of the stage; ends early when the flow is cut. Returns ``False`` then."""

    def wake(self) -> None:
        """Have `Stage.tick` called soon. May be called from any thread."""

    @property
    def offer(self) -> Callable[[Any], bool]:
        """Called in the event loop by an async source that waits for its next item: hands the item on at once.

        It returns ``False`` if the flow cannot take it now, or the object is no source; then the iterator has to yield the item.
        """


class Stage:
    """The base class of stages with a state. The flow calls all hooks in one thread, in order, except `open` and `close`.

    ::

        class Split(Stage):
            outlets = ("even", "odd")

            def take(self, item):
                return To("odd" if item % 2 else "even", item)

    `take` may be ``async def``: then the stage runs in the event loop of the flow, as do `open` and `close` if they are ``async def``.
    What a hook returns is handed on: ``None`` is nothing, a list, an iterator or an `Items` is several items, `To` is an item for one
    outlet, `DROPPED` an item that was dropped by a policy, `Failed` one that goes the way of errors; anything else is one item.
    """

    outlets: tuple[str, ...] = (OUT,)
    """The outlets, each of which has to be linked; ``error``, which every stage has, is not among them."""

    def open(self, context: Context) -> object:
        """Prepare; called before any item comes, in the thread that starts the flow. An error here is raised by `Flow.start`."""

    def take(self, item: Any) -> Any:
        """Take one item and return the results."""
        raise NotImplementedError(f"{type(self).__name__} has no method take")

    def take_gap(self, gap: Gap) -> Any:
        """Take a `Gap`, which comes in the place of the lost events; by default it is handed on."""
        return gap

    def mark(self, mark: Mark) -> Any:
        """Hand on a mark, by default at once. A stage that holds items back returns the mark later, behind them."""
        return mark

    def due_at(self) -> float | None:
        """Return the time, by ``time.monotonic``, at which to call `tick`; ``None`` for no time."""
        return None

    def tick(self) -> Any:
        """Return results that come without an item; called at the time of `due_at`, and after `Context.wake`."""

    def end(self) -> Any:
        """Return the last results; called once, when no item can come any more."""

    def held(self) -> int:
        """Return how many items the stage holds back; they are counted as dropped if the flow fails or is cut."""
        return 0

    def close(self) -> object:
        """Clean up; called once, after all stages have ended, also if the flow failed."""


class Sink(Stage):
    """The base class of sinks: stages that hand on nothing."""

    outlets: tuple[str, ...] = ()


class TakesMany(Stage):
    """The base class of stages that take several items at once, as many as wait: for one write or round trip instead of many."""

    max_batch: ClassVar[int] = 200
    """The most items of one call."""

    def take_many(self, items: list[Any]) -> Any:
        """Take items and return the results. May be ``async def``. An error stands for all of the items; a `Failed` for one."""
        raise NotImplementedError(f"{type(self).__name__} has no method take_many")


@runtime_checkable
class TakesNow(Protocol):
    """A stage in the event loop that can take a single item at once, in place of `TakesMany.take_many`, which is slower to begin."""

    def take_now(self, item: Any) -> bool:
        """Take one item that has come while the stage was waiting, and hand on nothing. Returns ``False`` if it did nothing."""


class Source:
    """The base class of sources with hooks. A subclass has ``__iter__``, which runs in a thread of its own, or ``__aiter__``.

    The iterator yields items; ``None`` to let the flow look whether it is stopped; `Items` for several; a `Mark` to say how far it is.
    """

    def open(self, context: Context) -> object:
        """Prepare; called before the iterator is made, after `open` of all stages behind it. May be ``async def``."""

    def stop(self) -> None:
        """End the iterator soon. May be called from any thread, and again. If it is overridden, the flow reads the iterator to its end."""

    def commit(self, position: Any) -> None:
        """Note the position of a mark: everything before it was taken at all ends. Called from the thread of a sink; must not block."""

    def close(self) -> object:
        """Clean up; called once, after all stages have ended. May be ``async def``."""
