"""The output of commands: data on stdout as tables, plain lines or JSON lines; messages on stderr.

Every command prints through an `Output`, which escapes what it prints.
Nothing here reads data: the commands hand in records.
"""

from cli.output.printer import Output, OutputClosedError, lines_of_event, one_line

__all__ = ["Output", "OutputClosedError", "lines_of_event", "one_line"]
