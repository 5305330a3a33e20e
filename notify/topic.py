"""Names of topics, and the glob patterns that match them."""

import re
from collections.abc import Sequence
from typing import Final

from notify.errors import EmptySubscriptionError, InvalidTopicError

__all__ = ["MAX_TOPIC_BYTES", "check_topic", "check_topic_or_pattern", "check_topics", "compile_pattern", "is_pattern"]

MAX_TOPIC_BYTES: Final = 512


def check_topic(topic: object) -> str:
    """Return the topic if events can be published on it.

    Raises:
        InvalidTopicError: it is no text, empty, over 512 bytes, or a pattern.
    """
    name = check_topic_or_pattern(topic)
    if is_pattern(name):
        raise InvalidTopicError(f"{name!r} is a pattern (it holds '*', '?' or '['): events are published on one topic")
    return name


def check_topic_or_pattern(topic: object) -> str:
    """Return the topic or glob pattern if it can be subscribed to, else raise `InvalidTopicError`."""
    if not isinstance(topic, str):
        raise InvalidTopicError(f"a topic is text, not {topic!r}")
    if not topic:
        raise InvalidTopicError("a topic cannot be empty: name what the event is about")
    try:
        size = len(topic.encode())
    except UnicodeEncodeError as exc:
        raise InvalidTopicError(f"the topic {topic!r} cannot be written as UTF-8") from exc
    if size > MAX_TOPIC_BYTES:
        raise InvalidTopicError(f"a topic of {size} bytes ({topic[:40]!r}…) is too long: the limit is {MAX_TOPIC_BYTES}")
    return topic


def check_topics(topics: Sequence[str]) -> tuple[str, ...]:
    """Return the topics and patterns of a subscription, else raise `EmptySubscriptionError` or `InvalidTopicError`."""
    if not topics:
        raise EmptySubscriptionError("subscribe to at least one topic; '*' means all of them")
    return tuple(check_topic_or_pattern(topic) for topic in topics)


def is_pattern(topic: str) -> bool:
    """Whether a name is a glob (``*`` any run, ``?`` one character, ``[ab]`` one of them), as in Redis PSUBSCRIBE."""
    return any(character in topic for character in "*?[")


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return the regular expression that matches what Redis's glob matches: ``*``, ``?``, ``[ab]``, ``[^a]``, ``[a-z]``, ``\\*``."""
    parts, rest = [], pattern
    while rest:
        character, rest = rest[0], rest[1:]
        if character == "*":
            parts.append(".*")
        elif character == "?":
            parts.append(".")
        elif character == "[":
            inside, _, rest = rest.partition("]")
            negated = "^" if inside.startswith("^") else ""
            members = re.sub(r"([\\\[\]^&~|])", r"\\\1", inside.removeprefix("^"))
            parts.append(f"[{negated}{members}]" if members else "(?!)")
        elif character == "\\" and rest:
            parts.append(re.escape(rest[0]))
            rest = rest[1:]
        else:
            parts.append(re.escape(character))
    return re.compile("".join(parts), re.DOTALL)
