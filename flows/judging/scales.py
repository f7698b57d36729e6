"""Scales: how far a judge and another reader agree on the labels of a rubric, label by label and over all."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from flows.audit.intervals import bound_figure
from flows.judging.calibration import Figure, share_figure
from miners.chats.mining.views import View
from schemas.manifest import Record
from warehouse.agreement import Flags, Floats, Labels, count_pairs, kappa

SIGNS = ("negative", "neutral", "positive")
"""The three classes of every view, in their order: labels from 1."""


class LabelScore(Record):
    """How well one label is told. Bounds of F1 follow from those of what both gave it, of all that either did."""

    name: str
    gold: int
    said: int
    precision: Figure
    recall: Figure
    f1: Figure


class Scale(Record):
    """Agreement on one scale. matrix: rows by the gold label, columns by the judge's."""

    names: tuple[str, ...]
    rows: int
    matrix: tuple[tuple[int, ...], ...]
    accuracy: Figure
    kappa: Figure
    linear: Figure | None
    """Kappa by the distance of the labels, and by its square; None where they have no order."""
    quadratic: Figure | None
    labels: tuple[LabelScore, ...]


def compare(gold: Labels, said: Labels, names: Sequence[str], units: pl.Series, *, ordered: bool) -> Scale:
    """Compare the labels (from 1) of two readers. units: of each row; those of one, such as a user, vary together."""
    matrix = count_pairs(gold, said, len(names))
    powers = {"kappa": 0, "linear": 1, "quadratic": 2} if ordered else {"kappa": 0}
    figures = {name: bound_kappa(gold, said, len(names), units, power) for name, power in powers.items()}
    return Scale(
        names=tuple(names),
        rows=len(gold),
        matrix=tuple(tuple(int(count) for count in row) for row in matrix),
        accuracy=share_figure(gold == said, units),
        kappa=figures["kappa"],
        linear=figures.get("linear"),
        quadratic=figures.get("quadratic"),
        labels=tuple(_score(gold == at, said == at, name, units) for at, name in enumerate(names, start=1)),
    )


def sign_labels(labels: Labels, view: View) -> Labels:
    """Say of each label (from 1) whether it is negative, neutral or positive: 1, 2 or 3."""
    return _signs(view)[labels - 1] + 1


def sign_probs(probs: Floats, view: View) -> Floats:
    """Sum the probabilities of labels up to those of the three classes."""
    summed: Floats = probs @ np.eye(len(SIGNS))[_signs(view)]
    return summed


def _signs(view: View) -> npt.NDArray[np.int64]:
    kinds = (view.negative, view.neutral, view.positive)
    places = range(1, len(view.categories) + 1)
    return np.array([next(at for at, kind in enumerate(kinds) if label in kind) for label in places])


def bound_kappa(gold: Labels, said: Labels, count: int, units: pl.Series, power: int) -> Figure:
    """Give kappa (see `warehouse.agreement.kappa`) of labels from 1 to `count`, with bounds; units as in `compare`."""

    def measure(times: npt.NDArray[np.int64]) -> float:
        return kappa(count_pairs(gold, said, count, times), power)

    low, high = bound_figure(measure, units)
    return Figure(value=kappa(count_pairs(gold, said, count), power), low=low, high=high)


def _score(true: Flags, given: Flags, name: str, units: pl.Series) -> LabelScore:
    def share(rows: Flags) -> Figure:
        return share_figure((true & given)[rows], units.filter(rows))

    overlap = share(true | given)
    f1 = {bound: 2 * share / (1 + share) for bound, share in overlap.model_dump().items()}  # rises with the overlap
    return LabelScore(
        name=name,
        gold=int(true.sum()),
        said=int(given.sum()),
        precision=share(given),
        recall=share(true),
        f1=Figure(**f1),
    )
