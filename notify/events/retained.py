"""Deletes retained events before their lifetime is over, so that later subscribers do not receive them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from notify.errors import ContentsError
from notify.events.event import Event, decode
from notify.events.scripts import EventScripts
from notify.events.topic import Glob, check_topics, is_pattern
from notify.values import in_batches

__all__ = ["expire_retained", "matching_topics"]

PAGE: Final = 200
"""Topics whose retained events are read at once."""
DELETED_BYTES: Final = 1024 * 1024
"""The events that one script compares and deletes end with the one that reaches this size."""


def matching_topics(scripts: EventScripts, names: Sequence[object]) -> list[str]:
    """Return the topics in ``names`` and the known topics that match a pattern in ``names``, sorted.

    Raises:
        EmptySubscriptionError, InvalidTopicError: there is no name, or one is not valid.
    """
    checked = check_topics(names)
    globs = [Glob(name) for name in checked if is_pattern(name)]
    known = scripts.topics() if globs else []
    return sorted({name for name in checked if not is_pattern(name)} | {topic for topic in known if any(g.matches(topic) for g in globs)})


def expire_retained(scripts: EventScripts, topics: Sequence[str], *, where: Callable[[Event], bool] | None = None) -> list[str]:
    """Delete the retained events of topics. The events in the logs stay, and an event that is retained meanwhile stays retained.

    Args:
        scripts: the event scripts of the server.
        topics: the topics.
        where: returns whether a retained event is to be deleted; by default every one is.

    Returns:
        The topics whose retained event was deleted.
    """
    deleted = []
    for start in range(0, len(topics), PAGE):
        page = topics[start : start + PAGE]
        for some in in_batches(
            _found(page, scripts.retained(page), where), lambda found: len(found[1]), most=PAGE, max_bytes=DELETED_BYTES
        ):
            deleted += scripts.delete_retained(dict(some))
    return deleted


def _found(topics: Sequence[str], bodies: Sequence[bytes | None], where: Callable[[Event], bool] | None) -> Iterator[tuple[str, bytes]]:
    """Yield topic and JSON of each retained event that is to be deleted."""
    for topic, body in zip(topics, bodies, strict=True):
        if body is None:
            continue
        with suppress(ContentsError):  # what cannot be decoded is not the event of any service
            if where is None or where(decode(topic, body)[0]):
                yield topic, body
