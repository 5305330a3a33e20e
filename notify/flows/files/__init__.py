"""Files that describe flows: TOML with nodes and links, or a Python module; and a flow drawn as text.

The command line runs and checks such files, and applications may read them.
A file is read, checked and built here, and never run.
"""

from notify.flows.files.document import FlowFile, read_flow_file
from notify.flows.files.drawing import drawing_of
from notify.flows.files.schema import KindInfo, json_schema, list_kinds

__all__ = ["FlowFile", "KindInfo", "drawing_of", "json_schema", "list_kinds", "read_flow_file"]
