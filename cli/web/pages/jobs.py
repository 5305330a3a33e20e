"""The view of jobs: a filter, its pages, and the actions on what it shows."""

from typing import Any, Final, get_args

from cli.web.job_actions import JOB_ACTIONS
from cli.web.view import FILTER_NAMES, Look, View, job_filter_of
from workers import JobStatus
from workers.overview import page_of_jobs, queues

__all__ = ["JOBS"]

SIZE: Final = 50
STATUSES: Final = get_args(JobStatus)


def build(look: Look) -> dict[str, Any]:
    """Read a page of jobs."""
    query, redis = look.query, look.bus.redis
    chosen = job_filter_of(query)
    page = page_of_jobs(redis, chosen, after=query.get("after") or None, size=SIZE)
    all_queues = queues(redis, exact=False)
    counted = [queue for queue in all_queues if chosen.queue in (None, queue.queue)]
    given = query.given(*FILTER_NAMES)
    return {
        "page": page,
        "given": query.fields(*FILTER_NAMES),
        "is_filtered": bool(given),
        "queues": [queue.queue for queue in all_queues],
        "statuses": [(status, sum(getattr(queue, status, 0) for queue in counted)) for status in STATUSES],
        "is_searching": bool(set(given) - {"queue", "status"}),
        "first": not query.get("after"),
        "actions": [name for name, action in JOB_ACTIONS.items() if chosen.status is None or chosen.status in action.statuses],
        "title": f"Jobs: {', '.join(given.values())}" if given else "Jobs",
    }


JOBS: Final = View("jobs", "/jobs", "Jobs", "jobs", build, (*FILTER_NAMES, "after"))
