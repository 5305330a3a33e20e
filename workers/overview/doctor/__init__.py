"""The doctor: looks at the server and at all that Notify keeps there, and says what is wrong and what to do about it.

``notify doctor`` prints what `examine` finds; applications may call it too.
Nothing here changes anything: services are not withdrawn, and jobs stay where they are.
"""

from workers.overview.doctor.examination import examine
from workers.overview.doctor.finding import Finding, Level

__all__ = ["Finding", "Level", "examine"]
