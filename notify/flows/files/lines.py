"""The kinds of nodes that give lines: standard input, a file that grows, a command, a serial line."""

from importlib.util import find_spec
from typing import Annotated, Any

import msgspec

from notify.errors import FlowFileError
from notify.flows.files.framed import Count, Framed
from notify.flows.files.kind import Above0, Name, Site
from notify.flows.lines import command_lines, follow_file, serial_lines, stdin_lines

__all__ = ["Command", "Serial", "Stdin", "Tail"]


class Stdin(Framed, frozen=True):
    """source: the lines of standard input"""

    def work(self, site: Site) -> Any:
        return stdin_lines(framing=self.framing_made(partial="keep"))


class Tail(Framed, frozen=True):
    """source: the lines that are appended to a file"""

    path: Name
    from_start: bool = False

    def work(self, site: Site) -> Any:
        return follow_file(self.path, from_start=self.from_start, framing=self.framing_made())


class Command(Framed, frozen=True):
    """source: the lines that a command prints, given as a list of arguments"""

    argv: Annotated[list[str], msgspec.Meta(min_length=1)]
    check: bool = True
    end_s: Above0 = 2.0

    def work(self, site: Site) -> Any:
        return command_lines(self.argv, check=self.check, end_s=self.end_s, framing=self.framing_made(partial="keep"))


class Serial(Framed, frozen=True):
    """source: the lines that a device sends on a serial line, with the extra serial"""

    device: Name
    baudrate: Count = 9_600
    reconnect: bool = True

    def work(self, site: Site) -> Any:
        if find_spec("serial") is None:
            raise FlowFileError("a node of the kind 'serial' needs pyserial: pip install 'notify-workers[serial]'")
        return serial_lines(self.device, self.baudrate, reconnect=self.reconnect, framing=self.framing_made())
