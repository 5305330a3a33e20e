"""``notify top``: shows on a terminal, live, what goes on, and ends services and jobs after a question.

`app` adds the command to the command line; Textual, the extra ``top``, is imported when the command runs.
Nothing here asks Redis itself: all numbers come from ``workers.overview`` and the bus.
"""

from cli.top.command import top

__all__ = ["top"]
