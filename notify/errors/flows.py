"""Errors of flows and recordings."""

from notify.errors.base import NotifyError

__all__ = [
    "DamagedRecordingError",
    "FlowError",
    "NoRecordingError",
    "RecordingError",
    "RecordingExistsError",
    "RecordingStorageError",
    "UnroutedError",
    "WiringError",
]


class FlowError(NotifyError):
    """A flow cannot be built or run."""


class WiringError(FlowError, ValueError):
    """The nodes and links of a flow do not fit together."""


class UnroutedError(FlowError, LookupError):
    """A stage with several outlets has none for an item."""


class RecordingError(FlowError):
    """A recording cannot be written, read or replayed."""


class NoRecordingError(RecordingError, LookupError):
    """A folder does not exist, or holds something else than a recording."""


class RecordingExistsError(RecordingError):
    """The folder holds a recording already, or another process writes to it."""


class DamagedRecordingError(RecordingError):
    """A part of a recording cannot be read."""


class RecordingStorageError(RecordingError, OSError):
    """The operating system does not let a recording be written or read: the disk is full, for example."""
