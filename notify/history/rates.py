"""Rates of topics: events per second over the last minute, from the counts of this minute and of the one before."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import redis

from notify.history.fields import word
from notify.history.reader import History, read_history
from notify.keys import SERVICES_TOPIC
from notify.server import Client
from notify.settings import JOB_EVENTS

__all__ = ["topic_rates"]

MINUTE_S: Final = 60.0
OF_SERVICES: Final = ("registered", "suspected", "recovered", "withdrawn")
GIVEN_BACK: Final = "given_back"
"""Jobs that were put back are counted so, and published as ``enqueued``."""


def topic_rates(connection: redis.Redis) -> Callable[[str], float]:
    """Read how many events topics had in the last minute. What Notify publishes about jobs and services is counted as that.

    The minute before the present one counts with the share of it that lies within the last 60 seconds.

    Args:
        connection: the server and the namespace; its settings say which transitions of jobs are published.

    Returns:
        A function that returns the events per second of a topic; 0 if none was counted.

    Raises:
        ServerError: Redis did not answer, or refused.
    """
    client = Client.of(connection)
    history = read_history(client, since_s=MINUTE_S)
    with client.translating("reading the clock of the server"):
        answer: Any = client.time()
    into_s = min(MINUTE_S, max(0.0, float(answer[0]) + answer[1] / 1e6 - history.moments[-1].at.timestamp()))
    sums: dict[str, float] = {}
    for topic, number in _counted(client, history, (1 - into_s / MINUTE_S, 1.0)):
        sums[topic] = sums.get(topic, 0.0) + number
    return lambda topic: round(sums.get(word(topic), 0.0) / MINUTE_S, 2)


def _counted(client: Client, history: History, shares: tuple[float, float]) -> Iterator[tuple[str, float]]:
    """Yield how many events a topic had, by its name as one word, for each count of the last two minutes."""
    for moment, share in zip(history.moments[-2:], shares, strict=True):
        for words, number in moment.counts.items():
            topic = _topic_of(client, *words[:3]) if len(words) > 2 else None
            if topic is not None:
                yield word(topic), share * number


def _topic_of(client: Client, kind: str, what: str, name: str) -> str | None:
    """Return the topic on which what was counted is published; ``None`` if it is not."""
    if kind == "topic" and what == "events":
        return name
    status = "enqueued" if what == GIVEN_BACK else what
    if kind == "job" and status in JOB_EVENTS and client.settings.tells(status):
        return client.own_keys.job_topic(name)
    return SERVICES_TOPIC if kind == "service" and what in OF_SERVICES else None
