import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.judging.drift import bound_difference, compare_labels

COUNTS = st.dictionaries(st.integers(1, 5), st.integers(0, 10_000))
USUAL = {1: 300, 2: 1400, 3: 7600, 4: 600, 5: 100}


def shifted(old, new):
    return [shift.label for shift in compare_labels(old, new).shifts if shift.alarming]


@pytest.mark.parametrize(
    ("old", "new", "bounds"),
    [  # Newcombe 1998, Statistics in Medicine 17, 873-890, table II, method 10
        ((48, 80), (56, 70), (0.0524, 0.3339)),
        ((3, 10), (9, 10), (0.1705, 0.8090)),
        ((0, 20), (10, 10), (0.6791, 1.0)),
    ],
)
def test_differences_are_bounded_as_published(old, new, bounds):
    assert bound_difference(old, new) == pytest.approx(bounds, abs=1e-4)


def test_a_build_beside_itself_has_not_drifted():
    drift = compare_labels(USUAL, USUAL)
    assert not drift.alarming
    assert drift.p_value == 1
    assert all(shift.low < 0 < shift.high for shift in drift.shifts)


def test_a_judge_that_grew_kinder_is_found_by_its_labels():
    kinder = {**USUAL, 3: 6600, 4: 1600}
    assert shifted(USUAL, kinder) == [3, 4]
    assert shifted(USUAL, {**USUAL, 5: 0, 3: 7700}) == [5]  # a label that is given no more
    assert shifted({3: 8900, 4: 1000}, {3: 8900, 4: 1000, 6: 200}) == [6]  # one that was never given


def test_large_builds_do_not_alarm_on_nothing():
    large = {label: count * 1000 for label, count in USUAL.items()}
    moved = {**large, 3: large[3] - 40_000, 2: large[2] + 40_000}  # 0.4 points of ten million turns
    drift = compare_labels(large, moved)
    assert drift.p_value < 1e-6
    assert not drift.alarming


def test_small_builds_do_not_alarm_on_chance():
    assert shifted({3: 8, 4: 2}, {3: 6, 4: 4}) == []


@given(COUNTS, COUNTS)
def test_every_label_of_either_build_is_compared_and_bounds_hold_the_difference(old, new):
    drift = compare_labels(old, new)
    assert [shift.label for shift in drift.shifts] == sorted({*old, *new})
    back = {shift.label: shift for shift in compare_labels(new, old).shifts}
    for shift in drift.shifts:
        assert shift.low <= shift.difference + 1e-12
        assert shift.difference <= shift.high + 1e-12
        assert shift.alarming == back[shift.label].alarming
        assert shift.low == pytest.approx(-back[shift.label].high)
