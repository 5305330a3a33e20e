"""``notify asyncapi``: describes the messages, jobs and services of modules.

`app` adds the command to the command line.
Nothing here connects to a server, and nothing is run: the modules are imported, and what they define is described.
"""

from cli.asyncapi.describing import asyncapi

__all__ = ["asyncapi"]
