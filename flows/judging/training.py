"""Training of the embedded judge, from the seeds that this project wrote: no chat of anybody is in it."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from miners.chats.embedded.model import EmbeddedJudge, Model, save_model, train_model
from miners.chats.embedded.seeds import load_seeds
from miners.chats.mining.rubrics import find_rubric

NAME = "embedded/1"
"""Of the judge that is shipped, as verdicts carry it. Raise it with every change of seeds, features or settings."""

RUBRIC = "wildreward"
SHARES: Mapping[int, float] = MappingProxyType({1: 0.03, 2: 0.14, 3: 0.76, 4: 0.06, 5: 0.01})
"""How common the labels are among people, to which seeds are weighed: WildReward's first pass (arXiv 2602.08829)."""

TEMPERATURE = 0.71
"""Fitted on the development half of the gold set (benchmarks/gold)."""


def train_judge(folder: Path, *, temperature: float = TEMPERATURE) -> EmbeddedJudge:
    """Train the embedded judge on its seeds and write its folder: the same one each time."""
    seeds = load_seeds()
    labels = seeds["label"].to_numpy()
    weights = np.array([0.0, *SHARES.values()]) / np.maximum(np.bincount(labels, minlength=len(SHARES) + 1), 1)
    model = train_model(seeds, labels, count=len(SHARES), weights=weights[labels])
    warm = Model(model.weights, model.bias, temperature)
    return save_model(warm, folder, name=NAME, rubric=find_rubric(RUBRIC).id)
