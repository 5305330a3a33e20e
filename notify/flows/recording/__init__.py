"""Record the events of topics to files, read recordings, and replay them.

The command line, `notify.testing` and applications use this folder.
A recording is data: nothing in it is run, and no address or password of a server is written to it.
"""

from notify.flows.recording.compression import Compression
from notify.flows.recording.folder import Header
from notify.flows.recording.line import Recorded
from notify.flows.recording.reader import OnDamage, Reader, TopicSummary
from notify.flows.recording.recorder import Recorder, RecorderCounters
from notify.flows.recording.salvage import Damage
from notify.flows.recording.writer import RecordingWriter

__all__ = [
    "Compression",
    "Damage",
    "Header",
    "OnDamage",
    "Reader",
    "Recorded",
    "Recorder",
    "RecorderCounters",
    "RecordingWriter",
    "TopicSummary",
]
