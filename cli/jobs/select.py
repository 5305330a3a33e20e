"""The options that select jobs, the same for all commands."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Final, get_args

import typer

from workers import JobStatus
from workers.overview import JobFilter

__all__ = ["NEED_FORMAT", "FunctionName", "JobId", "Needs", "QueueName", "Since", "Status", "filter_of", "since_moment"]

NEED_FORMAT = "the name of a service, or 'any CAPABILITY'"

JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id, as `notify jobs` shows it.", show_default=False)]
Status = Annotated[str | None, typer.Option("--status", help=f"Only jobs with this status: {', '.join(get_args(JobStatus))}.")]
QueueName = Annotated[str | None, typer.Option("--queue", help="Only jobs on this queue.")]
Needs = Annotated[
    str | None, typer.Option("--needs", help=f"Only jobs that need this: {NEED_FORMAT}. Without --status, those that wait or run.")
]
FunctionName = Annotated[
    str | None,
    typer.Option("--function", help="Only calls of this function: its path or its name, or a pattern such as 'orders.*'."),
]
Since = Annotated[
    str | None,
    typer.Option("--since", help="Only jobs enqueued, started or ended since: 30s, 10m, 2h, 3d, or a time such as 2026-11-27T09:00."),
]

_SPAN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def filter_of(
    *, queue: str | None = None, status: str | None = None, needs: str | None = None, function: str | None = None, since: str | None = None
) -> JobFilter:
    """Return the filter for the options.

    Raises:
        typer.BadParameter: ``since`` is no time.
    """
    return JobFilter(queue=queue, status=status, needs=needs, function=function, since=None if since is None else since_moment(since))


def since_moment(text: str) -> datetime:
    """Return the time that a text names: so long ago, or a time in ISO 8601, which is local time if it has no time zone."""
    span = _SPAN.fullmatch(text.strip())
    try:
        if span is not None:
            return datetime.now().astimezone() - timedelta(seconds=float(span[1]) * _SECONDS[span[2]])
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError) as exc:
        raise typer.BadParameter(
            f"{text!r} is no time: give 30s, 10m, 2h, 3d, or a time such as 2026-11-27T09:00", param_hint="--since"
        ) from exc
