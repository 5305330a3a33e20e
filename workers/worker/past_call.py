"""A call of a function that is over, for RQ's code."""

from datetime import UTC, datetime
from typing import Any

__all__ = ["PastCall"]


class PastCall:
    """A call that is over. Inside RQ's code, `repeat` stands in for the function: it returns or raises the same again.

    Args:
        started_s: when it began, in seconds since the epoch.
        value: what the function returned.
        error: what it raised.
    """

    def __init__(self, started_s: float, *, value: Any = None, error: BaseException | None = None) -> None:
        self.started_s, self.value, self.error = started_s, value, error

    def repeat(self, job: Any) -> Any:
        """Return the value that the function returned, or raise the exception that it raised."""
        job.started_at = datetime.fromtimestamp(self.started_s, UTC)
        if self.error is not None:
            raise self.error
        return self.value
