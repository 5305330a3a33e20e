"""`publish_to`: a sink, or a stage, that publishes items on a topic in batches."""

from typing import Any, TypeAlias

from notify.errors import ContentsError, EventError, WiringError
from notify.events import BATCH, BATCH_BYTES, BatchSender, Event, EventBus, EventScripts, Item, Message, check_topic, contents_of, item_of
from notify.flows.items import DROPPED, OUT, Failed
from notify.flows.protocol import Context, TakesMany
from notify.flows.topics.pace import Pace
from notify.process import NO_TRACE
from notify.service import Backplane

__all__ = ["publish_to"]

Target: TypeAlias = EventBus | Backplane
"""Where flows publish and subscribe: a bus, with topics, or a backplane, which is its own topic."""


def publish_to(target: Target, topic: str | None = None, *, forward: bool = False, waits_for: str | None = None) -> TakesMany:
    """Return a sink that publishes each item. Events are published in batches, each once, also when answers of the server are lost.

    While the server is unreachable the sink waits, and what is before it waits too. An item that cannot be published, for example because
    it is no JSON value, goes the way of errors.

    Args:
        target: a bus, or a backplane in place of bus and topic.
        topic: the topic; without one each `Event` is published on its own topic, and each `Message` on that of its class.
        forward: whether items are also handed on, after they are published: then it is a stage.
        waits_for: the name of a position, as `subscribe_to` stores it. The sink waits while the flow with that position is behind by more
            than half of what the log of a topic keeps, or has not begun: then that flow gets every event, however slow it is.

    Raises:
        InvalidTopicError: the topic cannot be published on.
        WiringError: the name of the position is empty.
    """
    if waits_for is not None and (not isinstance(waits_for, str) or not waits_for):
        raise WiringError(f"the name of a position is {waits_for!r}: give a text")
    if isinstance(target, Backplane):
        return PublishTo(target.bus, target.topic if topic is None else check_topic(topic), forward, waits_for)
    return PublishTo(target, None if topic is None else check_topic(topic), forward, waits_for)


class PublishTo(TakesMany):
    """The stage that `publish_to` returns, which has the description."""

    max_batch = BATCH

    def __init__(self, bus: EventBus, topic: str | None, forward: bool, waits_for: str | None) -> None:
        self.outlets = (OUT,) if forward else ()
        self._waits_for = waits_for
        self._pace: Pace | None = None
        self._at_once = BATCH
        self._bus, self._topic, self._forward = bus, topic, forward
        self._limit = bus.settings.max_payload_bytes

    def open(self, context: Context) -> None:
        self._client = self._bus.redis.clone(name="publisher")
        name = f"the sink {context.name!r}"
        self._sender = BatchSender(EventScripts(self._client), name=name, wait=lambda s: not context.sleep(s))
        if self._waits_for is not None:
            self._pace = Pace(self._client, self._waits_for, name=name, wait=lambda s: not context.sleep(s))
            self._at_once = self._pace.batch

    def take_many(self, items: list[Any]) -> list[Any]:
        results: list[Any] = list(items)
        batch: list[tuple[int, Item]] = []
        size = 0
        for number, item in enumerate(items):
            try:
                entry = self._encoded(item)
            except EventError as exc:
                results[number] = Failed(item, exc)
                continue
            batch.append((number, entry))
            size += len(entry.body)
            if size >= BATCH_BYTES or len(batch) >= self._at_once:
                self._send(batch, results)
                batch, size = [], 0
        self._send(batch, results)
        return results if self._forward else [result for result in results if result is DROPPED or _is_refused(result)]

    def close(self) -> None:
        self._client.close()

    def _encoded(self, item: Any) -> Item:
        topic, time, trace = self._topic, None, NO_TRACE
        if isinstance(item, Event):
            topic, time, trace, item = topic or item.topic, item.time, item.trace, item.contents
        elif isinstance(item, Message):
            topic = topic or item.topic
        if topic is None:
            raise ContentsError(f"a {type(item).__name__} names no topic: give publish_to a topic")
        contents = item if isinstance(item, Message) else contents_of(topic, item)
        event = Event(topic=check_topic(topic), contents=contents, source=self._bus.name)
        if time is not None:
            source, (traceparent, tracestate) = self._bus.name, trace
            event = Event(topic=topic, contents=contents, source=source, time=time, traceparent=traceparent, tracestate=tracestate)
        return item_of(event, max_bytes=self._limit)

    def _send(self, batch: list[tuple[int, Item]], results: list[Any]) -> None:
        """Publish a batch, and write into the results what became of those events that were not published."""
        if not batch:
            return
        entries = [entry for _, entry in batch]
        if self._pace is not None:
            self._pace.before(entries)
        refused = {id(entry): problem for entry, problem in self._sender.send(entries)}
        for number, entry in batch:
            if id(entry) in refused:
                problem = ContentsError(f"the server refused an event on {entry.topic!r}: {refused[id(entry)]}")
                results[number] = Failed(results[number], problem)
        for number, _ in batch[len(batch) - self._sender.unsent :]:
            results[number] = DROPPED  # the flow was cut while the server was away


def _is_refused(result: Any) -> bool:
    return isinstance(result, Failed) and not result.stage
