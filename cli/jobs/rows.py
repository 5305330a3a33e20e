"""A job on a line: as a row of a table, and at its end."""

import time

import msgspec
import typer

from cli.output import Output
from notify import Json, ServerUnreachableError
from workers import Job, Outcome

__all__ = ["print_end", "row_of", "status_of", "text_of", "wait_for"]

RETRY_S = 1.0


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
    output.record(record, f"{text}\t{text_of(record['result'])}" if "result" in record else text)


def row_of(found: Job) -> dict[str, Json]:
    """Return the row of a job in a table."""
    outcome = found.outcome
    return {
        "id": found.id,
        "queue": found.origin,
        "status": status_of(found),
        "function": found.function_name,
        "needs": list[Json](sorted(found.needs)),
        "on_loss": found.on_loss if found.needs else "",
        "enqueued": found.enqueued_at.isoformat(timespec="seconds") if found.enqueued_at else None,
        "why": outcome.reason if outcome else found.problem,
    }


def status_of(found: Job) -> str:
    status = found.get_status()
    if status is None:
        return "gone"
    return "held" if found.held is not None else status.value


def text_of(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
