"""``notify job show|explain|cancel|retry|delete|wait``: one job, or with ``--all`` many."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Final

import typer

from cli.jobs.details import description_of, lines_of
from cli.jobs.logs import logs
from cli.jobs.many import DryRun, ManyChange, Yes, change_many
from cli.jobs.rows import print_end, status_of, wait_for
from cli.jobs.select import FunctionName, JobId, Needs, QueueName, Since, Status, filter_of
from cli.options import AsJson, Namespace, Options, Url, options
from notify import Bus
from workers import Job, JobNotFoundError, JobRefusedError, explain, requeue
from workers.overview import JobFilter
from workers.queue import cancel_jobs, delete_jobs, release_jobs, requeue_jobs

__all__ = ["job"]

NOT_ENDED: Final = ("queued", "held", "deferred", "scheduled", "ready_to_enqueue", "rate_limited", "started")
APART: Final = ("held", "deferred", "scheduled")
ENDED_BADLY: Final = ("failed", "stopped", "canceled")
ENDED: Final = ("finished", *ENDED_BADLY)

SomeId = Annotated[str | None, typer.Argument(metavar="[ID]", help="The job's id, as `notify jobs` shows it.", show_default=False)]
Every = Annotated[bool, typer.Option("--all", help="All jobs that match the other options, after a count.")]

job = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@job.callback()
def one_job(context: typer.Context, url: Url = None, namespace: Namespace = None, as_json: AsJson = False) -> None:
    """Show, explain, cancel, retry, release, delete or await one job; with --all many."""
    context.obj = options(context, url=url, namespace=namespace, as_json=as_json)


job.command("logs")(logs)


@job.command("show")
def show(
    context: typer.Context,
    job_id: JobId,
    full: Annotated[bool, typer.Option("--full", help="All frames of the traceback, also those of the worker.")] = False,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Show everything known about a job: call, times, retries, timeouts, dependencies both ways, result or traceback."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-job") as bus:
        found = Job.fetch(job_id, connection=bus.redis)
        described = description_of(found)
        chosen.output.lines(described, lines_of(described, full=full))


@job.command("explain")
def explain_job(context: typer.Context, job_id: JobId, url: Url = None, namespace: Namespace = None, as_json: AsJson = False) -> None:
    """Explain in one paragraph why a job has its status."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-job") as bus:
        explanation = explain(bus, Job.fetch(job_id, connection=bus.redis))
        chosen.output.record({"job": job_id, "explanation": explanation}, explanation)


@job.command("cancel")
def cancel_job(
    context: typer.Context,
    job_id: SomeId = None,
    every: Every = False,
    queue: QueueName = None,
    status: Status = None,
    needs: Needs = None,
    function: FunctionName = None,
    since: Since = None,
    reason: Annotated[str, typer.Option("--reason", help="Stored in the outcomes of the jobs.")] = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a job, or with --all those that match: a waiting job never starts, a running job is stopped.

    Fails if the job has already ended by itself.
    """
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    wanted = filter_of(queue=queue, status=status, needs=needs, function=function, since=since)
    one = _one_or_all(job_id, every, wanted, yes=yes, dry_run=dry_run)
    with chosen.connect(name="notify-job") as bus:
        if one is None:
            change = ManyChange("cancel", "cancelled", NOT_ENDED, NOT_ENDED, partial(cancel_jobs, reason=reason))
            change_many(chosen, bus, change, wanted, yes=yes, dry_run=dry_run)
            return
        found = Job.fetch(one, connection=bus.redis)
        outcome = found.cancel(reason)
        if outcome is None:
            raise JobNotFoundError(f"job {one} is about to end, or its worker died while recording its end: try again in a minute")
        print_end(chosen.output, found, outcome)
        if outcome.status not in ("cancelled", "stopped"):
            raise typer.Exit(1)


def _one_or_all(job_id: str | None, every: bool, wanted: JobFilter, *, yes: bool, dry_run: bool) -> str | None:
    """Return the id of the one job to change; ``None`` if all that match are to be changed.

    Raises:
        typer.BadParameter: both were given, or neither.
    """
    if job_id is not None and every:
        raise typer.BadParameter("give the id of a job, or --all for those that match, not both")
    if not every and (wanted != JobFilter() or yes or dry_run):
        raise typer.BadParameter("these options select many jobs: add --all, or leave them out")
    if job_id is None and not every:
        raise typer.BadParameter("give the id of a job, or --all for those that match (--queue, --status, --function, --needs, --since)")
    return job_id


def _retry_one(chosen: Options, bus: Bus, job_id: str) -> None:
    again = requeue(bus.redis, job_id)
    outcome = again.outcome
    if outcome is not None:
        print_end(chosen.output, again, outcome)
        raise typer.Exit(1)
    held = again.held
    text = f"{job_id} is held: {held} is not there" if held is not None else f"{job_id} waits on {again.origin} again"
    chosen.output.record({"job": job_id, "queue": again.origin, "status": status_of(again)}, text)


def _delete_one(chosen: Options, bus: Bus, job_id: str) -> None:
    found = Job.fetch(job_id, connection=bus.redis)
    result = delete_jobs(bus.redis, [job_id])
    if result.awaited:
        raise JobRefusedError(f"job {job_id} was not deleted, because other jobs wait for it: cancel them first (see `job show`)")
    if result.unchanged:
        raise JobRefusedError(f"job {job_id} has not ended, so it was not deleted: cancel it first, or wait for its end")
    chosen.output.record({"job": job_id, "queue": found.origin, "status": "deleted"}, f"{job_id} deleted")


def _release_one(chosen: Options, bus: Bus, job_id: str) -> None:
    found = Job.fetch(job_id, connection=bus.redis)
    if release_jobs(bus.redis, [job_id]).unchanged:
        raise JobRefusedError(f"job {job_id} is {status_of(found)}: only a job that is {', '.join(APART[:-1])} or {APART[-1]} is released")
    held = found.held
    text = f"{job_id} is held: {held} is not there" if held is not None else f"{job_id} waits on {found.origin} now"
    chosen.output.record({"job": job_id, "queue": found.origin, "status": status_of(found)}, text)


def _add(change: ManyChange, change_one: Callable[[Options, Bus, str], None], about: str) -> None:
    """Add a command that changes one job, or with ``--all`` many."""

    def run(
        context: typer.Context,
        job_id: SomeId = None,
        every: Every = False,
        queue: QueueName = None,
        status: Status = None,
        needs: Needs = None,
        function: FunctionName = None,
        since: Since = None,
        yes: Yes = False,
        dry_run: DryRun = False,
        url: Url = None,
        namespace: Namespace = None,
        as_json: AsJson = False,
    ) -> None:
        chosen = options(context, url=url, namespace=namespace, as_json=as_json)
        wanted = filter_of(queue=queue, status=status, needs=needs, function=function, since=since)
        one = _one_or_all(job_id, every, wanted, yes=yes, dry_run=dry_run)
        with chosen.connect(name="notify-job") as bus:
            if one is None:
                change_many(chosen, bus, change, wanted, yes=yes, dry_run=dry_run)
            else:
                change_one(chosen, bus, one)

    job.command(change.verb, help=about)(run)


_add(
    ManyChange("retry", "retried", ENDED_BADLY, ("failed",), requeue_jobs),
    _retry_one,
    "Enqueue a job again that failed, was stopped or was cancelled; with --all those that match: without --status those that failed.",
)
_add(
    ManyChange("delete", "deleted", ENDED, ENDED, delete_jobs),
    _delete_one,
    "Delete a job that has ended, with its result; with --all those that match. A job on which others wait is not deleted.",
)
_add(
    ManyChange("release", "released", APART, APART, release_jobs),
    _release_one,
    "Put a job on its queue now that is held, deferred or scheduled; with --all those that match. Without its service it is held again.",
)


@job.command("wait")
def wait(
    context: typer.Context,
    job_id: JobId,
    timeout_s: Annotated[float | None, typer.Option("--timeout", min=0, help="Seconds to wait; by default without limit.")] = None,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Wait for the end of a job. Fails unless the job finished."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-job") as bus:
        wait_for(chosen.output, Job.fetch(job_id, connection=bus.redis), timeout_s)
