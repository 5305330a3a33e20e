"""``notify doctor``, ``metrics`` and ``healthcheck``: say what is wrong, to people, to Prometheus and to probes.

`app` adds the commands to the command line.
Nothing here looks at Redis itself: the commands call ``workers.overview``.
"""

from cli.health.examining import doctor
from cli.health.exposing import metrics
from cli.health.probing import healthcheck

__all__ = ["doctor", "healthcheck", "metrics"]
