"""One measurement, and how time is taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class BenchmarkRow:
    """One measured number.

    Attributes
    ----------
    name : str
        What was measured, such as "compiled".
    value : float
        The number.
    unit : str
        Its unit, such as "ROIs/s".
    details : dict
        What it was measured with, such as ``{"roi_size": 25}``.
    """

    name: str
    value: float
    unit: str
    details: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, details beside the number."""
        return {"name": self.name, "value": self.value, "unit": self.unit, **self.details}


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of some work, s, after one run that warms caches up."""
    work()
    times = []
    for _ in range(max(1, repeats)):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)
