import numpy as np
import polars as pl
import pytest

from flows.audit.intervals import bound_figure, bound_mean, bound_share
from flows.audit.pages import _show_share
from flows.audit.report import Share
from flows.judging.calibration import Figure
from flows.judging.pages import _bounded


@pytest.mark.parametrize(
    ("hits", "rows", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],  # the last: Newcombe 1998, table I
)
def test_shares_are_bounded_as_published(hits, rows, low, high):
    assert bound_share(hits, rows) == pytest.approx((low, high), abs=1e-4)


def test_of_nothing_nothing_is_known():
    assert bound_share(0, 0) == (0.0, 1.0)
    assert bound_mean(np.array([])) == (0.0, 1.0)


def test_the_bootstrap_agrees_with_the_normal_interval_of_many_values_and_repeats():
    values = np.sin(np.arange(900.0)) ** 2
    low, high = bound_mean(values)
    half = 1.96 * values.std() / 30
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=half / 3)
    assert (low, high) == bound_mean(values)
    assert (low, high) != bound_mean(values, seed=1)


def test_equal_values_leave_the_doubt_of_so_few_units():
    assert bound_mean(np.full(5, 0.25)) == pytest.approx(bound_share(1.25, 5))
    assert bound_mean(np.ones(90), units=pl.Series(range(90)) % 5) == pytest.approx(bound_share(5, 5))


def test_what_stays_the_same_however_units_count_is_not_bounded_unless_it_is_a_share():
    units = pl.Series(range(5))
    assert np.isnan(bound_figure(lambda _: 1.0, units)).all()
    assert bound_figure(lambda _: 1.0, units, share=True) == bound_share(5, 5)


def test_one_unit_bounds_nothing():
    values = np.array([0.0, 1.0, 1.0])
    assert np.isnan(bound_mean(values, units=pl.Series(["one"] * 3))).all()
    assert np.isnan(bound_mean(values[:1])).all()
    assert not np.isnan(bound_mean(values, units=pl.Series(["one", "one", "other"]))).any()


def test_replicates_without_a_value_count_for_nothing():
    low, high = bound_mean(np.array([0.8, 0.9]))
    assert (low, high) == pytest.approx((0.8, 0.9))


def test_values_of_one_unit_vary_together():
    values, units = np.arange(600) // 6 % 2, pl.Series(np.arange(600) // 6)
    alone, together = (np.diff(bound_mean(values.astype(float), units=own))[0] for own in (None, units))
    assert together == pytest.approx(6**0.5 * alone, rel=0.2)


def test_pages_show_a_dash_for_bounds_that_nobody_knows():
    low, high = bound_mean(np.ones(1))
    assert _show_share(Share(share=1, low=low, high=high, of=1)) == "100.0%\n-"
    assert _bounded(Figure(value=1, low=low, high=high)) == ("1.000", "-")
