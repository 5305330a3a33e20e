"""The end of the log of a topic, for people: the last events, the newest first."""

from contextlib import suppress
from typing import Any

from notify.errors import ContentsError
from notify.events.event import Event, decode
from notify.events.topic import check_topic
from notify.server import Client

__all__ = ["last_events"]


def last_events(client: Client, topic: str, *, most: int = 100) -> list[Event]:
    """Return the last events in the log of a topic, the newest first. Entries that another program wrote are left out.

    Args:
        client: ``bus.redis``.
        topic: the name of the topic.
        most: the largest number of events.

    Raises:
        InvalidTopicError: ``topic`` is not the name of a topic.
        ServerError: Redis did not answer, or refused.
    """
    log = client.own_keys.log(check_topic(topic))
    with client.translating(f"reading the log of {topic!r}"):
        rows: Any = client.xrevrange(log, count=most)
    found = []
    for entry_id, fields in rows:
        epoch, data = fields.get(b"epoch", b"").decode(errors="replace"), fields.get(b"data", b"")
        if epoch and data.startswith(b"{"):
            with suppress(ContentsError):  # somebody added an entry by hand
                found.append(decode(topic, f'{{"id":"{entry_id.decode()}@{epoch}",'.encode() + data[1:])[0])
    return found
