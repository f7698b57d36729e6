from math import sqrt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from schemas.identity import hash64
from schemas.statistics import LabelShare
from warehouse.label_shares import LabelTally, bound_shares, share_labels

NAMES = ("bad", "neutral", "good")
COUNTS = {"value": pl.String, "label": pl.String, "unit": pl.UInt64, "count": pl.UInt64}
TURNS = st.lists(
    st.fixed_dictionaries(
        {
            "label": st.sampled_from([*NAMES, None]),
            "user": st.sampled_from(["u", "v", "w", None]),
            "group_id": st.sampled_from(["a", "b"]),
            "language": st.sampled_from(["en", "zh", None]),
            "model": st.sampled_from(["gpt", "llama"]),
            "country": st.none(),
            "turn": st.integers(0, 20),
        }
    ),
    max_size=40,
)


def labels(*rows):
    return pl.DataFrame(rows, {"label": pl.String, "unit": pl.UInt64, "count": pl.UInt64}, orient="row")


def tally(*batches):
    schema = {"label": pl.String, **dict.fromkeys(("user", "group_id", "language", "model", "country"), pl.String)}
    found = LabelTally(NAMES)
    for batch in batches:
        found.add(pl.DataFrame(batch, {**schema, "turn": pl.Int32}), pl.col("label"))
    return found


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


@pytest.mark.parametrize(("users", "turns"), [(8, 50), (7, 7)])  # 1 / 49 * 49 is less than 1
def test_a_label_that_all_have_is_not_certain(users, turns):
    found = share_labels(labels(*(("good", unit, turns) for unit in range(users))), NAMES)["good"]
    assert found.high == pytest.approx(1)
    assert 0.6 < found.low < 0.7  # as of so many turns as there are users


def test_of_no_turns_nothing_is_said():
    assert share_labels(labels(), NAMES) == {}
    assert (tally([]).share(), tally([]).share_by()) == ({}, {})


@pytest.mark.parametrize("sizes", [[60] * 2, [60] * 3, [60] * 5, [300, *[10] * 30]], ids=["2", "3", "5", "uneven"])
@pytest.mark.parametrize("share", [0.2, 0.5])
def test_intervals_of_few_or_uneven_users_hold_the_truth(sizes, share):
    """Users differ: how often each gives the label is drawn evenly between 0 and twice the share."""
    users = pl.DataFrame({"unit": range(len(sizes)), "turn": [list(range(size)) for size in sizes]})
    logs = pl.DataFrame({"value": range(300)}).join(users, how="cross").explode("turn", empty_as_null=False)
    own, drawn = (
        hash64(pl.lit(name), *columns) / 2.0**64
        for name, columns in (("own", ("value", "unit")), ("drawn", ("value", "unit", "turn")))
    )
    said = logs.with_columns(label=drawn < 2 * share * own)
    found = bound_shares(said.group_by("value", "label", "unit").agg(count=pl.len())).filter("label")
    assert found.height >= 299
    assert found.select(pl.lit(share).is_between("low", "high").mean()).item() >= 0.8


@pytest.mark.parametrize("most", [1, 50, 10**6, 10**9, 10**15])
def test_an_interval_is_defined_however_unevenly_users_give(most):
    found = share_labels(labels(("good", 1, most), ("bad", 1, most), ("bad", 2, 1)), NAMES)["good"]
    assert 0 <= found.low < found.share < found.high <= 1


def test_one_user_counts_as_one_turn():
    found = share_labels(labels(("good", 1, 500), ("bad", 1, 500)), NAMES)["good"]
    assert (found.low, found.high) == pytest.approx((0.0546, 0.9454), abs=1e-4)


@given(st.dictionaries(st.tuples(st.sampled_from(NAMES), st.integers(0, 5)), st.integers(1, 30), min_size=1))
def test_an_interval_is_that_of_kish_s_effective_sample_whatever_stands_beside_it(counts):
    rows = [("own", label, unit, count) for (label, unit), count in counts.items()]
    beside = [("other", "bad", unit, 7) for unit in range(6)]
    found = bound_shares(pl.DataFrame([*rows, *beside], COUNTS, orient="row")).filter(pl.col("value") == "own")
    total = sum(counts.values())
    units = {unit: sum(count for (_, own), count in counts.items() if own == unit) for _, unit in counts}
    for label, low, high in found.select("label", "low", "high").iter_rows():
        hits = sum(count for (own, _), count in counts.items() if own == label)
        share, simple = hits / total, hits * (total - hits) / total
        size = even = total**2 / sum(given**2 for given in units.values())
        if simple and len(units) > 1:
            without = [(hits - counts.get((label, unit), 0)) / (total - given) for unit, given in units.items()]
            varied = sum((left - share) ** 2 for left in without) * (len(units) - 1) / len(units)
            few = (student.ppf(0.975, total - 1) / student.ppf(0.975, even - 1)) ** 2
            size = max(total / max(varied / (share * (1 - share) / (total - 1)), 1) * few, 1)
        square = 1.959964**2 / size
        half = 1.959964 * sqrt(share * (1 - share) / size + square / (4 * size))
        bounds = max((share + square / 2 - half) / (1 + square), 0), min((share + square / 2 + half) / (1 + square), 1)
        assert (low, high) == pytest.approx(bounds)


@settings(max_examples=25)
@given(TURNS, st.integers(0, 40))
def test_shares_are_those_of_the_turns_that_have_a_value_however_these_are_cut(turns, at):
    found = tally(turns[:at], turns[at:])
    known = [turn for turn in turns if turn["label"]]
    ranges = {0: "0", 1: "1", 2: "2-3", 3: "2-3", **dict.fromkeys(range(4, 8), "4-7")}
    assert set(found.share_by()) == ({"language", "model", "country", "turn"} if known else set())
    for by, groups in found.share_by().items():
        told = [(ranges.get(turn["turn"], "8+") if by == "turn" else turn[by], turn) for turn in known]
        assert set(groups) == {value for value, _ in told} - {None}
        for value, group in groups.items():
            own = [turn for name, turn in told if name == value]
            assert group.rows == len(own)
            alone = tally(own).share()
            assert list(group.shares) == list(alone)
            for name, share in alone.items():
                assert group.shares[name].model_dump() == pytest.approx(share.model_dump())


def test_the_commonest_value_comes_first_and_turns_come_in_their_order():
    some = {"label": "good", "user": None, "group_id": "a", "country": None}
    said = (("x", 9), ("y", 2), ("y", 2), ("z", 0))
    rows = [{**some, "language": code, "model": "m", "turn": turn} for code, turn in said]
    found = tally(rows).share_by()
    assert list(found["language"]) == ["y", "x", "z"]
    assert list(found["turn"]) == ["0", "2-3", "8+"]
    assert isinstance(found["language"]["y"].shares["good"], LabelShare)
