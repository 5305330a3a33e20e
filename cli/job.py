"""``notify job show|explain|cancel|retry|wait``: one job."""

import time
from typing import Annotated

import msgspec
import typer

from cli.options import AsJson, Namespace, Url, options
from cli.output import Output
from notify import Json, ServerUnreachableError
from workers import Job, JobNotFoundError, Outcome, explain, requeue

__all__ = ["job", "print_end", "row_of", "wait_for"]

JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id, as `notify jobs` shows it.", show_default=False)]

RETRY_S = 1.0

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
        chosen.output.record(described, "\n".join(f"{label}\t{_text(value)}" for label, value in described.items()))


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
        chosen.output.record({"job": job_id, "queue": again.origin, "status": _status(again)}, text)


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


def wait_for(output: Output, waited: Job, timeout_s: float | None) -> None:
    """Wait for the end of a job and print it. An outage of the server does not end the wait.

    Raises:
        typer.Exit: the job did not finish, or not in time; exit code 1.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    outcome, in_outage = None, False
    while outcome is None:
        left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            outcome = waited.wait(left_s)
        except ServerUnreachableError as exc:
            if not in_outage:
                output.talk(f"waiting: {exc}")
            in_outage = True
            time.sleep(RETRY_S if left_s is None else min(RETRY_S, left_s))
        if outcome is None and deadline is not None and time.monotonic() >= deadline:
            output.talk(f"job {waited.id} has not ended in {timeout_s:g} s")
            raise typer.Exit(1)
    print_end(output, waited, outcome)
    if outcome.status != "finished":
        raise typer.Exit(1)


def print_end(output: Output, ended: Job, outcome: Outcome) -> None:
    """Print the outcome of a job, with the result if it has one."""
    record: dict[str, Json] = {"job": ended.id, **msgspec.structs.asdict(outcome)}
    if outcome.status == "finished":
        record["result"] = ended.return_value()
    text = f"{outcome.status}{f': {outcome.reason}' if outcome.reason not in ('', outcome.status) else ''}"
    output.record(record, f"{text}\t{_text(record['result'])}" if "result" in record else text)


def row_of(found: Job) -> dict[str, Json]:
    """Return the row of a job in a table."""
    outcome = found.outcome
    return {
        "id": found.id,
        "queue": found.origin,
        "status": _status(found),
        "function": found.function_name,
        "needs": list[Json](sorted(found.needs)),
        "on_loss": found.on_loss if found.needs else "",
        "enqueued": found.enqueued_at.isoformat(timespec="seconds") if found.enqueued_at else None,
        "why": outcome.reason if outcome else found.problem,
    }


def _status(found: Job) -> str:
    status = found.get_status()
    if status is None:
        return "gone"
    return "held" if found.held is not None else status.value


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


def _text(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
