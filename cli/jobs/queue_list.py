"""``notify queues``: lists the queues, pauses one, and resumes it."""

from typing import Annotated

import msgspec
import typer

from cli.jobs.pausing import add_pausing
from cli.jobs.rows import span_of
from cli.listing import lists
from cli.options import Options
from notify import Bus
from workers import QueueInfo
from workers import queues as all_queues
from workers.queue import pause_queue, resume_queue

__all__ = ["queues"]

QUEUE_COLUMNS = QueueInfo.__struct_fields__
SHOWN_QUEUE_COLUMNS = tuple("latency" if column == "latency_s" else column for column in QUEUE_COLUMNS)
SPARE_QUEUE_COLUMNS = ("paused", "ready_to_enqueue", "rate_limited", "deferred", "scheduled", "finished", "canceled")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the queue, as `notify queues` shows it.")]

queues = typer.Typer(rich_markup_mode=None)


@lists(queues, "notify-queues")
def listing(bus: Bus, chosen: Options, header: bool | None) -> None:
    """List the queues: number of jobs by status, the age of the oldest waiting job (latency), and workers."""
    rows = [msgspec.structs.asdict(queue) for queue in all_queues(bus.redis)]
    if not chosen.as_json:
        rows = [{**row, "latency": span_of(row["latency_s"]), "paused": "yes" if row["paused"] else ""} for row in rows]
    empty = f"no job was ever enqueued on {bus.redis.address}"
    chosen.output.table(QUEUE_COLUMNS, rows, empty=empty, shown=SHOWN_QUEUE_COLUMNS, spare=SPARE_QUEUE_COLUMNS, header=header)


add_pausing(
    queues,
    "queue",
    Name,
    pause=pause_queue,
    pausing="Let no worker take another job from a queue, on any host, until it is resumed. Jobs that run go on.",
    resume=resume_queue,
    resuming="Let workers take the jobs of a paused queue again.",
)
