"""The views of topics: traffic, and the log of one."""

from typing import Any, Final

from cli.web.view import Look, View
from notify.events import last_events

__all__ = ["TOPIC", "TOPICS"]

MOST_EVENTS: Final = 100


def build_all(look: Look) -> dict[str, Any]:
    """Read the topics, and which events are to be followed."""
    text = look.query.get("text")
    return {
        "topics": [topic for topic in look.bus.traffic() if text.casefold() in topic.topic.casefold()],
        "text": text,
        "followed": {"topic": look.query.get("topic", "*"), "contents": look.query.get("contents")},
    }


def build_one(look: Look) -> dict[str, Any]:
    """Read the last events of a topic, the newest first."""
    bus, name, text = look.bus, look.names["topic"], look.query.get("text").casefold()
    info = next((topic for topic in bus.traffic() if topic.topic == name), None)
    events = [event for event in last_events(bus.redis, name, most=MOST_EVENTS) if text in f"{getattr(event, 'contents', '')}".casefold()]
    return {"topic": name, "info": info, "events": events, "text": look.query.get("text"), "title": f"Topic {name}"}


TOPICS: Final = View("topics", "/topics", "Topics", "topics", build_all, ("text", "topic", "contents"))
TOPIC: Final = View("topics", "/topic/{topic:path}", "Topic", "topic", build_one, ("text",))
