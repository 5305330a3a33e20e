"""Actions on jobs: on one, on those that are marked, or on all that match a filter; with a count first."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec
import redis

from cli.web.plan import Done, Field, Plan
from cli.web.runs import Tell
from cli.web.view import FILTER_NAMES, FilterError, Query, job_filter_of
from notify import Bus
from notify.server import Client
from workers import Job, find_jobs
from workers.jobs import read_job_rows
from workers.overview import JobFilter, ListedJob, chunked
from workers.queue import BatchResult, cancel_jobs, compact_queues, delete_jobs, release_jobs, requeue_jobs
from workers.scripts import AT_ONCE

__all__ = ["JOB_ACTIONS", "apply_to_jobs", "plan_for_jobs"]

MOST_REASON: Final = 300
PLAN_S: Final = 1.0
"""Seconds for which jobs are counted before the question."""
WAITING: Final = ("queued", "held", "deferred", "scheduled", "ready_to_enqueue", "rate_limited")


class JobAction(NamedTuple):
    """A change of jobs.

    Args:
        verb, done: ``retry``, ``retried``.
        statuses: the statuses that a job may have.
        told: what happens.
        apply: changes one batch of jobs.
        is_danger: whether it cannot be taken back.
    """

    verb: str
    done: str
    statuses: Sequence[str]
    told: str
    apply: Callable[..., BatchResult]
    is_danger: bool = False


JOB_ACTIONS: Final[Mapping[str, JobAction]] = {
    "cancel": JobAction(
        "cancel",
        "cancelled",
        (*WAITING, "started"),
        "Jobs that wait never start; those that run are stopped.",
        cancel_jobs,
        True,
    ),
    "retry": JobAction("retry", "retried", ("failed",), "Jobs that failed go to the end of their queues.", requeue_jobs),
    "requeue": JobAction(
        "requeue",
        "requeued",
        ("failed", "stopped", "canceled"),
        "Jobs that failed, were stopped or were cancelled go to the end of their queues.",
        requeue_jobs,
    ),
    "release": JobAction(
        "release",
        "released",
        ("held", "deferred", "scheduled"),
        "Jobs that are held, deferred or scheduled go onto their queues now. One whose service is still not there is held again.",
        release_jobs,
    ),
    "delete": JobAction(
        "delete",
        "deleted",
        ("finished", "failed", "stopped", "canceled"),
        "Jobs that have ended are deleted, with their results. One for which others wait stays.",
        delete_jobs,
        True,
    ),
}


def plan_for_jobs(bus: Bus, name: str, query: Query) -> Plan:
    """Return what an action would do to the jobs of a URL: those that it names, or all that match its filter.

    Raises:
        FilterError: the URL names no job, and does not say that all are meant; or a parameter of it is none.
        JobDefinitionError, QueueNotFoundError: as for `find_jobs`.
    """
    action, until = JOB_ACTIONS[name], time.monotonic() + PLAN_S
    counts = Counter((job.origin, status) for job, status in _selected(bus, action, query, within_s=PLAN_S))
    total, rows = sum(counts.values()), [(queue, status, count) for (queue, status), count in sorted(counts.items())]
    fields = [Field("reason", "Reason")] if name == "cancel" else []
    if time.monotonic() > until and query.get("all"):
        told = ["They were counted for a second only: there may be more. While it goes on, the page shows how far it is.", action.told]
        title = f"{action.verb.capitalize()} all jobs that match, {total:,} or more?"
        columns = ("queue", "status", "jobs so far")
        return Plan(name, title, told, f"{action.verb.capitalize()} all", columns, rows, fields, action.is_danger)
    possible = f"{'these' if total != 1 else 'this'} {_jobs(total)}"
    if total == 1 and not query.get("all"):
        title = f"{action.verb.capitalize()} job {query.get('id')}?"
    else:
        title = f"{action.verb.capitalize()} {possible}?" if total else f"No job can be {action.done}"
    given = query.given(*FILTER_NAMES)
    chosen = [f"They match {', '.join(f'{key} {value}' for key, value in given.items())}."] if query.get("all") and given and total else []
    left = [] if total else [_none(action)]
    return Plan(
        name,
        title,
        [*left, *chosen, *([action.told] if total else [])],
        f"{action.verb.capitalize()} {_jobs(total)}" if total != 1 else action.verb.capitalize(),
        ("queue", "status", "jobs"),
        rows if total != 1 else [],
        fields if total else [],
        action.is_danger,
        total > 0,
    )


def apply_to_jobs(bus: Bus, name: str, query: Query, form: Mapping[str, str], tell: Tell) -> Done:
    """Change the jobs of a URL, in batches, and tell after each how many were looked at. Errors as for `plan_for_jobs`."""
    action, reason = JOB_ACTIONS[name], form.get("reason", "")[:MOST_REASON]
    selected: list[tuple[str, str]] = []
    for job, _ in _selected(bus, action, query):
        selected.append((job.id, job.origin))
        tell(len(selected), None)
    change = partial(action.apply, reason=reason) if name == "cancel" else action.apply
    result, looked_at = BatchResult(), 0
    try:
        for batch in chunked((job_id for job_id, _ in selected), AT_ONCE):
            result += change(bus.redis, batch)
            looked_at += len(batch)
            tell(looked_at, len(selected))
    finally:
        if name == "cancel":  # also in the middle: the views count what stands in the lists
            compact_queues(bus.redis, {queue for _, queue in selected})
    ids = [job_id for job_id, _ in selected]
    what = {**query.given(*FILTER_NAMES), "jobs": list(ids[:20]), "of": len(ids), **msgspec.structs.asdict(result)}
    if reason:
        what["reason"] = reason
    return Done(f"{_jobs(result.done)} {action.done}", list(_sentences(action, result, len(ids))), dict(what))


def _sentences(action: JobAction, result: BatchResult, of: int) -> Iterator[str]:
    if not of:
        yield _none(action)
    if result.held:
        yield f"{_jobs(result.held)} of them {'are' if result.held != 1 else 'is'} held: a service that is needed is not there."
    if result.cancelled:
        yield f"{_jobs(result.cancelled)} of them {'were' if result.cancelled != 1 else 'was'} cancelled again, for that reason."
    if result.awaited:
        yield f"{_jobs(result.awaited)} stay, because others wait for them: cancel those first."
    if result.unchanged:
        yield f"{_jobs(result.unchanged)} had another status by then, and {'were' if result.unchanged != 1 else 'was'} left alone."


def _selected(bus: Bus, action: JobAction, query: Query, *, within_s: float | None = None) -> Iterator[tuple[Job, str]]:
    """Yield the jobs of a URL that the action can change, each once, with their statuses.

    Raises:
        FilterError: the URL names no job, and does not say that all are meant; or a parameter of it is none.
    """
    query.must_be_of("id", "all", "back", *FILTER_NAMES)
    ids = query.all("id")
    if not ids and not query.get("all"):
        raise FilterError("no job is marked: mark some, or choose all that match")
    if ids:
        yield from _named(bus.redis, ids, action.statuses)
        return
    wanted, until = job_filter_of(query).checked(), time.monotonic() + (within_s or 0)
    seen = set[str]()
    for status in action.statuses if wanted.status is None else [wanted.status] if wanted.status in action.statuses else []:
        chosen: JobFilter = msgspec.structs.replace(wanted, status=status)
        left_s = None if within_s is None else until - time.monotonic()
        for job in find_jobs(bus.redis, **msgspec.structs.asdict(chosen), within_s=left_s):
            if job.id not in seen:
                seen.add(job.id)
                yield job, status


def _named(connection: redis.Redis, ids: Sequence[str], statuses: Sequence[str]) -> Iterator[tuple[Job, str]]:
    client = Client.of(connection)
    for batch in chunked(ids, AT_ONCE):
        with client.translating("reading the marked jobs"):
            rows = list(read_job_rows(client, batch))
        for job, fields in rows:
            status = ListedJob.of(job, fields).status
            if status in statuses:
                yield job, status


def _jobs(count: int) -> str:
    return f"{count:,} {'jobs' if count != 1 else 'job'}"


def _none(action: JobAction) -> str:
    """Say why there is no job to change: others have changed or deleted them since, or there never were any."""
    *most, last = action.statuses
    statuses = f"{', '.join(most)} or {last}" if most else last
    return f"Only jobs with status {statuses} can be {action.done}, and there is none of these here."
