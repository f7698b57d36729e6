"""Scorers: what an audit asks of a pair, whoever answers. The embedded one needs no model."""

from dataclasses import dataclass
from typing import Protocol

import polars as pl

from miners.web.mining.continuity import measure_pairs, score_features

OK = "ok"

SCORES = pl.Schema({"score": pl.Float64, "state": pl.String})
"""What a scorer answers of each pair. state: `ok`, or why there is no score: `unparseable`, `refused`, `timeout`,
`error`. A score is null exactly where the state is another than `ok`: no failure counts as a yes or a no."""


class Scorer(Protocol):
    """Scores pairs of a prefix and a candidate suffix; the higher, the likelier that the one continues the other.

    method, model: what the report calls it. threshold: a pair that scores above it passes for a continuation by itself.
    margin: by how much a negative has to beat the true suffix to be suspicious.
    """

    @property
    def method(self) -> str:
        """Name of the method."""
        ...

    @property
    def model(self) -> str | None:
        """Name of the model, where one answers."""
        ...

    @property
    def threshold(self) -> float:
        """Where a score begins to mean yes."""
        ...

    @property
    def margin(self) -> float:
        """Lead over the true suffix that makes a negative suspicious."""
        ...

    def score(self, texts: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
        """Score pairs (`row, candidate`) of texts (`prefix, suffix`): SCORES, and any features, row by row."""
        ...


@dataclass(frozen=True, slots=True)
class EmbeddedScorer:
    """The linear score of `miners.web.mining.continuity`: a logit, so that 0 is as likely as not."""

    method: str = "embedded"
    model: str | None = None
    threshold: float = 0.0
    margin: float = 1.0

    def score(self, texts: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
        """Score pairs; the features stand beside the scores. A pair always has a score."""
        features = measure_pairs(texts, pairs)
        return features.with_columns(score_features(features), state=pl.lit(OK))
