"""Comparison: how far the judges in the ledger agree with each other, without gold.

A judge that is asked by a new version of a rubric is another judge: its old answers stay in the ledger, and show here
what the new prompt changed. Two judges that agree may still be wrong together.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import polars as pl

from flows.judging.calibration import Figure, share_figure
from flows.judging.evaluation import view_of
from flows.judging.judged import list_judges
from flows.judging.scales import bound_kappa
from miners.chats.mining.rubrics import find_rubric
from miners.chats.mining.views import View
from schemas.judging import State
from schemas.manifest import Record
from warehouse.root import Root


class Asked(Record):
    """A judge in the ledger. turns: to which it gave a label. judge: fingerprint of rubric, model and sampling."""

    rubric: str
    model: str
    judge: str
    turns: int


class Agreement(Record):
    """Two judges, by their places in the list. turns: to which both gave a label; equal: share of those."""

    first: int
    second: int
    turns: int
    equal: Figure
    kappa: Figure
    """Quadratic by the distance of the labels; where they have no order Cohen's, which knows none."""


class Comparison(Record):
    """The judges, the one with the most labels first, and every two of them."""

    ordered: bool
    judges: tuple[Asked, ...]
    pairs: tuple[Agreement, ...]


def compare_judges(root: Root, rubric: str) -> Comparison:
    """Compare all that the ledger has by a rubric, in whatever version has its answers.

    Raises FatalError where it has none.
    """
    asked = find_rubric(rubric)
    view = view_of(asked)
    judges = [own.filter(pl.col("state") == State.OK) for own in list_judges(root, asked)]
    judges = sorted((own for own in judges if own.height), key=lambda own: (-own.height, own["judge"][0]))
    return Comparison(
        ordered=bool(view.ordinal),
        judges=tuple(_describe(own) for own in judges),
        pairs=tuple(_compare(judges, first, second, view) for first, second in combinations(range(len(judges)), 2)),
    )


def _describe(own: pl.DataFrame) -> Asked:
    return Asked(rubric=own["rubric"][0], model=own["judge_model"][0], judge=own["judge"][0], turns=own.height)


def _compare(judges: Sequence[pl.DataFrame], first: int, second: int, view: View) -> Agreement:
    own = judges[first].select("uid", "label", unit=pl.coalesce("user", "group_id"))  # whose turns vary together
    both = own.join(judges[second].select("uid", other="label"), on="uid", maintain_order="left")
    one, two = (both[name].to_numpy().astype(np.int64) for name in ("label", "other"))
    power = 2 if view.ordinal else 0
    return Agreement(
        first=first,
        second=second,
        turns=both.height,
        equal=share_figure(one == two, both["unit"]),
        kappa=bound_kappa(one, two, len(view.categories), both["unit"], power),
    )
