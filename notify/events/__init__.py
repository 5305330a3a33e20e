"""Events: publish, subscribe, and read missed events from the log of a topic.

The bus, services and the command line use this folder; the directory and jobs publish their own events through its scripts.
It never depends on the contents of an event.
"""

from notify.events.background import BATCH, BATCH_BYTES, BackgroundPublisher, BatchSender
from notify.events.cloudevents import cloudevent_of, event_of_cloudevent
from notify.events.demand import Demand, DemandChange, Joined, Left
from notify.events.event import Event, Failure, Gap, decode_direct, encode, is_bare_id
from notify.events.event_bus import EventBus, Opened
from notify.events.listener import QueuedListener
from notify.events.log_tail import last_events
from notify.events.message import Message, Messages, Subscribable, message_topic, topics_by_name
from notify.events.publisher import Publisher, contents_of, item_of, publish, publish_direct
from notify.events.retained import expire_retained
from notify.events.scripts import EventScripts, Item, PublishingScripts, limits_of
from notify.events.subscriber import Subscriber
from notify.events.topic import Glob, check_topic, check_topics, flat_topics, is_pattern
from notify.events.topics import TopicInfo

__all__ = [
    "BATCH",
    "BATCH_BYTES",
    "BackgroundPublisher",
    "BatchSender",
    "Demand",
    "DemandChange",
    "Event",
    "EventBus",
    "EventScripts",
    "Failure",
    "Gap",
    "Glob",
    "Item",
    "Joined",
    "Left",
    "Message",
    "Messages",
    "Opened",
    "Publisher",
    "PublishingScripts",
    "QueuedListener",
    "Subscribable",
    "Subscriber",
    "TopicInfo",
    "check_topic",
    "check_topics",
    "cloudevent_of",
    "contents_of",
    "decode_direct",
    "encode",
    "event_of_cloudevent",
    "expire_retained",
    "flat_topics",
    "is_bare_id",
    "is_pattern",
    "item_of",
    "last_events",
    "limits_of",
    "message_topic",
    "publish",
    "publish_direct",
    "topics_by_name",
]
