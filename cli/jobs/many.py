"""``notify cancel``: cancels many jobs."""

from typing import Annotated

import msgspec
import typer

from cli.jobs.select import NEED_FORMAT, QueueName
from cli.options import AsJson, Namespace, Url, options
from workers import Queue
from workers.overview import count_needing

__all__ = ["cancel"]

LOSS_COLUMNS = ("queue", "on_loss", "waiting", "running")


def cancel(
    context: typer.Context,
    needs: Annotated[str, typer.Option("--needs", help=f"What the jobs need: {NEED_FORMAT}.")],
    queue: QueueName = None,
    reason: Annotated[str, typer.Option("--reason", help="Stored in the outcomes of the jobs.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Cancel nothing: count the jobs, by queue and policy.")] = False,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Cancel the waiting jobs that need a service, or any service with a capability."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-cancel") as bus:
        stakes = [stake for stake in count_needing(bus.redis, needs) if stake.queue == (queue or stake.queue)]
        if dry_run:
            rows = [msgspec.structs.asdict(stake) for stake in stakes]
            chosen.output.table(LOSS_COLUMNS, rows, empty=f"no job needs {needs}")
            return
        for name in sorted({stake.queue for stake in stakes}) if queue is None else [queue]:
            count = Queue(name, connection=bus.redis).cancel(needs=needs, reason=reason)
            chosen.output.record({"queue": name, "cancelled": count}, f"{name}\t{count} cancelled")
        if not stakes and queue is None:
            chosen.output.talk(f"no job needs {needs}")
