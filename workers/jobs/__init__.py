"""Jobs: how they are defined, what they require, how they are stored, and how they ended.

Queues make them, workers run them, users hold them in hand.
Nothing here puts a job on a queue or takes it off.
"""

from workers.jobs.call import DecodedCall, function_of, plain_call
from workers.jobs.current import current_bus, current_job
from workers.jobs.definition import Definition, JobFunctions, definition_of, job, load_jobs
from workers.jobs.handle import Job, read_jobs
from workers.jobs.lazy import lazy_job
from workers.jobs.outcome import Outcome, Why, worker_died
from workers.jobs.requirements import Needs, Policy, Requirements, check_need, target_of
from workers.jobs.schedule import CronJob
from workers.jobs.serializer import JsonSerializer
from workers.jobs.stop_ladder import JobStopped, StopLadder, StopSign
from workers.jobs.telling import publish_outcome

__all__ = [
    "CronJob",
    "DecodedCall",
    "Definition",
    "Job",
    "JobFunctions",
    "JobStopped",
    "JsonSerializer",
    "Needs",
    "Outcome",
    "Policy",
    "Requirements",
    "StopLadder",
    "StopSign",
    "Why",
    "check_need",
    "current_bus",
    "current_job",
    "definition_of",
    "function_of",
    "job",
    "lazy_job",
    "load_jobs",
    "plain_call",
    "publish_outcome",
    "read_jobs",
    "target_of",
    "worker_died",
]
