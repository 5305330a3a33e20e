"""Events: publish, subscribe, and read missed events from the log of a topic.

The bus, services and the command line use this folder; the directory and jobs publish their own events through its scripts.
It never depends on the contents of an event.
"""

from notify.events.background import BackgroundPublisher
from notify.events.demand import Demand, DemandChange, Joined, Left
from notify.events.event import Event, Failure, Gap, encode
from notify.events.listener import QueuedListener
from notify.events.message import Message, Messages, message_topic
from notify.events.overflow import WhenListenerFull, WhenPublisherFull
from notify.events.publisher import Contents, Publisher, event_from, publish, publish_unlogged
from notify.events.scripts import EventScripts, PublishingScripts, limits_of
from notify.events.strict_json import Json, check_size, encode_json, size_problem
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
    "Message",
    "Messages",
    "Publisher",
    "PublishingScripts",
    "QueuedListener",
    "Subscriber",
    "TopicInfo",
    "WhenListenerFull",
    "WhenPublisherFull",
    "check_size",
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
    "size_problem",
    "traffic",
]
