"""Record the events of topics to files, read recordings, and replay them.

The command line, `notify.testing` and applications use this folder.
A recording is data: nothing in it is run, and no address or password of a server is written to it.
"""

from notify.flows.recording.check import RecordedEvents, recorded_events
from notify.flows.recording.compression import Compression
from notify.flows.recording.folder import Header
from notify.flows.recording.formats import ExportFormat, export, export_lines
from notify.flows.recording.line import Recorded
from notify.flows.recording.reader import OnDamage, Reader, TopicSummary
from notify.flows.recording.recorder import Recorder, RecorderCounters
from notify.flows.recording.replay import Replay, ReplayProgress, ReplayState
from notify.flows.recording.salvage import Damage
from notify.flows.recording.sink import record_to
from notify.flows.recording.source import replay_from
from notify.flows.recording.writer import RecordingWriter

__all__ = [
    "Compression",
    "Damage",
    "ExportFormat",
    "Header",
    "OnDamage",
    "Reader",
    "Recorded",
    "RecordedEvents",
    "Recorder",
    "RecorderCounters",
    "RecordingWriter",
    "Replay",
    "ReplayProgress",
    "ReplayState",
    "TopicSummary",
    "export",
    "export_lines",
    "record_to",
    "recorded_events",
    "replay_from",
]
