"""Figures about topics for operators: events, rate, length of the log, subscribers."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import redis

from notify.events.client_name import ListeningClient, listening_client
from notify.events.scripts import EventScripts
from notify.events.topic import is_pattern
from notify.history import topic_rates
from notify.server import Client, whole

__all__ = ["TopicInfo", "traffic"]

LATEST_MS: Final = 253_402_300_799_000
"""The end of the year 9999, after which Python has no times."""

log = logging.getLogger(__name__)


class TopicInfo(msgspec.Struct, frozen=True):
    """A topic at one moment.

    Args:
        topic: the name.
        events: events since the log was created; ``None`` if the server does not count them (before Redis 7).
        per_s: events per second over the last minute, from the history; 0 without one.
        log_length: events in the log.
        subscribers: connections that are subscribed by name, and connections of Notify that are subscribed by pattern.
        last: when the last event was logged, by the clock of the server; ``None`` if there was none yet.
    """

    topic: str
    events: int | None
    per_s: float
    log_length: int
    subscribers: int
    last: datetime | None


def traffic(scripts: EventScripts) -> list[TopicInfo]:
    """Describe every known topic, in alphabetical order."""
    scripts.client.require_server("the traffic, which reads the connections of the server,")
    topics = scripts.topics()
    keys, client = scripts.keys, scripts.client
    with client.translating("reading the figures of the topics"):
        counts: Any = client.pubsub_numsub(*map(keys.channel, topics)) if topics else []
        with client.pipeline(transaction=False) as pipe:
            for topic in topics:
                pipe.xinfo_stream(keys.log(topic))
                pipe.hget(keys.topic(topic), "last")
            rows = pipe.execute(raise_on_error=False)
        listening = [listening_client(row) for row in _connections(client)]
    by_pattern = [subscriber for subscriber in listening if subscriber is not None and any(map(is_pattern, subscriber.channels))]
    rate_of = topic_rates(client)
    return [
        _describe(topic, rows[2 * n : 2 * n + 2], rate_of(topic), counts[n][1] + _count(by_pattern, keys.channel(topic)))
        for n, topic in enumerate(topics)
    ]


def _connections(client: Client) -> Any:
    """Return the subscribed connections of the server; none if the user may not list them."""
    try:
        return client.client_list(_type="pubsub")
    except redis.exceptions.NoPermissionError as refusal:
        log.warning("subscribers by pattern are not counted, because %s refuses CLIENT LIST: %s", client.address, refusal)
        return []


def _count(by_pattern: Sequence[ListeningClient], channel: str) -> int:
    """Return how many of the subscribers receive a channel through a pattern only."""
    return sum(subscriber.hears(channel) and channel not in subscriber.channels for subscriber in by_pattern)


def _describe(topic: str, row: Sequence[Any], per_s: float, subscribers: int) -> TopicInfo:
    # There is no stream before the first event, and none after the log has expired.
    stream = row[0] if isinstance(row[0], dict) else {}
    last = _time_of(row[1]) if isinstance(row[1], bytes) else None
    return TopicInfo(topic, stream.get("entries-added"), per_s, stream.get("length", 0), subscribers, last)


def _time_of(last_id: bytes) -> datetime | None:
    """Return the time of the event with an id; ``None`` if another program wrote what is no id."""
    ms = whole(last_id.partition(b"-")[0], None, most=LATEST_MS)
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
