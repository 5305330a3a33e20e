"""The state machine of jobs: every transition is one Lua script with one typed method.

Queues, workers and the leader change jobs through these methods.
Nothing here decides when a transition is due.
"""

from workers.scripts.claim import Claim, Claims
from workers.scripts.enqueue import Condition, Entrance, Entry, Taken
from workers.scripts.jobs import AT_ONCE, JobScripts
from workers.scripts.payload import too_large, unpacked
from workers.scripts.run import DEFAULT_TIMEOUT_S, Ended, Run
from workers.scripts.runner import NamedScripts, rq_time

__all__ = [
    "AT_ONCE",
    "DEFAULT_TIMEOUT_S",
    "Claim",
    "Claims",
    "Condition",
    "Ended",
    "Entrance",
    "Entry",
    "JobScripts",
    "NamedScripts",
    "Run",
    "Taken",
    "rq_time",
    "too_large",
    "unpacked",
]
