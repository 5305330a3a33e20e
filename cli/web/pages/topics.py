"""The views of topics: traffic, and the log of one."""

from typing import Any, Final

from cli.web.view import Look, View
from notify.events import last_events
from notify.history import histories_of_topics, topic_history

__all__ = ["TOPIC", "TOPICS"]

MOST_EVENTS: Final = 100
MOST_SEARCHED: Final = 1_000
HOUR_S: Final = 3600.0


def build_all(look: Look) -> dict[str, Any]:
    """Read the topics, and which events are to be followed."""
    text = look.query.get("text")
    counted = histories_of_topics(look.history.read(since_s=HOUR_S))
    return {
        "topics": [topic for topic in look.bus.traffic() if text.casefold() in topic.topic.casefold()],
        "gaps": {topic: sum(point.gaps for point in points) for topic, points in counted.items()},
        "text": text,
        "followed": {"topic": look.query.get("topic", "*"), "contents": look.query.get("contents")},
    }


def build_one(look: Look) -> dict[str, Any]:
    """Read the last events of a topic, the newest first."""
    bus, name, text = look.bus, look.names["topic"], look.query.get("text").casefold()
    info = next((topic for topic in bus.traffic() if topic.topic == name), None)
    last = last_events(bus.redis, name, most=MOST_SEARCHED if text else MOST_EVENTS)
    events = [event for event in last if text in f"{getattr(event, 'contents', '')}".casefold()][:MOST_EVENTS]
    gaps = sum(point.gaps for point in topic_history(look.history.read(since_s=HOUR_S), topic=name))
    return {
        "topic": name,
        "info": info,
        "gaps": gaps,
        "events": events,
        "looked_at": len(last),
        "text": look.query.get("text"),
        "title": f"Topic {name}",
    }


TOPICS: Final = View("topics", "/topics", "Topics", "topics", build_all, ("text", "topic", "contents"))
TOPIC: Final = View("topics", "/topic/{topic:path}", "Topic", "topic", build_one, ("text",))
