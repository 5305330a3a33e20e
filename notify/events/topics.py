"""What goes on, topic by topic: for operators."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from notify.events.client_name import ListeningClient, listening_client
from notify.events.scripts import EventScripts
from notify.events.topic import is_pattern

__all__ = ["TopicInfo", "traffic"]

WINDOW_S: Final = 60
COUNTED: Final = 10_000
"""Events of the last minute that are counted at the most."""


class TopicInfo(msgspec.Struct, frozen=True):
    """A topic at one moment.

    Args:
        topic: its name.
        events: events logged since its log began; ``None`` where the server does not count them (before Redis 7).
        per_s: events a second over the last minute.
        log_length: events that the log holds.
        subscribers: connections that listen to it, by name or, where they are ours, by pattern.
        last: when its last event was logged, by the server's clock; ``None`` if there was none yet.
    """

    topic: str
    events: int | None
    per_s: float
    log_length: int
    subscribers: int
    last: datetime | None


def traffic(scripts: EventScripts) -> list[TopicInfo]:
    """Describe every known topic, in alphabetical order."""
    topics = scripts.topics()
    keys, client = scripts.keys, scripts.client
    with client.translating("looking at the topics"):
        seconds, _ = _pair(client.time())
        counts: Any = client.pubsub_numsub(*map(keys.channel, topics)) if topics else []
        with client.pipeline(transaction=False) as pipe:
            for topic in topics:
                pipe.xinfo_stream(keys.log(topic))
                pipe.xrange(keys.log(topic), min=f"{(seconds - WINDOW_S) * 1000}-0", count=COUNTED)
                pipe.hget(keys.topic(topic), "last")
            rows = pipe.execute(raise_on_error=False)
        listening = [listening_client(row) for row in client.client_list(_type="pubsub")]
    by_pattern = [interest for interest in listening if interest is not None and any(map(is_pattern, interest.channels))]
    return [
        _describe(topic, rows[3 * n : 3 * n + 3], counts[n][1] + _count(by_pattern, keys.channel(topic))) for n, topic in enumerate(topics)
    ]


def _count(by_pattern: Sequence[ListeningClient], channel: str) -> int:
    """How many listen to a channel through a pattern alone."""
    return sum(interest.hears(channel) and channel not in interest.channels for interest in by_pattern)


def _describe(topic: str, row: Sequence[Any], subscribers: int) -> TopicInfo:
    # There is no stream before the first event, and none after the last one has expired.
    stream = row[0] if isinstance(row[0], dict) else {}
    recent = len(row[1]) if isinstance(row[1], list) else 0
    last = datetime.fromtimestamp(int(row[2].partition(b"-")[0]) / 1000, UTC) if isinstance(row[2], bytes) else None
    return TopicInfo(topic, stream.get("entries-added"), round(recent / WINDOW_S, 2), stream.get("length", 0), subscribers, last)


def _pair(value: Any) -> tuple[int, int]:
    return int(value[0]), int(value[1])
