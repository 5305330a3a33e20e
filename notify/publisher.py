"""Publishing events."""

from typing import Final

from notify.errors import ContentsError, SettingsError
from notify.event import Event, Failure, encode
from notify.scripts import Scripts
from notify.settings import MAX_LIFETIME_S
from notify.strict_json import Json
from notify.topic import check_topic

__all__ = ["FOR_EVER", "Publisher", "publish"]

FOR_EVER: Final = -1.0
"""A lifetime that does not end."""


def publish(scripts: Scripts, event: Event, *, retain_s: float | None = None) -> str:
    """Publish one event: into the log of its topic, to who listens, and as retained value if asked; one round trip.

    Args:
        scripts: the atomic steps of the server to publish on.
        event: what happened.
        retain_s: for how many seconds a new subscriber still gets it at once; ``-1`` for ever, ``0`` drops what is
            retained, ``None`` leaves that alone.

    Returns:
        The event's id.

    Raises:
        InvalidTopicError, ContentsError, PayloadTooLargeError, SettingsError: nothing was sent.
        ServerUnreachableError: no answer; it may have been published.
    """
    check_topic(event.topic)
    body = encode(event, max_bytes=scripts.client.settings.max_payload_bytes)
    return scripts.publish(event.topic, body, retain_ms=_retain_ms(retain_s))


class Publisher:
    """Publishes on one topic: what `Bus.register_publisher` returns. Call it with an `Event`, with contents or with an error."""

    def __init__(self, scripts: Scripts, topic: str, *, source: str) -> None:
        self.topic = check_topic(topic)
        self._scripts = scripts
        self._source = source

    def __call__(self, event: Event | Json | Failure | BaseException, *, retain_s: float | None = None) -> str:
        """Publish and return the event's id; arguments and errors as for `publish`.

        Raises:
            ContentsError: the event is about another topic.
        """
        if isinstance(event, BaseException):
            event = Failure.of(event)
        if not isinstance(event, Event):
            event = Event(topic=self.topic, contents=event, source=self._source)
        elif event.topic != self.topic:
            raise ContentsError(f"an event on {event.topic!r} was given to the publisher of {self.topic!r}")
        return publish(self._scripts, event, retain_s=retain_s)

    def __repr__(self) -> str:
        return f"<Publisher of {self.topic!r}>"


def _retain_ms(retain_s: float | None) -> int | None:
    if retain_s is None or retain_s == FOR_EVER:
        return None if retain_s is None else -1
    if isinstance(retain_s, bool) or not isinstance(retain_s, int | float) or not 0 <= retain_s <= MAX_LIFETIME_S:
        raise SettingsError(
            f"retain_s is {retain_s!r}: give at most {MAX_LIFETIME_S:g} seconds, 0 to drop what is retained, or -1 for ever"
        )
    return 0 if retain_s == 0 else max(1, round(retain_s * 1000))
