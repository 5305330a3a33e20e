"""Cooperation of workers: a lease per worker, one elected leader, and the reaper of dead workers.

Every worker renews its lease here, and a renewal may make it the leader.
Nothing here takes a job from a queue.
"""

from workers.fleet.hold import NameHold
from workers.fleet.leader import Leader
from workers.fleet.lease import LEASE_S, Lease
from workers.fleet.name import leave_name, register_again, take_name
from workers.fleet.reaper import Reaper

__all__ = [
    "LEASE_S",
    "Leader",
    "Lease",
    "NameHold",
    "Reaper",
    "leave_name",
    "register_again",
    "take_name",
]
