"""How many processor cores there are for us."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Cores this process may use: a container or a job of a cluster often has fewer than all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cores_beside_napari() -> int:
    """All usable cores but one, so that napari stays fluid; of two both: one would halve the speed.

    What uses them should give way to napari besides.
    """
    cores = usable_cores()
    return cores if cores <= 2 else cores - 1
