"""What runs before and after every command: its streams and signals, the common options, and the list of commands.

`cli.app` and the commands use it. Each command imports its own module when it is called, and not before: most of the time that a short
command takes is imports.
Nothing here imports ``notify``, ``workers`` or Rich, and nothing here reads or prints data.
"""

from cli.start.commands import COMMANDS, Command, CommandGroup
from cli.start.exposing import serving_metrics
from cli.start.given import (
    LOG_FORMAT,
    LOG_LEVEL,
    AsJson,
    Given,
    Header,
    Level,
    LogFormat,
    MetricsPort,
    Namespace,
    ServiceName,
    Url,
    add_log_options,
)
from cli.start.signals import (
    INTERRUPTED,
    SIGNALS,
    InterruptedBySignal,
    exit_code_of,
    ignore_signals,
    on_signals,
    raise_in_handler,
    unwind_on_signals,
)
from cli.start.streams import close_streams, drop, open_streams
from cli.start.usage import UsageError, tell, usage_problem

__all__ = [
    "COMMANDS",
    "INTERRUPTED",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "SIGNALS",
    "AsJson",
    "Command",
    "CommandGroup",
    "Given",
    "Header",
    "InterruptedBySignal",
    "Level",
    "LogFormat",
    "MetricsPort",
    "Namespace",
    "ServiceName",
    "Url",
    "UsageError",
    "add_log_options",
    "close_streams",
    "drop",
    "exit_code_of",
    "ignore_signals",
    "on_signals",
    "open_streams",
    "raise_in_handler",
    "serving_metrics",
    "tell",
    "unwind_on_signals",
    "usage_problem",
]
