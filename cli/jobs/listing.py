"""``notify jobs``: a list."""

from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, get_args

import msgspec
import typer

from cli.jobs.rows import row_of, span_of
from cli.jobs.select import FunctionName, Needs, QueueName, Since, Status, filter_of
from cli.options import AsJson, Header, Namespace, Url, options
from notify import Bus, Json
from workers import find_jobs
from workers.overview import JobFilter, JobOrder, ListedJob, list_jobs, stuck_jobs

__all__ = ["advice", "jobs"]

JOB_COLUMNS = ("id", "status", "queue", "function", "needs", "why", "on_loss", "enqueued", "started", "ended", "worker")
SHOWN_JOB_COLUMNS = ("id", "status", "age", "queue", "function", "why", "needs", "runtime", "worker")
SPARE_JOB_COLUMNS = ("worker", "runtime", "needs", "queue", "age")

QUEUE_ORDER = "queued"
"""The order of the waiting jobs on their queues: that in which they start."""


def jobs(
    context: typer.Context,
    queue: QueueName = None,
    status: Status = None,
    needs: Needs = None,
    function: FunctionName = None,
    since: Since = None,
    order: Annotated[
        str, typer.Option("--sort", help=f"Order: {', '.join(get_args(JobOrder))}; or {QUEUE_ORDER}: the next to start first.")
    ] = "age",
    stuck: Annotated[bool, typer.Option("--stuck", help="Only jobs that wait for a job which ended without success.")] = False,
    reverse: Annotated[bool, typer.Option("--reverse", "-r", help="The opposite order.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Largest number of jobs to show.")] = 100,
    header: Header = None,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    wanted = filter_of(queue=queue, status=status, needs=needs, function=function, since=since)
    if order == QUEUE_ORDER and reverse:
        raise typer.BadParameter(f"--reverse is not for --sort {QUEUE_ORDER}: leave one of them out")
    with chosen.connect(name="notify-jobs") as bus:
        if stuck:
            rows, more = _stuck(bus, wanted, limit)
        else:
            rows, more = _in_queue_order(bus, wanted, limit) if order == QUEUE_ORDER else _in_order(bus, wanted, order, reverse, limit)
        if not chosen.as_json:
            now = datetime.now(UTC)
            rows = [{**row, "age": _age(row, now), "runtime": _runtime(row, now)} for row in rows]
        output = chosen.output
        output.table(JOB_COLUMNS, rows, empty="no job matches", shown=SHOWN_JOB_COLUMNS, spare=SPARE_JOB_COLUMNS, header=header)
        if more:
            output.talk(more)


def _in_order(bus: Bus, wanted: JobFilter, order: str, reverse: bool, limit: int) -> tuple[list[dict[str, Json]], str]:
    """Return the rows of the first jobs in an order, and what to say about the others."""
    found = list_jobs(bus.redis, wanted, order=order, reverse=reverse, limit=limit)
    rows = [row_of(listed.job, listed.status) for listed in found.jobs]
    if found.of > found.looked_at:
        return rows, f"looked at the newest {found.looked_at:,} of {found.of:,} jobs: {advice(wanted)}"
    return rows, _more(limit) if found.matching > len(rows) else ""


def advice(wanted: JobFilter) -> str:
    """Return how to see the jobs that were not looked at."""
    narrower = [f"--{name}" for name, given in (("queue", wanted.queue), ("status", wanted.status)) if given is None]
    return f"narrow it by {' or '.join(narrower)}, or raise --limit" if narrower else "raise --limit to look at more"


def _stuck(bus: Bus, wanted: JobFilter, limit: int) -> tuple[list[dict[str, Json]], str]:
    """Return the rows of jobs that will not start by themselves, each with the job because of which."""
    wanted = wanted.checked()
    found = (each for each in stuck_jobs(bus.redis, queue=wanted.queue) if wanted.matches(ListedJob(each.job, "deferred")))
    rows = [{**row_of(each.job, "deferred"), "why": str(each.dependency)} for each in islice(found, limit)]
    return rows, _more(limit) if next(found, None) is not None else ""


def _in_queue_order(bus: Bus, wanted: JobFilter, limit: int) -> tuple[list[dict[str, Json]], str]:
    found = find_jobs(bus.redis, **msgspec.structs.asdict(wanted))
    rows = [row_of(one) for one in islice(found, limit)]
    return rows, _more(limit) if next(found, None) is not None else ""


def _more(limit: int) -> str:
    return f"there are more than {limit} jobs: raise --limit to see them"


def _age(row: dict[str, Json], now: datetime) -> str:
    return span_of(_seconds_between(row["enqueued"] or row["created"], now))


def _runtime(row: dict[str, Json], now: datetime) -> str:
    ended = row["ended"]
    return span_of(_seconds_between(row["started"], datetime.fromisoformat(ended) if isinstance(ended, str) else now))


def _seconds_between(moment: Json, end: datetime) -> float | None:
    return (end - datetime.fromisoformat(moment)).total_seconds() if isinstance(moment, str) else None
