"""The state of a service: one Redis hash of JSON values, with atomic steps and fenced writes.

The bus and services make it; services and jobs write it.
This folder never decides who may write: it checks the fences that it is given.
"""

from notify.state.fence import Fence, registered
from notify.state.state import State

__all__ = [
    "Fence",
    "State",
    "registered",
]
