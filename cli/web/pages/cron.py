"""The view of recurring jobs."""

from typing import Any, Final

from cli.web.view import Look, View
from workers.overview import cron_jobs

__all__ = ["CRON"]


def build(look: Look) -> dict[str, Any]:
    """Read the recurring jobs."""
    return {"crons": cron_jobs(look.bus.redis)}


CRON: Final = View("cron", "/cron", "Recurring jobs", "cron", build)
