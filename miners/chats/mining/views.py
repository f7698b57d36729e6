"""Views: what the labels of a rubric mean, as the papers have it. Declarations, not branches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import polars as pl

from schemas.chat_sections import Feedback, Hindsight
from schemas.errors import RecipeError, nearest
from schemas.judging import LEAST_PROBABILITY

FALSE_REFUSAL, RIGHTLY_REFUSED = 1, 2
"""Labels of the rubric `refusal`: its answers in their order, from 1; the third finds no refusal."""


@dataclass(frozen=True, slots=True)
class View:
    """A published reading of the labels of a rubric.

    source: paper and section.
    rubric: whose labels they are, from 1 in the order of its answers.
    categories: the name of each label.
    positive, negative, neutral: which labels praise the reply, find fault with it, or say nothing.
    ordinal: 1 to 4 by label; empty where the view has no order.
    published: share of each category in the source's first pass over all turns, where it says so.
    refusals: what a negative label becomes by the label of the rubric `refusal`; empty where none is asked.
    hindsight: whether neutral turns take the praise of a later one, where a recipe does not say.
    """

    name: str
    source: str
    summary: str
    rubric: str
    categories: tuple[str, ...]
    positive: frozenset[int]
    negative: frozenset[int]
    neutral: frozenset[int]
    ordinal: Mapping[int, int] = field(default_factory=dict)
    published: Mapping[str, float] = field(default_factory=dict)
    refusals: Mapping[int, int] = field(default_factory=dict)
    hindsight: bool = False

    def category(self) -> pl.Expr:
        """Name the label of each row."""
        names = dict(enumerate(self.categories, start=1))
        return pl.col("label").replace_strict(names, return_dtype=pl.String, default=None)

    def order(self) -> pl.Expr:
        """Give the ordinal of each row's label, null where it has none."""
        if not self.ordinal:
            return pl.lit(None, pl.Int8)
        return pl.col("label").replace_strict(self.ordinal, return_dtype=pl.Int8, default=None)

    def settle(self, asked: Hindsight) -> Hindsight:
        """Say which labels hindsight takes where the recipe leaves it to the view."""
        praise = self.hindsight if asked.positive is None else asked.positive
        return asked.model_copy(update={"positive": praise, "negative": bool(asked.negative)})


def find_view(name: str) -> View:
    """Look a view up; raises RecipeError with the nearest right name."""
    if name not in VIEWS:
        raise RecipeError(f"unknown view `{name}`; {nearest(name, list(VIEWS))}")
    return VIEWS[name]


def is_one_of(labels: frozenset[int]) -> pl.Expr:
    """Say which rows have one of the labels; false where the judge gave none."""
    return pl.col("label").is_in(sorted(labels)).fill_null(value=False)


def is_unsure(feedback: Feedback) -> pl.Expr:
    """Say whose label too few votes are for, or is too improbable; a probability that is not known is none."""
    own = _soften(feedback.temperature).list.get(pl.col("label") - 1, null_on_oob=True)
    improbable = (own < feedback.min_probability).fill_null(value=False)
    return improbable | (pl.col("agreement") < feedback.min_agreement)


def _soften(temperature: float) -> pl.Expr:
    """Give `label_probs` at a temperature (Guo et al. 2017, arXiv 1706.04599); at 1 as they are."""
    probs = pl.col("label_probs")
    if temperature == 1:
        return probs
    power = pl.element().cast(pl.Float64).clip(LEAST_PROBABILITY) ** (1 / temperature)
    return probs.list.eval(power / power.sum())


WILDREWARD = View(
    "wildreward",
    source="WildReward (arXiv 2602.08829), section 3 and collect_rm_data",
    summary="five levels; neutral turns are left out, and the other four are ordered",
    rubric="wildreward",
    categories=("rejection", "correction", "neutral", "positive_engagement", "satisfaction"),
    positive=frozenset({4, 5}),
    negative=frozenset({1, 2}),
    neutral=frozenset({3}),
    ordinal={1: 1, 2: 2, 4: 3, 5: 4},
    published={  # the paper's figure of first-pass labels
        "rejection": 0.03,
        "correction": 0.14,
        "neutral": 0.76,
        "positive_engagement": 0.06,
        "satisfaction": 0.01,
    },
    # The paper's figure makes the feedback on a rightful refusal "level 4", of four; its code label 5, of five: the
    # same. The code alone makes a false refusal label 1, whatever it was.
    refusals={FALSE_REFUSAL: 1, RIGHTLY_REFUSED: 5},
    hindsight=True,
)
WILDFEEDBACK = View(
    "wildfeedback",
    source="WildFeedback (arXiv 2408.15549), section 3.1",
    summary="satisfied or dissatisfied, as the user's turn says of the reply before it",
    rubric="wildfeedback",
    categories=("SAT", "DSAT", "NEITHER"),
    positive=frozenset({1}),
    negative=frozenset({2}),
    neutral=frozenset({3}),
)
NOF = View(
    "nof",
    source="Don-Yehiya et al. 2024, naturally occurring feedback (arXiv 2407.10944), section 3",
    summary="kinds of feedback: repeat, correct, point out, ask to clarify (all negative), or praise",
    rubric="nof",
    categories=("UR1", "UR2", "UR3", "UR4", "UR5", "none"),
    positive=frozenset({5}),
    negative=frozenset({1, 2, 3, 4}),
    neutral=frozenset({6}),
)

VIEWS: Mapping[str, View] = MappingProxyType({view.name: view for view in (WILDREWARD, WILDFEEDBACK, NOF)})
