"""``notify record`` and ``notify replay``: write the events of topics to a folder, show and export it, publish it again.

`app` adds the commands to the command line.
Nothing here reads or writes the files of a recording: `notify.flows.recording` does.
"""

from cli.recording.playback import replay
from cli.recording.record import record

__all__ = ["record", "replay"]
