"""Calibration: whether a judge that says "80%" is right 8 times of 10, and what would make it so.

Half of the conversations, drawn by a hash, fit a temperature and a conformal threshold; the others judge them.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from flows.audit.intervals import bound_figure, bound_share
from schemas.identity import below_share, hash64
from schemas.manifest import Record
from warehouse.agreement import (
    Floats,
    Labels,
    calibration_error,
    conformal_threshold,
    cut_bins,
    fit_temperature,
    log_loss,
    predict_sets,
    soften,
)

COVERAGES = (0.8, 0.9, 0.95)
"""Asked of conformal sets: how often they are to hold the right label."""

_LEAST_ROWS = 20  # on either side; fewer fit nothing
_HALF = 0.5


class Figure(Record):
    """A figure, and between which bounds the truth lies, 19 times of 20. NaN (in JSON null): it is not defined."""

    value: float
    low: float
    high: float


class Bin(Record):
    """Rows whose confidence lies together."""

    rows: int
    confidence: float
    """On the mean: what the judge claims."""
    accuracy: Figure
    """What is true of it."""


class Scaling(Record):
    """A temperature fitted on one half and judged on the other (`rows`), before and after."""

    temperature: float
    rows: int
    error_before: float
    error_after: float
    loss_before: float
    loss_after: float


class Coverage(Record):
    """Sets of labels that should hold the right one so often, with a threshold of one half, counted on the other."""

    asked: float
    reached: Figure
    threshold: float
    """A label is in the set where its probability is at least 1 - this."""
    mean_size: float
    sizes: tuple[int, ...]
    """Rows with a set of no label, of one, of two, ..."""


class Calibration(Record):
    """How far probabilities can be taken at their word."""

    rows: int
    error: Figure
    """Expected calibration error over ten bins of equal mass; 0 is best. Of few rows chance alone makes it large."""
    loss: float
    bins: tuple[Bin, ...]
    scaling: Scaling | None
    """None where there are too few rows to fit anything."""
    coverages: tuple[Coverage, ...]


def calibrate(probs: Floats, labels: Labels, units: pl.Series, seed: int = 0) -> Calibration:
    """Measure probabilities (rows x labels) against the right labels, from 1.

    units: of each row; those of one unit, such as a conversation, fall into the same half.
    """
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) + 1 == labels
    fits = draw_half(units, seed)
    enough = min(fits.sum(), (~fits).sum()) >= _LEAST_ROWS
    return Calibration(
        rows=len(labels),
        error=_bound_error(confidence, right, units),
        loss=log_loss(probs, labels),
        bins=tuple(_describe_bin(confidence[part], right[part]) for part in cut_bins(confidence)),
        scaling=_scale(probs, labels, fits) if enough else None,
        coverages=tuple(_cover(probs, labels, fits, asked) for asked in COVERAGES) if enough else (),
    )


def draw_half(units: pl.Series, seed: int = 0) -> npt.NDArray[np.bool_]:
    """Draw half of the units, by their hash: which rows are theirs."""
    drawn = units.to_frame("unit").select(below_share(hash64(pl.lit(f"calibration {seed}"), "unit"), _HALF))
    return drawn.to_series().to_numpy()


def share_figure(hits: float, rows: float) -> Figure:
    """Give a share with its bounds; NaN of nothing."""
    low, high = bound_share(hits, int(rows))
    return Figure(value=hits / rows if rows else float("nan"), low=low, high=high)


def _bound_error(confidence: Floats, right: npt.NDArray[np.bool_], units: pl.Series) -> Figure:
    def measure(times: npt.NDArray[np.int64]) -> float:
        return calibration_error(np.repeat(confidence, times), np.repeat(right, times))

    low, high = bound_figure(measure, units)
    return Figure(value=calibration_error(confidence, right), low=low, high=high)


def _describe_bin(confidence: Floats, right: npt.NDArray[np.bool_]) -> Bin:
    accuracy = share_figure(int(right.sum()), len(right))
    return Bin(rows=len(right), confidence=float(confidence.mean()), accuracy=accuracy)


def _scale(probs: Floats, labels: Labels, fits: npt.NDArray[np.bool_]) -> Scaling:
    temperature = fit_temperature(probs[fits], labels[fits])
    rest, right = probs[~fits], labels[~fits]
    scaled = soften(rest, temperature)
    before, after = (calibration_error(one.max(axis=1), one.argmax(axis=1) + 1 == right) for one in (rest, scaled))
    return Scaling(
        temperature=temperature,
        rows=len(right),
        error_before=before,
        error_after=after,
        loss_before=log_loss(rest, right),
        loss_after=log_loss(scaled, right),
    )


def _cover(probs: Floats, labels: Labels, fits: npt.NDArray[np.bool_], asked: float) -> Coverage:
    threshold = conformal_threshold(probs[fits], labels[fits], asked)
    sets, right = predict_sets(probs[~fits], threshold), labels[~fits]
    sizes = sets.sum(axis=1)
    return Coverage(
        asked=asked,
        reached=share_figure(int(sets[np.arange(len(right)), right - 1].sum()), len(right)),
        threshold=threshold,
        mean_size=float(sizes.mean()),
        sizes=tuple(np.bincount(sizes, minlength=probs.shape[1] + 1).tolist()),
    )
