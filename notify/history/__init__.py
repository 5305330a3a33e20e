"""What happened, counted in Redis by the minute and by the hour: jobs, events, gaps, services and requests.

The scripts that make a change count it, by the Lua part ``count``; whoever shows a history reads it here, and that of jobs in
`workers.overview`. Nothing here decides anything by a count, and a count that is lost keeps no change from being made.
"""

from notify.history.counter import Counter
from notify.history.fields import OTHER, Words, field_of, word
from notify.history.histogram import EDGES_S, Histogram, edge_of
from notify.history.points import (
    LossPoint,
    RequestPoint,
    ServicePoint,
    TopicPoint,
    histories_of_methods,
    histories_of_services,
    histories_of_topics,
    loss_history,
    request_history,
    service_history,
    topic_history,
)
from notify.history.prelude import history_prelude
from notify.history.rates import PublishedEvents, topic_rates
from notify.history.reader import History, HistoryReader, Moment, Step, read_history
from notify.history.tally import Tally, tallies, tally_of_all

__all__ = [
    "EDGES_S",
    "OTHER",
    "Counter",
    "Histogram",
    "History",
    "HistoryReader",
    "LossPoint",
    "Moment",
    "PublishedEvents",
    "RequestPoint",
    "ServicePoint",
    "Step",
    "Tally",
    "TopicPoint",
    "Words",
    "edge_of",
    "field_of",
    "histories_of_methods",
    "histories_of_services",
    "histories_of_topics",
    "history_prelude",
    "loss_history",
    "read_history",
    "request_history",
    "service_history",
    "tallies",
    "tally_of_all",
    "topic_history",
    "topic_rates",
    "word",
]
