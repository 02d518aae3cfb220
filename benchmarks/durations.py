"""Random times to sleep, the same for every library and every run."""

import random

SEED = 20


def durations(count: int, low_s: float, high_s: float) -> list[float]:
    """Return `count` random times in seconds, evenly spread between low and high, always the same ones."""
    generator = random.Random(SEED)
    return [generator.uniform(low_s, high_s) for _ in range(count)]
