"""Agreement: how far two readings of the same things agree, and whether a judge's probabilities mean what they say.

Labels are whole numbers from 1; probabilities are rows x labels. What is drawn here is drawn by a hash.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.optimize import minimize_scalar
from scipy.stats import chi2

from schemas.identity import hash64
from schemas.judging import LEAST_PROBABILITY

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

BINS = 10
"""Of a reliability table: each holds as many rows, or more where confidences are equal."""

_MOST_LOG_TEMPERATURE = 3.0
_DRAWS = 200  # of right and wrong, to average over


def count_pairs(first: Labels, second: Labels, labels: int, times: npt.ArrayLike | None = None) -> Floats:
    """Count how often the first reader says i and the second j: labels x labels. times: how often each row counts."""
    cells = np.bincount((first - 1) * labels + second - 1, weights=times, minlength=labels**2)
    return cells.reshape(labels, labels).astype(np.float64)


def kappa(matrix: Floats, power: int = 0) -> float:
    """Give the agreement beyond chance, from a table of `count_pairs`; 1 is full, 0 as chance has it.

    power: 0 counts every disagreement the same (Cohen 1960), 1 and 2 by the distance of the labels or its square
    (Cohen 1968). NaN where chance alone agrees fully: both readers only ever said one and the same label.
    """
    places = np.arange(len(matrix))
    distance = np.abs(places[:, None] - places[None, :])
    weights = (distance > 0).astype(np.float64) if power == 0 else distance.astype(np.float64) ** power
    expected = np.outer(matrix.sum(axis=1), matrix.sum(axis=0)) / max(matrix.sum(), 1e-300)
    by_chance = (weights * expected).sum()
    return float(1 - (weights * matrix).sum() / by_chance) if by_chance else float("nan")


def cut_bins(confidence: Floats, bins: int = BINS) -> list[npt.NDArray[np.intp]]:
    """Cut rows into bins of equal size by their confidence, the lowest first: rows of each; of few rows fewer bins.

    A bin ends where a run of equal confidences does, so that the order of the rows does not tell which of them it has.
    """
    if not len(confidence):
        return []
    order = np.argsort(confidence, kind="stable")
    ordered = confidence[order]
    ends = np.cumsum([len(part) for part in np.array_split(order, bins)])
    moved = np.searchsorted(ordered, ordered[ends - 1], side="right")
    return np.split(order, np.unique(moved)[:-1])


def calibration_error(confidence: Floats, right: Flags, bins: int = BINS) -> float:
    """Give the expected calibration error: how far confidence and accuracy differ, on the mean over equal-mass bins.

    Naeini et al. 2015; bins of equal mass after Nixon et al. 2019 (arXiv 1904.01685). NaN without a row.
    """
    gaps = [len(part) * abs(confidence[part].mean() - right[part].mean()) for part in cut_bins(confidence, bins)]
    return float(sum(gaps) / len(confidence)) if gaps else float("nan")


def chance_error(confidence: Floats, bins: int = BINS) -> float:
    """Give the calibration error that confidences show where all of them are true, on the mean; NaN without a row.

    It is not 0: chance alone parts accuracy from confidence, the more the fewer rows there are (Roelofs et al. 2022,
    arXiv 2012.08668). Which rows are right is drawn by their confidence, each apart from the others.
    """
    ordered = np.sort(confidence)
    places = pl.int_range(len(ordered), eager=True).to_frame("place")
    draws = (places.select(hash64(pl.lit(f"calibrated {at}"), "place")).to_series() for at in range(_DRAWS))
    return float(np.mean([calibration_error(ordered, draw.to_numpy() / 2**64 < ordered, bins) for draw in draws]))


def log_loss(probs: Floats, labels: Labels) -> float:
    """Give the mean negative logarithm of the probability of the right label; NaN without a row."""
    if not len(labels):
        return float("nan")
    return float(-np.log(np.maximum(probs[np.arange(len(labels)), labels - 1], LEAST_PROBABILITY)).mean())


def soften(probs: Floats, temperature: float) -> Floats:
    """Divide the logits behind probabilities by a temperature: above 1 they come nearer to each other."""
    powers = np.maximum(probs, LEAST_PROBABILITY) ** (1 / temperature)
    softened: Floats = powers / powers.sum(axis=1, keepdims=True)
    return softened


def fit_temperature(probs: Floats, labels: Labels) -> float:
    """Find the temperature that makes the labels likeliest (Guo et al. 2017, arXiv 1706.04599, section 4.2)."""

    def lose(log_temperature: float) -> float:
        return log_loss(soften(probs, float(np.exp(log_temperature))), labels)

    found = minimize_scalar(lose, bounds=(-_MOST_LOG_TEMPERATURE, _MOST_LOG_TEMPERATURE), method="bounded")
    return float(np.exp(found.x))


def conformal_threshold(probs: Floats, labels: Labels, coverage: float) -> float:
    """Find how improbable a label may be and still be in the set, so that sets hold the truth so often.

    Split conformal prediction (Angelopoulos and Bates 2021, arXiv 2107.07511, section 1): of n scores 1 - p(true), the
    one at ceil((n + 1) coverage); 1, every label, where n is too small for it.
    """
    scores = np.sort(1 - probs[np.arange(len(labels)), labels - 1])
    place = int(np.ceil((len(scores) + 1) * coverage - 1e-9))
    return float(scores[place - 1]) if 0 < place <= len(scores) else 1.0


def predict_sets(probs: Floats, threshold: float) -> Flags:
    """Say which labels are in the set of each row: rows x labels."""
    sets: Flags = 1 - probs <= threshold
    return sets


def compare_counts(old: Sequence[float], new: Sequence[float]) -> tuple[float, float]:
    """Test whether two counts of the same labels come from the same shares: Pearson's chi-square and its p-value.

    Labels that neither has are left out; (0, 1) where there is nothing to compare.
    """
    table = np.array([old, new], np.float64)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or not table.sum(axis=1).all():  # noqa: PLR2004 (one label alone has no shares to compare)
        return 0.0, 1.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return statistic, float(chi2.sf(statistic, table.shape[1] - 1))


def effect_size(old: float, new: float) -> float:
    """Give Cohen's h of two shares (Cohen 1988, chapter 6): their difference on a scale on which rare ones count."""
    return float(2 * np.arcsin(np.sqrt(new)) - 2 * np.arcsin(np.sqrt(old)))
