"""The views of the page: what each shows, as plain values for its template.

`cli.web.app` makes a route of each, and asks for it at most once a second.
Nothing here knows HTML, requests or who looks.
"""

from typing import Final

from cli.web.pages.cron import CRON
from cli.web.pages.job import JOB
from cli.web.pages.jobs import JOBS
from cli.web.pages.overview import OVERVIEW
from cli.web.pages.queues import QUEUES
from cli.web.pages.services import SERVICE, SERVICES
from cli.web.pages.topics import TOPIC, TOPICS
from cli.web.pages.workers import WORKERS
from cli.web.view import View

__all__ = ["VIEWS"]

VIEWS: Final[tuple[View, ...]] = (OVERVIEW, JOBS, JOB, SERVICES, SERVICE, QUEUES, WORKERS, CRON, TOPICS, TOPIC)
