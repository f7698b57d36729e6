"""Training of the embedded judge, from the seeds that this project wrote: no chat of anybody is in it."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import polars as pl

from miners.chats.embedded.model import EmbeddedJudge, Labels, Model, Probabilities, save_model, train_model
from miners.chats.embedded.seeds import load_exchanges, load_seeds
from miners.chats.mining.rubrics import find_rubric

NAME = "embedded/2"
"""Of the judge that is shipped, as verdicts carry it. Raise it with every change of seeds, features or settings."""

RUBRIC = "wildreward"
SHARES: Mapping[int, float] = MappingProxyType({1: 0.03, 2: 0.14, 3: 0.76, 4: 0.06, 5: 0.01})
"""How common the labels are among people, to which seeds are weighed: WildReward's first pass (arXiv 2602.08829)."""

_TEXTS = ("query", "reply", "feedback")

TEMPERATURE = 1.1
"""Fitted on rows 200 to 399 of the gold (benchmarks/gold), on which no cue had been tuned."""


def train_judge(folder: Path, *, temperature: float = TEMPERATURE) -> EmbeddedJudge:
    """Train the embedded judge on its seeds and write its folder: the same one each time.

    Whole exchanges weigh together half as much as follow-ups that were put into others.
    """
    parts = {1.0: load_seeds(), 0.5: load_exchanges()}
    weights = np.concatenate([_weigh(part["label"].to_numpy()) * weight for weight, part in parts.items()])
    seeds = pl.concat([part.select(*_TEXTS, "label") for part in parts.values()])
    model = train_model(seeds, seeds["label"].to_numpy(), count=len(SHARES), weights=weights)
    warm = Model(model.weights, model.bias, temperature)
    return save_model(warm, folder, name=NAME, rubric=find_rubric(RUBRIC).id)


def _weigh(labels: Labels) -> Probabilities:
    """Weigh rows so that labels are as common as among people; all together weigh 1."""
    counts = np.bincount(labels, minlength=len(SHARES) + 1)
    weights: Probabilities = (np.array([0.0, *SHARES.values()]) / np.maximum(counts, 1))[labels]
    return weights
