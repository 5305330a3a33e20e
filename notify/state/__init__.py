"""The state of a service: one Redis hash of JSON values, with atomic steps and fenced writes.

`Bus.state` and `Service.state` make it; services and jobs write it.
This folder never decides which writer is allowed: it checks the fences that its callers give.
"""

from notify.state.fence import Fence, registered
from notify.state.state import State

__all__ = [
    "Fence",
    "State",
    "registered",
]
