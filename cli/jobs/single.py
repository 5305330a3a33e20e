"""``notify job show|explain|cancel|retry|wait``: one job."""

from typing import Annotated

import msgspec
import typer

from cli.jobs.rows import print_end, row_of, status_of, text_of, wait_for
from cli.options import AsJson, Namespace, Url, options
from notify import Json
from workers import Job, JobNotFoundError, explain, requeue

__all__ = ["job"]

JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id, as `notify jobs` shows it.", show_default=False)]

job = typer.Typer(no_args_is_help=True)


@job.callback()
def one_job(context: typer.Context, url: Url = None, namespace: Namespace = None, as_json: AsJson = False) -> None:
    """Show, explain, cancel, retry or await one job."""
    context.obj = options(context, url=url, namespace=namespace, as_json=as_json)


@job.command("show")
def show(context: typer.Context, job_id: JobId, url: Url = None, namespace: Namespace = None, as_json: AsJson = False) -> None:
    """Show everything known about a job."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-job") as bus:
        found = Job.fetch(job_id, connection=bus.redis)
        described = _description(found)
        chosen.output.record(described, "\n".join(f"{label}\t{text_of(value)}" for label, value in described.items()))


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
    job_id: JobId,
    reason: Annotated[str, typer.Option("--reason", help="Stored in the outcome of the job.")] = "",
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a job: a waiting job never starts, a running job is stopped. Fails if the job has already ended by itself."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-job") as bus:
        found = Job.fetch(job_id, connection=bus.redis)
        outcome = found.cancel(reason)
        if outcome is None:
            raise JobNotFoundError(f"job {job_id} is about to end, or its worker died while recording its end: try again in a minute")
        print_end(chosen.output, found, outcome)
        if outcome.status not in ("cancelled", "stopped"):
            raise typer.Exit(1)


@job.command("retry")
def retry(context: typer.Context, job_id: JobId, url: Url = None, namespace: Namespace = None, as_json: AsJson = False) -> None:
    """Enqueue a job again that failed, was stopped or was cancelled."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-job") as bus:
        again = requeue(bus.redis, job_id)
        outcome = again.outcome
        if outcome is not None:
            print_end(chosen.output, again, outcome)
            raise typer.Exit(1)
        held = again.held
        text = f"{job_id} is held: {held} is not there" if held is not None else f"{job_id} waits on {again.origin} again"
        chosen.output.record({"job": job_id, "queue": again.origin, "status": status_of(again)}, text)


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


def _description(found: Job) -> dict[str, Json]:
    outcome = found.outcome
    times = {"enqueued": found.enqueued_at, "started": found.started_at, "ended": found.ended_at}
    return {
        **row_of(found),
        **({} if found.problem else {"args": list[Json](found.args), "kwargs": dict[str, Json](found.kwargs)}),
        **{name: time.isoformat() if time else None for name, time in times.items()},
        "worker": found.worker_name,
        "outcome": msgspec.structs.asdict(outcome) if outcome else None,
        "problem": found.problem,
        "result": found.return_value() if outcome and outcome.status == "finished" else None,
    }
