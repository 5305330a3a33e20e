"""The command: looks whether there is a terminal and Textual, and runs the view."""

import os
import sys
import traceback
from importlib import import_module
from typing import Annotated, Any

import typer

from cli.options import AsJson, Namespace, Options, Url, options
from cli.output import one_line
from cli.output.failure import print_fault
from cli.signals import Stop
from notify import SettingsError
from notify.process import SafeFormatter, log_to_stderr

__all__ = ["top"]

NO_LOG = 100
"""A level above all: a line on stderr would spoil the view, which shows errors itself."""


def top(
    context: typer.Context,
    interval_s: Annotated[float, typer.Option("--interval", min=0.2, max=60, help="Seconds between two looks at the server.")] = 1.0,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Show what goes on, live: jobs, queues, workers, services and topics; kill a service, cancel a job, stop a worker. Ends with q."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    if chosen.as_json or not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb":
        raise SettingsError("notify top needs a terminal: elsewhere use notify queues, jobs, workers, services and topics, with --json")
    try:
        view: Any = import_module("cli.top.view")
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] != "textual":
            raise
        raise SettingsError("notify top needs Textual: pip install 'notify-workers[top]'") from exc
    with Stop() as stop, chosen.connect(name="notify-top") as bus:
        log_to_stderr(SafeFormatter(), level=NO_LOG)
        shown = view.View(bus, stop, interval_s=interval_s)
        shown.run()
    if shown.fault is not None:
        _tell(shown.fault, chosen)
        raise typer.Exit(1)


def _tell(fault: Exception, chosen: Options) -> None:
    """Print an error that nobody expected in one line; with ``--log-level DEBUG``, its traceback before."""
    if chosen.log_level == "DEBUG":
        print_fault(fault)
    *_, frame = traceback.extract_tb(fault.__traceback__) or [None]
    where = f" ({frame.filename}:{frame.lineno})" if frame is not None else ""
    text = f"notify: notify top has failed: {type(fault).__name__}: {one_line(str(fault))}{where}"
    chosen.output.talk(text, style="red")
