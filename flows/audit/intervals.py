"""Intervals: between which figures the truth of a sampled share or mean lies, 19 times of 20."""

import math
from collections.abc import Callable, Iterator

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
    """Bound a mean by the bootstrap; see `bound_figure`."""
    if not len(values):
        return 0.0, 1.0
    places = pl.int_range(len(values), eager=True)
    return bound_figure(lambda times: float(values @ times / max(times.sum(), 1)), places, seed)


def bound_figure(
    figure: Callable[[npt.NDArray[np.int64]], float], units: pl.Series, seed: int = 0
) -> tuple[float, float]:
    """Bound a figure by the bootstrap: how it varies as each unit is drawn 0, 1, 2, ... times (Poisson of mean 1).

    figure: is told how often each row counts. units: of each row; rows of one unit, such as a conversation, are drawn
    together. How often is read off a hash of the unit, so that the same rows give the same bounds. Replicates in which
    the figure is undefined are left out; (NaN, NaN) where it never is defined.
    """
    figures = np.array([figure(times) for times in _draw_times(units, seed)])
    known = figures[~np.isnan(figures)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, (0.025, 0.975))
    return float(low), float(high)


def _draw_times(units: pl.Series, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    frame = pl.DataFrame({"at": units})
    for replicate in range(_REPLICATES):
        chance = frame.select(hash64(pl.lit(f"bootstrap {seed} {replicate}"), "at")).to_series().to_numpy() / 2**64
        yield np.searchsorted(_POISSON, chance).astype(np.int64)
