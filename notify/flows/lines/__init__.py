"""Line sources: standard input, a file, a file that grows, the output of a command, a serial line; and a sink that writes a file.

Applications begin and end flows with them.
They never wait without an end: each can be stopped at any time.
"""

from notify.flows.lines.command import command_lines
from notify.flows.lines.file import follow_file
from notify.flows.lines.plain_file import read_lines, write_lines
from notify.flows.lines.serial_line import serial_lines
from notify.flows.lines.standard_input import stdin_lines

__all__ = ["command_lines", "follow_file", "read_lines", "serial_lines", "stdin_lines", "write_lines"]
