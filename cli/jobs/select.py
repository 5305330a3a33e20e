"""The options that select jobs, the same for all commands."""

from typing import Annotated, get_args

import typer

from workers import JobStatus

__all__ = ["NEED_FORMAT", "QueueName", "Status"]

NEED_FORMAT = "the name of a service, or 'any CAPABILITY'"

Status = Annotated[str | None, typer.Option("--status", help=f"Only jobs with this status: {', '.join(get_args(JobStatus))}.")]
QueueName = Annotated[str | None, typer.Option("--queue", help="Only jobs on this queue.")]
