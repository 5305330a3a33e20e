"""What workers do together: leases that show who is alive, one elected leader, and reaping after a death.

Every worker keeps its lease here and stands for election.
It never takes a job from a queue.
"""

from workers.fleet.leader import Leader
from workers.fleet.lease import LEASE_S, Lease

__all__ = [
    "LEASE_S",
    "Leader",
    "Lease",
]
