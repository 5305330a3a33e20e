"""Errors of flows and recordings."""

from notify.errors.base import NotifyError

__all__ = [
    "DamagedRecordingError",
    "EndpointError",
    "FlowError",
    "FlowFileError",
    "FrameError",
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
    """The nodes and links of a flow do not fit together.

    ``place`` says where: ``("nodes", name)`` or ``("links", node, outlet)``, or nothing.
    """

    place: tuple[str, ...] = ()

    def at(self, *place: str) -> "WiringError":
        """Say where it is. Returns the error."""
        self.place = place
        return self


class FlowFileError(FlowError, ValueError):
    """A file does not describe a flow; the message names the line and the key."""


class UnroutedError(FlowError, LookupError):
    """A stage with several outlets has none for an item."""


class EndpointError(FlowError, ConnectionError):
    """An end of a flow on the network, a file, a command or a device cannot be opened, or was lost."""


class FrameError(FlowError, ValueError):
    """A frame that came in, or an item that is to be sent, cannot be used."""


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
