"""The page: what runs, what waits and why, live, for people with a browser; ``notify web`` serves it, `web_app` mounts it.

`app` adds the command to the command line; an application of one's own calls `web_app`.
Nothing here reads or changes Redis itself: the views call ``workers.overview`` and ``notify``. Nothing here is imported without the extra
``web`` but what says that it is missing.
"""

from cli.web.access import Access, Viewer
from cli.web.command import web
from cli.web.mount import web_app

__all__ = ["Access", "Viewer", "web", "web_app"]
