import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warehouse.feedback_statistics import describe_users, share_labels

NAMES = ("bad", "neutral", "good")


def labels(*rows):
    return pl.DataFrame(rows, {"label": pl.String, "unit": pl.UInt64, "count": pl.UInt64}, orient="row")


def test_shares_of_independent_turns_have_wilson_s_interval():
    rows = [("bad" if unit < 2 else "good", unit, 1) for unit in range(10)]
    found = share_labels(labels(*rows), NAMES)
    assert set(found) == {"bad", "good"}
    good = found["good"]
    assert (good.rows, good.share) == (8, 0.8)
    assert (good.low, good.high) == pytest.approx((0.490, 0.943), abs=0.001)


def test_turns_of_few_users_count_for_fewer():
    one_each = [("good" if unit % 4 else "bad", unit, 1) for unit in range(400)]
    few = [("good" if unit % 4 else "bad", unit, 100) for unit in range(4)]
    wide, narrow = share_labels(labels(*few), NAMES)["good"], share_labels(labels(*one_each), NAMES)["good"]
    assert wide.share == narrow.share == 0.75
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)


def test_a_label_that_all_have_is_not_certain():
    found = share_labels(labels(*(("good", unit, 50) for unit in range(8))), NAMES)["good"]
    assert found.high == 1
    assert 0.6 < found.low < 0.7  # as of eight turns


def test_of_no_turns_nothing_is_said():
    assert share_labels(labels(), NAMES) == {}


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(0, 20))
def test_users_are_described_as_by_the_definitions(counts, without):
    found = describe_users(pl.Series(counts), sum(counts) + without)
    gini = sum(abs(a - b) for a in counts for b in counts) / (2 * len(counts) * sum(counts))
    assert found.gini == pytest.approx(gini)
    assert (found.users, found.rows_without) == (len(counts), without)
    most = sorted(counts, reverse=True)[: -(-len(counts) // 10)]
    assert found.top_tenth == pytest.approx(sum(most) / sum(counts))
    assert found.top_hundredth == pytest.approx(max(counts) / sum(counts))


def test_without_users_there_is_nothing_to_describe():
    found = describe_users(pl.Series([], dtype=pl.UInt64), 7)
    assert (found.users, found.rows_without, found.gini) == (0, 7, None)
