"""The catch curve: with what probability a pair of a given Jaccard similarity is found, and survives the check.

It is published with a release, because bands and rows say little to a reader: 14x8 catches 92% of the pairs at .8.
The values of a signature are taken as independent, each equal with probability J (Broder 1997).
"""

from collections.abc import Sequence
from math import ceil

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.stats import binom

from warehouse.dedupe.signatures import Sketch

POINTS = tuple(percent / 100 for percent in range(30, 101, 5))


def needed(num_perm: int, threshold: float) -> int:
    """Least number of equal values whose share reaches the threshold."""
    return ceil(threshold * num_perm - 1e-9)  # .55 * 100 is a hair above 55


def catch_curve(sketch: Sketch, threshold: float, points: Sequence[float] = POINTS) -> pa.Table:
    """Tabulate `jaccard, candidate, caught: float64`, one row a point.

    candidate: probability that some band is all equal, 1 - (1 - J**rows)**bands.
    caught: probability that moreover the share of equal values reaches `threshold`; exact.
    """
    candidate = [1 - (1 - point**sketch.rows) ** sketch.bands for point in points]
    caught = [_caught(sketch, needed(sketch.num_perm, threshold), point) for point in points]
    return pa.table({"jaccard": pa.array(points, pa.float64()), "candidate": candidate, "caught": caught})


def _caught(sketch: Sketch, least: int, jaccard: float) -> float:
    """P(equal values >= least) less P(the same, and no band is whole)."""
    reached = np.arange(sketch.num_perm + 1) >= least
    equal = binom.pmf(np.arange(sketch.num_perm + 1), sketch.num_perm, jaccard)
    found = equal - _no_band_whole(sketch, jaccard)
    return float(np.clip(found[reached].sum(), 0.0, 1.0))  # a difference of sums may err by 1e-17


def _no_band_whole(sketch: Sketch, jaccard: float) -> npt.NDArray[np.float64]:
    """P(so many equal values, and no band whole), by adding one band at a time."""
    one_band = binom.pmf(np.arange(sketch.rows + 1), sketch.rows, jaccard)
    one_band[-1] = 0.0
    total = np.ones(1)
    for _ in range(sketch.bands):
        total = np.convolve(total, one_band)
    return total
