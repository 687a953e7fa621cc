"""Runs real pipelines in processes of their own, and lets go wrong what can go wrong with a disk and a clock.

``shim``
    the library that is loaded into those processes, what it is told, and what it tells.
``processes``
    starts them: fresh, or forked off a process that has imported everything already (``zygote``).
``scenario``
    a project, and how to see what its outputs hold.
``survival``
    where a run can be killed, what must hold after that, and after the next run.
``powerloss``
    what may be left of the files when the power fails.

With ``ODIBI_FAULTS=full`` in the environment the tests try every call of every scenario; otherwise a sample.
"""

import os

FULL = os.environ.get("ODIBI_FAULTS", "") == "full"
"""Every kill point and every fault, rather than a sample."""
