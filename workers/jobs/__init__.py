"""Jobs: their definition, their requirements, their record in Redis, and their outcome.

Queues create jobs, workers run them, and applications follow them by `Job` objects.
Nothing here puts a job on a queue or takes it off.
"""

from workers.jobs.attempt import attempt_of, is_new, trace_fields, trace_of
from workers.jobs.call import (
    DecodedCall,
    JsonSerializer,
    begin,
    call_in,
    check_annotations,
    encode_call,
    encode_result,
    ends_plainly,
    execute,
    function_of,
    plain_call,
    signature_of,
)
from workers.jobs.current import current_bus, current_job
from workers.jobs.definition import Definition, JobFunctions, definition_of, job, load_jobs, load_module
from workers.jobs.handle import Job, read_job_rows, read_jobs, stored_error
from workers.jobs.lazy import lazy_job
from workers.jobs.outcome import Outcome, Why, failure, owe_on_failure, owe_on_stopped, publish_outcome, read_outcome, worker_died
from workers.jobs.progress import Progress, has_reported, progress_in, read_progress, send_last_progress
from workers.jobs.reason import MAX_REASON_CHARS, MAX_TRACEBACK_CHARS, kept_traceback, reason_in, short_reason
from workers.jobs.requirements import Needs, Policy, Requirements, check_need, read_needs, target_of
from workers.jobs.schedule import CronJob, Overlap, read_cron_job
from workers.jobs.stop_ladder import JobStopped, Sign, StopLadder, StopSign

__all__ = [
    "MAX_REASON_CHARS",
    "MAX_TRACEBACK_CHARS",
    "CronJob",
    "DecodedCall",
    "Definition",
    "Job",
    "JobFunctions",
    "JobStopped",
    "JsonSerializer",
    "Needs",
    "Outcome",
    "Overlap",
    "Policy",
    "Progress",
    "Requirements",
    "Sign",
    "StopLadder",
    "StopSign",
    "Why",
    "attempt_of",
    "begin",
    "call_in",
    "check_annotations",
    "check_need",
    "current_bus",
    "current_job",
    "definition_of",
    "encode_call",
    "encode_result",
    "ends_plainly",
    "execute",
    "failure",
    "function_of",
    "has_reported",
    "is_new",
    "job",
    "kept_traceback",
    "lazy_job",
    "load_jobs",
    "load_module",
    "owe_on_failure",
    "owe_on_stopped",
    "plain_call",
    "progress_in",
    "publish_outcome",
    "read_cron_job",
    "read_job_rows",
    "read_jobs",
    "read_needs",
    "read_outcome",
    "read_progress",
    "reason_in",
    "send_last_progress",
    "short_reason",
    "signature_of",
    "stored_error",
    "target_of",
    "trace_fields",
    "trace_of",
    "worker_died",
]
