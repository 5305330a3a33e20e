"""Names of topics, and the glob patterns that match them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from notify.errors import EmptySubscriptionError, InvalidTopicError, SubscriptionError, TopicTypeError

__all__ = ["MAX_TOPIC_BYTES", "Glob", "check_each", "check_topic", "check_topic_or_pattern", "check_topics", "flat_topics", "is_pattern"]

MAX_TOPIC_BYTES: Final = 512


def check_topic(topic: object) -> str:
    """Return the topic if events can be published on it.

    Raises:
        TopicTypeError: the topic is not text.
        InvalidTopicError: the topic is empty, longer than 512 bytes, or a pattern.
    """
    name = check_topic_or_pattern(topic)
    if is_pattern(name):
        raise InvalidTopicError(f"{name!r} is a pattern (it contains '*', '?' or '['): give one topic to publish on")
    return name


def check_each(topics: object) -> list[str]:
    """Return one topic, or each of several, after `check_topic`. Raises `SubscriptionError` if there is none."""
    if isinstance(topics, str):
        return [check_topic(topics)]
    names = [check_topic(topic) for topic in flat_topics(topics)]
    if not names:
        raise SubscriptionError("an event needs a topic: give one topic or several")
    return names


def check_topic_or_pattern(topic: object) -> str:
    """Return the topic or glob pattern if it can be subscribed to, or raise `InvalidTopicError`."""
    if not isinstance(topic, str):
        raise TopicTypeError(f"a topic must be text, not {topic!r}")
    if not topic:
        raise InvalidTopicError("a topic cannot be empty: give it a name")
    try:
        size = len(topic.encode())
    except UnicodeEncodeError as exc:
        raise InvalidTopicError(f"the topic {topic!r} cannot be encoded as UTF-8: remove the surrogates from it") from exc
    if size > MAX_TOPIC_BYTES:
        raise InvalidTopicError(f"the topic {topic[:40]!r}… has {size} bytes, the limit is {MAX_TOPIC_BYTES}: give it a shorter name")
    return topic


def check_topics(topics: Sequence[object]) -> tuple[str, ...]:
    """Return the topics and patterns of a subscription, or raise `EmptySubscriptionError` or `InvalidTopicError`."""
    if not topics:
        raise EmptySubscriptionError("no topic was given: subscribe to at least one; '*' matches all topics")
    return tuple(check_topic_or_pattern(topic) for topic in topics)


def flat_topics(*topics: object) -> list[Any]:
    """Return the topics as one list, unchecked; each argument is a topic, or a collection of several."""
    flat: list[Any] = []
    for topic in topics:
        if isinstance(topic, Iterable) and not isinstance(topic, str | bytes | bytearray | Mapping):
            flat.extend(topic)
        else:
            flat.append(topic)
    return flat


def is_pattern(topic: str) -> bool:
    """Return whether a name is a glob pattern (``*`` any text, ``?`` one byte, ``[ab]`` one of these), as for PSUBSCRIBE in Redis."""
    return "*" in topic or "?" in topic or "[" in topic  # any() takes five times as long, for every event


class Glob:
    """A glob pattern that matches the same topics as in Redis: ``*``, ``?``, ``[ab]``, ``[^a]``, ``[a-z]``, ``\\*``.

    The class works on bytes, and treats unusual classes as ``stringmatchlen`` in Redis's ``util.c`` does: ``[]`` matches nothing,
    ``[^]`` any byte, ``[z-a]`` is ``[a-z]``, and the end of the pattern closes a class.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._regex = re.compile(_translate(pattern.encode()), re.DOTALL)

    def matches(self, topic: str) -> bool:
        """Return whether the pattern matches the whole name of a topic."""
        return self._regex.fullmatch(topic.encode()) is not None


def _translate(glob: bytes) -> bytes:
    """Return a glob pattern as a regular expression."""
    runs, at = [b""], 0  # the regular expressions of the parts between the stars
    while at < len(glob):
        character = glob[at : at + 1]
        at += 1
        if character == b"*":
            runs.append(b"")
        elif character == b"?":
            runs[-1] += b"."
        elif character == b"[":
            members, at = _members(glob, at)
            runs[-1] += b"[%s]" % re.escape(members) if members else b"(?!)"
        else:
            if character == b"\\" and at < len(glob):
                character = glob[at : at + 1]
                at += 1
            runs[-1] += re.escape(character)
    if len(runs) == 1:
        return runs[0]
    first, *middle, last = runs
    # Atomic groups keep the regular expression from trying a star again, so that many stars do not take exponential time.
    return first + b"".join(b"(?>.*?%s)" % run for run in middle if run) + b".*" + last


def _members(glob: bytes, at: int) -> tuple[bytes, int]:
    """Return the bytes that a class such as ``[a-z]`` matches, and the index after it; ``at`` is the index after its ``[``."""
    negated = glob[at : at + 1] == b"^"
    at += negated
    members: set[int] = set()
    while at < len(glob) and glob[at : at + 1] != b"]":
        if glob[at : at + 1] == b"\\" and at + 1 < len(glob):
            at += 1
            members.add(glob[at])
        elif glob[at + 1 : at + 2] == b"-" and at + 2 < len(glob):
            low, high = sorted((glob[at], glob[at + 2]))
            members.update(range(low, high + 1))
            at += 2
        else:
            members.add(glob[at])
        at += 1
    return bytes(sorted(set(range(256)) - members if negated else members)), at + 1
