"""``notify demo``, ``up`` and ``serve``: run the lab: its storage, thermometer, recorder and workers, each as a process of its own.

`app` adds the commands to the command line. `Child` runs one of the services for the other two commands.
Nothing here is part of the lab: its services, worker and recorder are those of ``workers``.
"""

from cli.lab.child import Child, environ_of
from cli.lab.demonstration import demo
from cli.lab.running import up
from cli.lab.serving import serve

__all__ = ["Child", "demo", "environ_of", "serve", "up"]
