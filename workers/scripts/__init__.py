"""The state machine of jobs: every transition is one Lua script with one typed method.

Queues, workers and the leader change jobs through these methods.
Nothing here decides when a transition is due.
"""

from workers.scripts.claim import Claim, ClaimScripts
from workers.scripts.enqueue import Admission, Condition, EnqueueScripts, NewJob
from workers.scripts.jobs import AT_ONCE, JobScripts
from workers.scripts.payload import too_large, unpacked
from workers.scripts.run import DEFAULT_TIMEOUT_S, Ended, Run, RunCheck
from workers.scripts.runner import JobScriptRunner, rq_time

__all__ = [
    "AT_ONCE",
    "DEFAULT_TIMEOUT_S",
    "Admission",
    "Claim",
    "ClaimScripts",
    "Condition",
    "Ended",
    "EnqueueScripts",
    "JobScriptRunner",
    "JobScripts",
    "NewJob",
    "Run",
    "RunCheck",
    "rq_time",
    "too_large",
    "unpacked",
]
