"""Calibration: whether a judge that says "80%" is right 8 times of 10, and what would make it so.

Half of the units (users, or conversations where nobody is known), drawn by a hash, fit a temperature and a conformal
threshold; the others judge them.
"""

import numpy as np
import polars as pl

from flows.audit.intervals import bound_mean
from schemas.identity import below_share, hash64
from schemas.manifest import Record
from warehouse.agreement import (
    Flags,
    Floats,
    Labels,
    calibration_error,
    chance_error,
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
    """A figure, and between which bounds the truth lies, 19 times of 20. NaN (in JSON null): it is not known."""

    value: float
    low: float
    high: float


class Bin(Record):
    """Rows whose confidence, the probability of the label that was said, lies together."""

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
    error: float
    """Expected calibration error over ten bins of equal mass; 0 is best."""
    chance_error: float
    """What of it chance alone makes, on the mean: the error of true probabilities, as high as these, of as many rows.

    Only an error above it tells against the judge. There are no bounds: drawing rows anew would add chance to chance.
    """
    loss: float
    bins: tuple[Bin, ...]
    scaling: Scaling | None
    """None where there are too few rows to fit anything."""
    coverages: tuple[Coverage, ...]


def calibrate(probs: Floats, gold: Labels, said: Labels, units: pl.Series, seed: int = 0) -> Calibration:
    """Measure probabilities (rows x labels) against the right labels, from 1.

    said: the label that the judge gave, whose probability is its confidence; of several votes it is the majority's, and
    need not be the likeliest. units: of each row; rows of one unit, such as a user, vary together and fall into the
    same half.
    """
    confidence, right = _take(probs, said), said == gold
    fits = draw_half(units, seed)
    enough = min(fits.sum(), (~fits).sum()) >= _LEAST_ROWS
    return Calibration(
        rows=len(gold),
        error=calibration_error(confidence, right),
        chance_error=chance_error(confidence),
        loss=log_loss(probs, gold),
        bins=tuple(_describe_bin(confidence[part], right[part], units[part]) for part in cut_bins(confidence)),
        scaling=_scale(probs, gold, said, fits) if enough else None,
        coverages=tuple(_cover(probs, gold, units, fits, asked) for asked in COVERAGES) if enough else (),
    )


def draw_half(units: pl.Series, seed: int = 0) -> Flags:
    """Draw half of the units, by their hash: which rows are theirs."""
    drawn = units.to_frame("unit").select(below_share(hash64(pl.lit(f"calibration {seed}"), "unit"), _HALF))
    return drawn.to_series().to_numpy()


def share_figure(hits: Flags, units: pl.Series) -> Figure:
    """Give the share of hits among rows, bounded by how units (of each row) vary; NaN of nothing."""
    low, high = bound_mean(hits.astype(np.float64), units=units)
    return Figure(value=float(hits.mean()) if len(hits) else float("nan"), low=low, high=high)


def _take(probs: Floats, labels: Labels) -> Floats:
    taken: Floats = probs[np.arange(len(labels)), labels - 1]
    return taken


def _describe_bin(confidence: Floats, right: Flags, units: pl.Series) -> Bin:
    return Bin(rows=len(right), confidence=float(confidence.mean()), accuracy=share_figure(right, units))


def _scale(probs: Floats, gold: Labels, said: Labels, fits: Flags) -> Scaling:
    temperature = fit_temperature(probs[fits], gold[fits])
    rest, right, given = probs[~fits], gold[~fits], said[~fits]
    scaled = soften(rest, temperature)
    before, after = (calibration_error(_take(one, given), given == right) for one in (rest, scaled))
    return Scaling(
        temperature=temperature,
        rows=len(right),
        error_before=before,
        error_after=after,
        loss_before=log_loss(rest, right),
        loss_after=log_loss(scaled, right),
    )


def _cover(probs: Floats, gold: Labels, units: pl.Series, fits: Flags, asked: float) -> Coverage:
    threshold = conformal_threshold(probs[fits], gold[fits], asked)
    sets, right = predict_sets(probs[~fits], threshold), gold[~fits]
    sizes = sets.sum(axis=1)
    return Coverage(
        asked=asked,
        reached=share_figure(sets[np.arange(len(right)), right - 1], units.filter(~fits)),
        threshold=threshold,
        mean_size=float(sizes.mean()),
        sizes=tuple(np.bincount(sizes, minlength=probs.shape[1] + 1).tolist()),
    )
