"""``notify jobs``, ``queues``, ``enqueue`` and ``cancel``: list jobs and queues, enqueue a job, cancel many."""

from collections.abc import Callable
from itertools import islice
from typing import Annotated, Any, get_args

import msgspec
import typer

from cli.job import print_end, row_of, wait_for
from cli.options import AsJson, Namespace, Url, json_or_text, options
from cli.worker import add_working_folder
from workers import JobStatus, Policy, Queue, QueueInfo, find_jobs
from workers import queues as all_queues
from workers.jobs import definition_of, load_jobs
from workers.overview import count_needing

__all__ = ["cancel", "enqueue", "jobs", "queues"]

JOB_COLUMNS = ("id", "status", "queue", "function", "needs", "why", "on_loss", "enqueued")
QUEUE_COLUMNS = QueueInfo.__struct_fields__
LOSS_COLUMNS = ("queue", "on_loss", "waiting", "running")

NEED_FORMAT = "the name of a service, or 'any CAPABILITY'"

Status = Annotated[str | None, typer.Option("--status", help=f"Only jobs with this status: {', '.join(get_args(JobStatus))}.")]
QueueName = Annotated[str | None, typer.Option("--queue", help="Only jobs on this queue.")]


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


def enqueue(
    context: typer.Context,
    function: Annotated[str, typer.Argument(help="Dotted path of a function marked with @job.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="Arguments of the function: JSON, or else text.", show_default=False)
    ] = None,
    queue: Annotated[str | None, typer.Option("--queue", help="Name of the queue; by default that of the definition.")] = None,
    needs: Annotated[
        list[str] | None, typer.Option("--needs", help=f"What the job needs; by default that of the definition: {NEED_FORMAT}.")
    ] = None,
    on_loss: Annotated[
        str | None, typer.Option("--on-loss", help=f"Effect on the job of losing a need: {', '.join(get_args(Policy))}.")
    ] = None,
    max_hold_s: Annotated[
        float | None, typer.Option("--max-hold", help="Seconds for which the job may be held (with --on-loss hold).")
    ] = None,
    grace_s: Annotated[float | None, typer.Option("--grace", help="Seconds within which a service may return without being lost.")] = None,
    job_id: Annotated[
        str | None, typer.Option("--id", help="Id of the job, by default a random one; an existing job with that id is replaced.")
    ] = None,
    wait_s: Annotated[
        float | None, typer.Option("--wait", min=0, help="Wait for the end of the job, at most this number of seconds.")
    ] = None,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Enqueue a call of a function, and print the id of the job."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    marked = _function(function)
    definition = definition_of(marked)
    if queue == "":
        raise typer.BadParameter("the name of a queue cannot be empty: leave --queue out for the queue of the definition")
    assert definition is not None  # noqa: S101  # load_jobs returns marked functions only
    given: dict[str, Any] = {"needs": needs, "on_loss": on_loss, "max_hold_s": max_hold_s, "grace_s": grace_s, "job_id": job_id}
    with chosen.connect(name="notify-enqueue") as bus:
        made = Queue(definition.queue if queue is None else queue, connection=bus.redis).enqueue(
            marked, *map(json_or_text, arguments or ()), **{name: value for name, value in given.items() if value is not None}
        )
        chosen.output.record({"job": made.id, "queue": made.origin}, made.id)
        outcome, held = made.outcome, made.held
        if held is not None:
            chosen.output.talk(f"the job is held: {held} is not there")
        if outcome is not None and wait_s is None:
            print_end(chosen.output, made, outcome)
        if wait_s is not None:
            wait_for(chosen.output, made, wait_s)


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


def _function(path: str) -> Callable[..., Any]:
    """Import the module of a dotted path, and return the marked function that it names."""
    module, _, name = path.rpartition(".")
    if not module:
        raise typer.BadParameter(f"{path!r} is not a dotted path: write module.function")
    add_working_folder()
    marked = load_jobs([module])
    if path not in marked:
        raise typer.BadParameter(f"{module} has no function {name!r} marked with @job: choose one of {', '.join(sorted(marked))}")
    return marked[path]
