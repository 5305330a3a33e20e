"""``notify jobs`` and ``queues``: lists."""

from itertools import islice
from typing import Annotated

import msgspec
import typer

from cli.jobs.rows import row_of
from cli.jobs.select import QueueName, Status
from cli.options import AsJson, Namespace, Url, options
from workers import QueueInfo, find_jobs
from workers import queues as all_queues

__all__ = ["jobs", "queues"]

JOB_COLUMNS = ("id", "status", "queue", "function", "needs", "why", "on_loss", "enqueued")
QUEUE_COLUMNS = QueueInfo.__struct_fields__


def queues(context: typer.Context, url: Url = None, namespace: Namespace = None, as_json: AsJson = False) -> None:
    """List the queues: number of jobs by status, and workers."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-queues") as bus:
        rows = [msgspec.structs.asdict(queue) for queue in all_queues(bus.redis)]
        chosen.output.table(QUEUE_COLUMNS, rows, empty=f"no job was ever enqueued on {bus.redis.address}")


def jobs(
    context: typer.Context,
    queue: QueueName = None,
    status: Status = None,
    needs: Annotated[str | None, typer.Option("--needs", help="Only waiting and running jobs that need this.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Largest number of jobs to show.")] = 100,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """List jobs. Waiting jobs come first, in their order on the queue."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-jobs") as bus:
        found = find_jobs(bus.redis, queue=queue, status=status, needs=needs)
        chosen.output.table(JOB_COLUMNS, [row_of(one) for one in islice(found, limit)], empty="no job matches")
        if next(found, None) is not None:
            chosen.output.talk(f"there are more than {limit} jobs: raise --limit to see them")
