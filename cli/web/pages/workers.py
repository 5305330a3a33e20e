"""The view of workers: what each has in hand."""

from typing import Any, Final

from cli.web.view import Look, View
from workers.overview import find_workers

__all__ = ["WORKERS"]


def build(look: Look) -> dict[str, Any]:
    """Read the workers."""
    queue = look.query.get("queue")
    workers = [worker for worker in find_workers(look.bus.redis) if not queue or queue in worker.queues]
    return {"workers": workers, "given": look.query.given("queue"), "hosts": len({worker.host for worker in workers})}


WORKERS: Final = View("workers", "/workers", "Workers", "workers", build, ("queue",))
