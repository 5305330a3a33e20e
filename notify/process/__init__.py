"""This operating-system process: its identity, an event for signal handlers, holds that delay a shutdown, its title and memory,
how another one is started, and what it may print and log.

Programs, services, workers and the command line use this folder.
It never talks to a server.
"""

from notify.process.command import own_command
from notify.process.escape import printable, printable_json
from notify.process.identity import ProcessIdentity, this_process
from notify.process.json_log import JsonFormatter, write_line
from notify.process.log import MAX_LOGGED_CHARS, SafeFormatter, log_to_stderr
from notify.process.memory import memory_kib
from notify.process.outages import outage_over, outage_seen
from notify.process.signal_event import SignalSafeEvent
from notify.process.steady import steady_s
from notify.process.suspension import Suspension, Suspensions
from notify.process.title import set_title
from notify.process.tracing import (
    NO_TRACE,
    UNTRACED,
    Trace,
    consuming,
    current_trace,
    current_trace_id,
    flush_spans,
    is_traced,
    producing,
    received,
    sending,
)

__all__ = [
    "MAX_LOGGED_CHARS",
    "NO_TRACE",
    "UNTRACED",
    "JsonFormatter",
    "ProcessIdentity",
    "SafeFormatter",
    "SignalSafeEvent",
    "Suspension",
    "Suspensions",
    "Trace",
    "consuming",
    "current_trace",
    "current_trace_id",
    "flush_spans",
    "is_traced",
    "log_to_stderr",
    "memory_kib",
    "outage_over",
    "outage_seen",
    "own_command",
    "printable",
    "printable_json",
    "producing",
    "received",
    "sending",
    "set_title",
    "steady_s",
    "this_process",
    "write_line",
]
