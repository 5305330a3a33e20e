"""The names of the topics on which Notify itself publishes; the package lists them."""

from typing import Final

__all__ = ["CRON_TOPIC", "JOB_LOG_PREFIX", "JOB_PREFIX", "OPS_TOPIC", "SERVICES_TOPIC", "STATUS_SUFFIX", "is_own_topic"]

SERVICES_TOPIC: Final = "services"
"""The topic on which the directory publishes its changes."""
CRON_TOPIC: Final = "cron"
"""The topic of recurring jobs: which are new, and which are due while no worker listens to their queue."""
OPS_TOPIC: Final = "ops"
"""The topic of what people change by hand: who did what."""
STATUS_SUFFIX: Final = "_status"
"""The topic of the reports of a service is its name with this suffix."""
JOB_LOG_PREFIX: Final = "job_log."
"""The topic of what a job logs is its id with this prefix."""
JOB_PREFIX: Final = "job."
"""The topic of the transitions of jobs is the name of their queue with this prefix."""


def is_own_topic(topic: str) -> bool:
    """Return whether Notify itself publishes on a topic: services and their reports, jobs and what they log, recurring jobs, and people."""
    return (
        topic in (SERVICES_TOPIC, CRON_TOPIC, OPS_TOPIC) or topic.startswith((JOB_PREFIX, JOB_LOG_PREFIX)) or topic.endswith(STATUS_SUFFIX)
    )
