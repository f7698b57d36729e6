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
_AT_ONCE = 20  # replicates drawn by one query; divides their number
_LEAST_UNITS = 2  # one alone does not say how units vary
_EQUAL = 1e-9  # figures nearer to each other differ by their rounding alone
_UNKNOWN = (float("nan"), float("nan"))
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


def bound_mean(values: npt.NDArray[np.float64], seed: int = 0, units: pl.Series | None = None) -> tuple[float, float]:
    """Bound a mean of values within 0 and 1 by the bootstrap; (0, 1) for no values. See `bound_figure`.

    units: of each value; by default each is one of its own.
    """
    if not len(values):
        return 0.0, 1.0

    def mean(times: npt.NDArray[np.int64]) -> float:
        drawn = times.sum()
        return float(values @ times / drawn) if drawn else float("nan")

    places = pl.int_range(len(values), eager=True) if units is None else units
    return bound_figure(mean, places, seed, share=True)  # such values vary at most as a share does


def bound_figure(
    figure: Callable[[npt.NDArray[np.int64]], float], units: pl.Series, seed: int = 0, *, share: bool = False
) -> tuple[float, float]:
    """Bound a figure by the bootstrap: how it varies as each unit is drawn 0, 1, 2, ... times (Poisson of mean 1).

    figure: is told how often each row counts. units: of each row; rows of one unit, such as a conversation, are drawn
    together. How often is read off a hash of the unit, so that the same rows give the same bounds. Replicates in which
    the figure is undefined are left out; (NaN, NaN) where it never is defined, and of fewer than two units.

    Where all replicates are equal they do not show the doubt that a few units leave: a share is then bounded as that of
    so many units (`bound_share`), and any other figure not at all: (NaN, NaN).
    """
    count = units.n_unique()
    if count < _LEAST_UNITS:
        return _UNKNOWN
    figures = np.array([figure(times) for times in _draw_times(units, seed)])
    known = figures[~np.isnan(figures)]
    if not len(known):
        return _UNKNOWN
    if np.ptp(known) < _EQUAL:
        return bound_share(float(known.mean()) * count, count) if share else _UNKNOWN
    low, high = np.quantile(known, (0.025, 0.975))
    return float(low), float(high)


def _draw_times(units: pl.Series, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    frame = units.unique(maintain_order=True).to_frame("at")
    places = units.replace_strict(frame["at"], np.arange(frame.height)).to_numpy()
    for first in range(0, _REPLICATES, _AT_ONCE):
        named = {str(at): hash64(pl.lit(f"bootstrap {seed} {at}"), "at") for at in range(first, first + _AT_ONCE)}
        for chance in frame.select(**named):
            yield np.searchsorted(_POISSON, chance.to_numpy() / 2**64).astype(np.int64)[places]
