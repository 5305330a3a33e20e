"""The view of one job: what happened to it and why, its call, its end, and the jobs around it."""

from datetime import datetime
from typing import Any, Final, NamedTuple

from cli.jobs import fold_frames
from cli.web.graph import Node, drawn
from cli.web.view import Look, View
from notify.events import last_events
from workers import Job, JobResultError, explain
from workers.overview import JobDetails, details_of, moment_of

__all__ = ["JOB"]

MOST_LINES: Final = 200


class Step(NamedTuple):
    """Something that happened to a job."""

    at: datetime | None
    text: str
    level: str = ""


def build(look: Look) -> dict[str, Any]:
    """Read a job."""
    bus = look.bus
    job = Job.fetch(look.names["job_id"], connection=bus.redis)
    around, outcome = details_of(job), job.outcome
    status = "held" if outcome is None and job.held is not None else outcome.status if outcome else str(job.get_status().value)
    trace, folded = fold_frames(around.traceback)
    result, problem = _result_of(job) if status == "finished" else (None, job.problem)
    return {
        "job": job,
        "status": status,
        "outcome": outcome,
        "why": explain(bus, job),
        "steps": _steps(job, status, outcome.reason if outcome else ""),
        "around": around,
        "trace": trace,
        "folded": folded,
        "graph_of": _graph(job, status, around),
        "args": None if job.problem else list(job.args),
        "kwargs": None if job.problem else dict(job.kwargs),
        "result": result,
        "problem": problem,
        "meta": dict(job.meta or {}),
        "progress": around.progress,
        "log": last_events(bus.redis, bus.keys.job_log_topic(job.id), most=MOST_LINES)[::-1],
        "log_topic": bus.keys.job_log_topic(job.id),
        "facts": _facts(job),
        "has_ended": outcome is not None,
        "title": f"Job {job.id}",
    }


def _result_of(job: Job) -> tuple[Any, str]:
    try:
        return job.return_value(), ""
    except JobResultError as exc:
        return None, str(exc)


def _steps(job: Job, status: str, reason: str) -> list[Step]:
    """Return what happened to a job, in its order."""
    steps = [Step(moment_of(job.created_at), "created")]
    if job.enqueued_at is not None:
        steps.append(Step(moment_of(job.enqueued_at), f"enqueued on {job.origin}"))
    retries = job.number_of_retries or 0
    if retries:
        steps.append(Step(None, f"tried again {retries} {'times' if retries != 1 else 'time'}", "warn"))
    if job.started_at is not None:
        steps.append(Step(moment_of(job.started_at), f"started on {job.worker_name or 'a worker'}"))
    if job.ended_at is not None and status not in ("queued", "started"):
        level = {"finished": "ok", "failed": "bad", "stopped": "bad", "cancelled": "warn"}.get(status, "")
        steps.append(Step(moment_of(job.ended_at), f"{status}{f': {reason}' if reason else ''}", level))
    elif status in ("cancelled", "stopped", "failed"):
        steps.append(Step(None, f"{status}{f': {reason}' if reason else ''}", "warn"))
    else:
        steps.append(Step(None, {"queued": "waits for a worker", "started": "runs", "held": "is held"}.get(status, status), "now"))
    return steps


def _facts(job: Job) -> list[tuple[str, Any]]:
    """Return what else is worth knowing; what is empty is left out."""
    needs = job.requirements
    facts = [
        ("Timeout", f"{job.timeout} s" if job.timeout else None),
        ("Lifetime while it waits", f"{job.ttl} s" if job.ttl else None),
        ("Result is kept", None if job.result_ttl is None else f"{job.result_ttl} s" if job.result_ttl >= 0 else "for ever"),
        ("Retries left", job.retries_left),
        ("Retry after", ", ".join(f"{each} s" for each in job.retry_intervals or ()) or None),
        ("On loss", needs.on_loss if job.needs else None),
        ("Grace", f"{needs.grace_s:g} s" if needs.grace_s else None),
        ("Held at most", f"{needs.max_hold_s:g} s" if needs.max_hold_s is not None else None),
        ("Last heartbeat", moment_of(job.last_heartbeat) if job.started_at and not job.ended_at else None),
    ]
    return [(name, value) for name, value in facts if value not in (None, "")]


def _graph(job: Job, status: str, around: JobDetails) -> Any:
    """Return the drawing of the jobs before and behind a job; ``None`` if there are none."""
    if not (around.depends_on or around.dependents):
        return None
    before = [Node(each, f"{each[:14]}", state, f"/job/{each}") for each, state in around.depends_on.items()]
    behind = [Node(each, f"{each[:14]}", state, f"/job/{each}") for each, state in around.dependents.items()]
    edges = [(each.key, job.id) for each in before] + [(job.id, each.key) for each in behind]
    return drawn([before[:12], [Node(job.id, job.id[:14], status, "")], behind[:12]], edges)


JOB: Final = View("jobs", "/job/{job_id:path}", "Job", "job", build)
