"""Errors that ``rq worker`` shows in a line. RQ's command shows the traceback of each error of a worker."""

import sys
from typing import Any

__all__ = ["shown_by_command"]


def shown_by_command(error: Exception) -> BaseException:
    """Return what to raise in place of an error: if a command of RQ runs in this thread, an end with the text of the error and code 1."""
    click: Any = sys.modules.get("click")
    if click is None or "rq.cli" not in sys.modules:
        return error
    context = click.get_current_context(silent=True)
    function = None if context is None else context.command.callback
    return SystemExit(str(error)) if function is not None and function.__module__.partition(".")[0] == "rq" else error
