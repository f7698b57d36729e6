import json
import math

import numpy as np
import polars as pl
import pytest

from flows.judging.scales import compare, sign_labels, sign_probs
from miners.chats.mining.views import NOF, WILDREWARD


def test_f1_is_that_of_precision_and_recall():
    gold, said = np.array([1, 1, 1, 2, 2, 3]), np.array([1, 1, 2, 2, 3, 3])
    scale = compare(gold, said, ("a", "b", "c"), pl.Series(range(6)), ordered=False)
    assert (scale.linear, scale.quadratic) == (None, None)
    for one in scale.labels:
        precision, recall = one.precision.value, one.recall.value
        assert one.f1.value == pytest.approx(2 * precision * recall / (precision + recall))
        assert one.f1.low < one.f1.value <= one.f1.high


def test_a_label_that_nobody_gave_has_no_figures():
    ones = np.ones(4, np.int64)
    scale = compare(ones, ones, ("a", "b"), pl.Series(range(4)), ordered=True)
    assert math.isnan(scale.kappa.value)
    assert math.isnan(scale.labels[1].f1.value)
    assert json.loads(scale.model_dump_json())["kappa"]["value"] is None


def test_a_row_that_stands_there_five_times_tells_no_more_than_once():
    gold, said = np.arange(60) * 7 % 3 + 1, np.arange(60) % 3 + np.where(np.arange(60) % 5, 1, 0)
    said = np.maximum(said, 1)
    units = pl.Series(range(60))
    once = compare(gold, said, ("a", "b", "c"), units, ordered=True)
    often = compare(
        *(np.repeat(one, 5) for one in (gold, said)), once.names, pl.Series(np.arange(300) // 5), ordered=True
    )
    for one, other in zip((once, *once.labels), (often, *often.labels), strict=True):
        for name in {"accuracy", "kappa", "quadratic", "precision", "recall", "f1"} & set(type(one).model_fields):
            assert getattr(other, name).model_dump() == pytest.approx(getattr(one, name).model_dump())


def test_views_say_what_is_negative():
    assert sign_labels(np.arange(1, 6), WILDREWARD).tolist() == [1, 1, 2, 3, 3]
    assert sign_labels(np.arange(1, 7), NOF).tolist() == [1, 1, 1, 1, 3, 2]
    assert sign_probs(np.array([[0.1, 0.2, 0.3, 0.25, 0.15]]), WILDREWARD) == pytest.approx(np.array([[0.3, 0.3, 0.4]]))
