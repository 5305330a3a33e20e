"""The view of queues: how many jobs, how long they wait, and who works on them."""

from typing import Any, Final

from cli.web.view import Look, View
from workers.overview import find_workers, queues

__all__ = ["QUEUES"]


def build(look: Look) -> dict[str, Any]:
    """Read the queues."""
    all_queues = queues(look.bus.redis, exact=False)
    workers = find_workers(look.bus.redis)
    return {"queues": all_queues, "workers": {queue.queue: [w for w in workers if queue.queue in w.queues] for queue in all_queues}}


QUEUES: Final = View("queues", "/queues", "Queues", "queues", build)
