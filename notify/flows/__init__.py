"""Flows: sources, stages and sinks that items pass through in order, with bounded queues between them.

Applications build a flow by `pipeline` or `graph`, and run it. The command line and programs run flows as well.
A flow never drops an item unless a policy says so, and then it counts it.
"""

from notify.flows.build import discard, graph, pipeline
from notify.flows.engine import Counters
from notify.flows.fanout import QueueLimits
from notify.flows.filters import (
    Against,
    EventFilter,
    batch,
    changed_by,
    contents,
    demux,
    distinct,
    format_output,
    lookup,
    matches,
    throttle,
)
from notify.flows.flow import Flow
from notify.flows.framing import Framing, JsonFraming, LengthFraming, LineFraming
from notify.flows.hosting import FlowProgram
from notify.flows.items import DROPPED, Failed, Items, Mark, To
from notify.flows.lines import command_lines, follow_file, read_lines, serial_lines, stdin_lines, write_lines
from notify.flows.policy import Policy, retry
from notify.flows.protocol import Context, Sink, Source, Stage, TakesMany, Uses
from notify.flows.tcp import TLS, EndpointCounts, TCPClient, TCPServer
from notify.flows.topics import publish_to, subscribe_to
from notify.flows.wiring import Link, Node, Wiring, stage

__all__ = [
    "DROPPED",
    "TLS",
    "Against",
    "Context",
    "Counters",
    "EndpointCounts",
    "EventFilter",
    "Failed",
    "Flow",
    "FlowProgram",
    "Framing",
    "Items",
    "JsonFraming",
    "LengthFraming",
    "LineFraming",
    "Link",
    "Mark",
    "Node",
    "Policy",
    "QueueLimits",
    "Sink",
    "Source",
    "Stage",
    "TCPClient",
    "TCPServer",
    "TakesMany",
    "To",
    "Uses",
    "Wiring",
    "batch",
    "changed_by",
    "command_lines",
    "contents",
    "demux",
    "discard",
    "distinct",
    "follow_file",
    "format_output",
    "graph",
    "lookup",
    "matches",
    "pipeline",
    "publish_to",
    "read_lines",
    "retry",
    "serial_lines",
    "stage",
    "stdin_lines",
    "subscribe_to",
    "throttle",
    "write_lines",
]
