"""Turns the contents of received events into messages, and skips what cannot be decoded."""

from collections.abc import Sequence
from logging import Logger

import msgspec

from notify.errors import ContentsError, EventError, ServerRefusedError
from notify.events.event import Event, Gap
from notify.events.message import Message, classes_by_topic

__all__ = ["MessageDecoder"]


class MessageDecoder:
    """Makes instances of message classes of the events on their topics. Used by a subscriber and by a listener.

    Args:
        classes: the message classes.
        log: the first event of a topic that cannot be decoded is logged here.
        name: the receiver of the events, as the log calls it.

    Raises:
        ContentsError: a class is not a message class, has no topic, or has the same topic as another class.
    """

    def __init__(self, classes: Sequence[type[Message]], *, log: Logger, name: str) -> None:
        self._classes = classes_by_topic(classes)
        self._log = log
        self._name = name
        self._logged_topics: set[str] = set()
        self.skipped = 0
        """How many events were skipped because they could not be decoded."""

    def decode(self, item: Event | Gap) -> Event | Gap | None:
        """Return the item, the contents of an event as a message if its topic has a class; ``None`` if they do not fit the class."""
        cls = self._classes.get(item.topic)
        if cls is None or isinstance(item, Gap):
            return item
        try:
            return msgspec.structs.replace(item, contents=cls.from_contents(item.contents))
        except ContentsError as exc:
            self.skip(item.topic, exc)
            return None

    def skip(self, topic: str, problem: EventError | ServerRefusedError) -> None:
        """Count an event that cannot be decoded, or a log that cannot be read. The first of a topic is logged."""
        self.skipped += 1
        what = "an event that cannot be decoded" if isinstance(problem, EventError) else "a log that cannot be read"
        if topic not in self._logged_topics:
            self._logged_topics.add(topic)
            self._log.error("%s skips %s (further ones on its topic are not logged): %s", self._name, what, problem)
