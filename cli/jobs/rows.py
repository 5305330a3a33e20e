"""A job on a line: as a row of a table, and at its end."""

import time
from datetime import datetime

import msgspec
import typer

from cli.jobs.progress import ProgressBar
from cli.output import Output
from notify import Json, ServerUnreachableError
from workers import Job, JobNotFoundError, Outcome
from workers.overview import moment_of

__all__ = ["iso_of", "print_end", "row_of", "span_of", "status_of", "text_of", "wait_for"]

RETRY_S = 1.0


def wait_for(output: Output, waited: Job, timeout_s: float | None) -> None:
    """Wait for the end of a job and print it. An outage of the server does not end the wait.

    Raises:
        typer.Exit: the job did not finish, or not in time; exit code 1.
    """
    deadline, in_outage, outcome = None if timeout_s is None else time.monotonic() + timeout_s, False, None
    with ProgressBar(output, waited) as bar:
        while outcome is None:
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                outcome = bar.wait(left_s)
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
    output.record(record, text, *([text_of(record["result"])] if "result" in record else ()))


def row_of(found: Job, status: str | None = None) -> dict[str, Json]:
    """Return the row of a job in a table.

    Args:
        found: the job.
        status: its status, if it is known already; by default it is read again. It is ``gone`` if the job has disappeared.
    """
    try:
        outcome = found.outcome
    except JobNotFoundError:
        outcome, status = None, "gone"
    return {
        "id": found.id,
        "queue": found.origin,
        "status": status_of(found) if status is None else status,
        "function": found.function_name,
        "needs": list[Json](sorted(found.needs)),
        "on_loss": found.on_loss if found.needs else "",
        "created": iso_of(found.created_at),
        "enqueued": iso_of(found.enqueued_at),
        "started": iso_of(found.started_at),
        "ended": iso_of(found.ended_at),
        "worker": found.worker_name or "",
        "why": outcome.reason if outcome else found.problem,
    }


def iso_of(moment: datetime | None) -> str | None:
    """Return a time of a job as text, in UTC."""
    known = moment_of(moment)
    return known.isoformat(timespec="milliseconds") if known is not None else None


def span_of(seconds: float | None) -> str:
    """Return a number of seconds as a short text for people: ``0.3s``, ``45s``, ``12m``, ``7h``, ``30d``; empty for ``None``."""
    if seconds is None:
        return ""
    for size, unit in ((172_800, 86_400), (7_200, 3_600), (120, 60)):
        if seconds >= size:
            return f"{seconds / unit:.0f}{ {86_400: 'd', 3_600: 'h', 60: 'm'}[unit] }"
    return f"{max(0.0, seconds):.1f}s" if seconds < 10 else f"{seconds:.0f}s"


def status_of(found: Job) -> str:
    """Return the status of a job, read again; ``gone`` if it has disappeared."""
    status = found.get_status()
    if status is None:
        return "gone"
    return "held" if found.held is not None else status.value


def text_of(value: Json) -> str:
    """Return text as it is, and other values as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
