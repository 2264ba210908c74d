"""Progress on standard error: which phase a run is in, how much of its work is done, what is left.

Whoever works counts it: bytes read, products, records (`work`). Phases may go on beside each other,
as writing does beside comparing: `phases` finds the one that bounds the run. A thread looks at them
a few times a second (`reporting`), and shows a bar on a terminal, elsewhere a line now and then
(`views`).
"""

from nsl_tools.progress.reporting import Progress
from nsl_tools.progress.work import Work

__all__ = ["Progress", "Work"]
