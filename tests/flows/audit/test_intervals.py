import numpy as np
import pytest

from flows.audit.intervals import bound_mean, bound_share


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


def test_equal_values_leave_no_doubt():
    assert bound_mean(np.full(5, 0.25)) == pytest.approx((0.25, 0.25))
