"""Events: publishing, subscribing, and repairing what was missed from the log of a topic.

The bus, services and the command line use it; the directory and jobs publish their own events by its scripts.
It never looks at what an event is about.
"""

from notify.events.background import BackgroundPublisher, WhenFull
from notify.events.demand import Demand, DemandChange, Joined, Left
from notify.events.event import Event, Failure, Gap, encode
from notify.events.listener import QueuedListener
from notify.events.listener import WhenFull as ListenerFull
from notify.events.message import Message, Messages, message_topic
from notify.events.publisher import Contents, Publisher, event_from, publish, publish_unlogged
from notify.events.scripts import EventScripts, PublishingScripts, limits_of
from notify.events.strict_json import Json, encode_json
from notify.events.subscriber import Subscriber
from notify.events.topic import Glob, check_topic, check_topic_or_pattern, is_pattern
from notify.events.topics import TopicInfo, traffic

__all__ = [
    "BackgroundPublisher",
    "Contents",
    "Demand",
    "DemandChange",
    "Event",
    "EventScripts",
    "Failure",
    "Gap",
    "Glob",
    "Joined",
    "Json",
    "Left",
    "ListenerFull",
    "Message",
    "Messages",
    "Publisher",
    "PublishingScripts",
    "QueuedListener",
    "Subscriber",
    "TopicInfo",
    "WhenFull",
    "check_topic",
    "check_topic_or_pattern",
    "encode",
    "encode_json",
    "event_from",
    "is_pattern",
    "limits_of",
    "message_topic",
    "publish",
    "publish_unlogged",
    "traffic",
]
