"""The events of topics as a history has them: in each of its moments, and per second over the last minute."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import redis

from notify.history.fields import word
from notify.history.reader import History, read_history
from notify.keys import SERVICES_TOPIC, Keys
from notify.server import Client
from notify.settings import JOB_EVENTS, Settings

__all__ = ["PublishedEvents", "topic_rates"]

MINUTE_S: Final = 60.0
OF_SERVICES: Final = ("registered", "suspected", "recovered", "withdrawn")
GIVEN_BACK: Final = "given_back"
"""Jobs that were put back are counted so, and published as ``enqueued``."""


class PublishedEvents:
    """How many events topics had in each moment of a history. What Notify publishes about jobs and services is counted as that.

    Args:
        history: the history.
        settings: they say which transitions of jobs are published.
    """

    def __init__(self, history: History, settings: Settings) -> None:
        keys = Keys(settings.namespace)
        self._nothing = (0.0,) * len(history.moments)
        self._by_topic: dict[str, list[float]] = {}
        for at, moment in enumerate(history.moments):
            for words, number in moment.counts.items():
                topic = _topic_of(keys, settings, *words[:3]) if len(words) > 2 else None
                if topic is not None:
                    self._by_topic.setdefault(word(topic), [*self._nothing])[at] += number

    def of(self, topic: str) -> Sequence[float]:
        """Return the events of a topic, one number for each moment; 0 where none were counted."""
        return self._by_topic.get(word(topic), self._nothing)


def topic_rates(connection: redis.Redis) -> Callable[[str], float]:
    """Read how many events topics had in the last minute.

    The minute before the present one counts with the share of it that lies within the last 60 seconds.

    Args:
        connection: the server and the namespace.

    Returns:
        A function that returns the events per second of a topic; 0 if none was counted.

    Raises:
        ServerError: Redis did not answer, or refused.
    """
    client = Client.of(connection)
    history = read_history(client, since_s=MINUTE_S)
    with client.translating("reading the clock of the server"):
        clock: Any = client.time()
    into_s: float = min(MINUTE_S, max(0.0, float(clock[0]) + float(clock[1]) / 1e6 - history.moments[-1].at.timestamp()))
    published = PublishedEvents(history, client.settings)

    def rate_of(topic: str) -> float:
        before, present = published.of(topic)[-2:]
        return round((before * (1 - into_s / MINUTE_S) + present) / MINUTE_S, 2)

    return rate_of


def _topic_of(keys: Keys, settings: Settings, kind: str, what: str, name: str) -> str | None:
    """Return the topic on which what was counted is published; ``None`` if it is not."""
    if kind == "topic" and what == "events":
        return name
    status = "enqueued" if what == GIVEN_BACK else what
    if kind == "job" and status in JOB_EVENTS and settings.tells(status):
        return keys.job_topic(name)
    return SERVICES_TOPIC if kind == "service" and what in OF_SERVICES else None
