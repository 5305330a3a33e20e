"""``notify demo``: runs the lab, kills its storage, and shows what happens to the jobs.

`app` adds the command to the command line.
Nothing here is part of the lab: its services, worker and recorder are those of ``workers``.
"""

from cli.demo.command import demo

__all__ = ["demo"]
