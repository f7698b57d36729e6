import numpy as np
import polars as pl
import pytest

from flows.audit.intervals import bound_share
from flows.judging.calibration import calibrate, draw_half


def test_turns_of_one_conversation_fall_into_one_half():
    units = pl.Series([f"chat {number // 5}" for number in range(500)])
    half = draw_half(units)
    assert 150 < half.sum() < 350
    assert all(len(set(half[start : start + 5])) == 1 for start in range(0, 500, 5))
    assert (half != draw_half(units, seed=1)).any()


def test_few_rows_fit_nothing():
    found = calibrate(np.full((8, 2), 0.5), np.array([1, 2] * 4), np.ones(8, np.int64), pl.Series(range(8)))
    assert (found.scaling, found.coverages) == (None, ())


def test_of_calibration_too_rows_of_one_unit_vary_together():
    sure = np.linspace(0.5, 0.99, 100)
    probs, gold = np.stack([sure, 1 - sure], axis=1), np.arange(100) % 4 // 3 + 1
    ones, units = np.ones(100, np.int64), pl.Series(range(100))
    once = calibrate(probs, gold, ones, units)
    often = calibrate(*(np.repeat(one, 5, axis=0) for one in (probs, gold, ones)), pl.Series(np.arange(500) // 5))
    assert often.error == pytest.approx(once.error)
    for one, other in zip(once.bins, often.bins, strict=True):
        assert other.accuracy.model_dump() == pytest.approx(one.accuracy.model_dump())
    for one in often.coverages:
        low, high = bound_share(one.reached.value * often.scaling.rows, often.scaling.rows)
        assert one.reached.high - one.reached.low > 1.5 * (high - low)


def test_the_error_that_chance_alone_makes_stands_beside_that_of_the_judge():
    sure = np.linspace(0.5, 0.99, 200)
    probs, ones, units = np.stack([sure, 1 - sure], axis=1), np.ones(200, np.int64), pl.Series(range(200))
    true = np.where(np.arange(200) * 89 % 200 / 200 < sure, 1, 2)
    [meant, boastful] = (calibrate(probs, gold, ones, units) for gold in (true, np.arange(200) % 2 + 1))
    assert meant.error < 2 * meant.chance_error
    assert boastful.error > 3 * boastful.chance_error
    assert meant.chance_error == boastful.chance_error > 0.03
    turned = calibrate(probs[::-1], true[::-1], ones, units.reverse())
    assert turned.error == pytest.approx(meant.error)
    assert turned.chance_error == meant.chance_error
