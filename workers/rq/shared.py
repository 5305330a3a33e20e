"""The parts of RQ that we use and that RQ 2.12 and RQ 3 have alike, under the names that the other folders know."""

from typing import Final

from rq import Queue as PlainQueue
from rq import Retry, get_current_job
from rq import Worker as PlainWorker
from rq.command import PUBSUB_CHANNEL_TEMPLATE, handle_command, send_shutdown_command
from rq.defaults import DEFAULT_FAILURE_TTL
from rq.exceptions import AbandonedJobError, DeserializationError, InvalidJobOperation, NoSuchJobError, StopRequested, TimeoutFormatError
from rq.executions import Execution, ExecutionRegistry
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job as PlainJob
from rq.job import JobStatus
from rq.queue import EnqueueArgs, EnqueueData
from rq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from rq.results import Result
from rq.scheduler import SCHEDULER_LOCKING_KEY_TEMPLATE
from rq.serializers import JSONSerializer
from rq.suspension import WORKERS_SUSPENDED
from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty
from rq.utils import get_call_string, import_job_class, now, str_to_date, utcformat, utcparse
from rq.worker_registration import WORKERS_BY_QUEUE_KEY, clean_worker_registry
from rq.worker_registration import register as register_worker
from rq.worker_registration import unregister as unregister_worker

__all__ = [
    "DEFAULT_FAILURE_TTL",
    "ENQUEUE_OPTIONS",
    "PUBSUB_CHANNEL_TEMPLATE",
    "SCHEDULER_LOCKING_KEY_TEMPLATE",
    "WORKERS_BY_QUEUE_KEY",
    "WORKERS_SUSPENDED",
    "AbandonedJobError",
    "CanceledJobRegistry",
    "DeferredJobRegistry",
    "DeserializationError",
    "EnqueueData",
    "Execution",
    "ExecutionRegistry",
    "FailedJobRegistry",
    "FinishedJobRegistry",
    "IntermediateQueue",
    "InvalidJobOperation",
    "JSONSerializer",
    "JobStatus",
    "JobTimeoutException",
    "NoSuchJobError",
    "PlainJob",
    "PlainQueue",
    "PlainWorker",
    "Result",
    "Retry",
    "ScheduledJobRegistry",
    "StartedJobRegistry",
    "StopRequested",
    "TimeoutFormatError",
    "UnixSignalDeathPenalty",
    "clean_worker_registry",
    "get_call_string",
    "get_current_job",
    "handle_command",
    "import_job_class",
    "now",
    "register_worker",
    "send_shutdown_command",
    "str_to_date",
    "unregister_worker",
    "utcformat",
    "utcparse",
]

ENQUEUE_OPTIONS: Final = frozenset([*EnqueueArgs._fields, "job_timeout"])
"""The keyword arguments of a call that RQ takes as its own options."""
