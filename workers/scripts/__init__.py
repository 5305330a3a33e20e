"""The state machine of jobs: every transition is one Lua script with one typed method.

Queues, workers and the leader change jobs through these methods.
Nothing here decides when a transition is due.
"""

from workers.scripts.ahead import runs_in, text_of
from workers.scripts.callbacks import CallbackScripts, OwedCallback
from workers.scripts.claim import ClaimScripts
from workers.scripts.claimed import Claim
from workers.scripts.dependents import DependentScripts
from workers.scripts.enqueue import PLAIN, RQ_STATUS, Admission, Condition, EnqueueScripts, NewJob
from workers.scripts.fences import Fences, number_in
from workers.scripts.jobs import AT_ONCE, JobScripts
from workers.scripts.lease import LeaseScripts, Renewal
from workers.scripts.payload import too_large, unpacked
from workers.scripts.plain import FAILURE_TTL
from workers.scripts.records import COUNT_AT_ONCE, Deleted, JobCounts, RecordScripts
from workers.scripts.refill import AHEAD_BYTES, ClaimOptions, History, Refill, RefillCall
from workers.scripts.run import BEGIN_S, DEFAULT_TIMEOUT_S, Ended, ErrorCheck, Run, RunCheck
from workers.scripts.runner import rq_now, rq_time
from workers.scripts.runs import RunScripts
from workers.scripts.schedule import DueJobs, LoadedJob, ScheduleScripts

__all__ = [
    "AHEAD_BYTES",
    "AT_ONCE",
    "BEGIN_S",
    "COUNT_AT_ONCE",
    "DEFAULT_TIMEOUT_S",
    "FAILURE_TTL",
    "PLAIN",
    "RQ_STATUS",
    "Admission",
    "CallbackScripts",
    "Claim",
    "ClaimOptions",
    "ClaimScripts",
    "Condition",
    "Deleted",
    "DependentScripts",
    "DueJobs",
    "Ended",
    "EnqueueScripts",
    "ErrorCheck",
    "Fences",
    "History",
    "JobCounts",
    "JobScripts",
    "LeaseScripts",
    "LoadedJob",
    "NewJob",
    "OwedCallback",
    "RecordScripts",
    "Refill",
    "RefillCall",
    "Renewal",
    "Run",
    "RunCheck",
    "RunScripts",
    "ScheduleScripts",
    "number_in",
    "rq_now",
    "rq_time",
    "runs_in",
    "text_of",
    "too_large",
    "unpacked",
]
