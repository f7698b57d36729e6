"""Intervals: between which figures the truth of a sampled share or mean lies, 19 times of 20."""

import math

import numpy as np
import numpy.typing as npt
import polars as pl

from schemas.identity import hash64

Z = 1.959964
"""Standard deviations that leave 2.5% on each side."""

_REPLICATES = 400
_POISSON = np.cumsum([math.exp(-1) / math.factorial(count) for count in range(8)])  # chance of up to so many drawn


def bound_share(hits: float, rows: int) -> tuple[float, float]:
    """Bound a share by Wilson's score interval (Wilson 1927), which stays within 0 and 1; (0, 1) for no rows.

    >>> [round(bound, 3) for bound in bound_share(8, 10)]
    [0.49, 0.943]
    """
    if not rows:
        return 0.0, 1.0
    share, square = hits / rows, Z * Z / rows
    middle = (share + square / 2) / (1 + square)
    half = Z * math.sqrt(share * (1 - share) / rows + square / (4 * rows)) / (1 + square)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def bound_mean(values: npt.NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """Bound a mean by the bootstrap: how it varies as each value is drawn 0, 1, 2, ... times (Poisson of mean 1).

    How often is read off a hash of the value's place, so that the same values give the same bounds.
    """
    if not len(values):
        return 0.0, 1.0
    place = pl.DataFrame({"at": pl.int_range(len(values), eager=True)})
    means = np.empty(_REPLICATES)
    for replicate in range(_REPLICATES):
        chance = place.select(hash64(pl.lit(f"bootstrap {seed} {replicate}"), "at")).to_series().to_numpy() / 2**64
        times = np.searchsorted(_POISSON, chance)
        means[replicate] = values @ times / max(times.sum(), 1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
