"""Percentiles of a histogram with buckets by powers of two."""

from __future__ import annotations

__all__ = ["quantile_ns"]


def quantile_ns(histogram: list[int], share: float) -> int | None:
    """The upper bound of the bucket in which `share` (0 to 1) of the counts is reached; None if there are none.

    histogram: [n] counts what lies from 2**(n-1) up to 2**n nanoseconds.
    """
    total = sum(histogram)
    if total == 0:
        return None
    reached = 0
    for bucket, count in enumerate(histogram):
        reached += count
        if count and reached >= share * total:
            return 1 << bucket
    return None
