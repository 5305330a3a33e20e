"""The state of a service: one Redis hash of JSON values, with atomic steps and fenced writes.

Services and jobs write it; anybody may read it.
It never decides who may write: it checks the fences that it is given.
"""

from notify.state.fence import Fence, registered
from notify.state.state import State

__all__ = [
    "Fence",
    "State",
    "registered",
]
