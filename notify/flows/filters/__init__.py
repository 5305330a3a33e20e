"""Filters: ready-made stages that choose, change, enrich, sort, slow down and gather items.

`notify.flows` exports them all; the thermometer follows the rule of one outside a flow.
They hold no connection and know no service.
"""

from notify.flows.filters.change import Against, changed_by
from notify.flows.filters.demultiplexer import demux
from notify.flows.filters.enrichment import lookup
from notify.flows.filters.event_filter import EventFilter, format_output, matches
from notify.flows.filters.gathering import batch, distinct
from notify.flows.filters.rate import throttle
from notify.flows.filters.text import contents

__all__ = [
    "Against",
    "EventFilter",
    "batch",
    "changed_by",
    "contents",
    "demux",
    "distinct",
    "format_output",
    "lookup",
    "matches",
    "throttle",
]
