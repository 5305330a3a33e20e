"""The commands about jobs: list, enqueue, show, cancel, retry and delete them, and list the queues, the recurring jobs and the history.

`app` adds them to the command line.
Nothing here reads or changes Redis itself: the commands call ``workers``.
"""

from cli.jobs.counts import history
from cli.jobs.listing import jobs
from cli.jobs.many import cancel
from cli.jobs.queue_list import queues
from cli.jobs.recurring import cron
from cli.jobs.single import job
from cli.jobs.submit import enqueue
from cli.jobs.traceback import fold_frames

__all__ = ["cancel", "cron", "enqueue", "fold_frames", "history", "job", "jobs", "queues"]
