"""``notify doctor``: says what is wrong.

`app` adds the command to the command line.
Nothing here looks at Redis itself: the commands call ``workers.overview``.
"""

from cli.health.examining import doctor

__all__ = ["doctor"]
