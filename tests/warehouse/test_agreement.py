import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from warehouse.agreement import (
    calibration_error,
    chance_error,
    compare_counts,
    conformal_threshold,
    count_pairs,
    cut_bins,
    effect_size,
    fit_temperature,
    kappa,
    log_loss,
    predict_sets,
    soften,
)

LABELS = 4
READINGS = st.lists(st.tuples(st.integers(1, LABELS), st.integers(1, LABELS)), min_size=1, max_size=30)
XEROMAMMOGRAMS = np.array([[21, 12, 0, 0], [4, 17, 1, 0], [3, 9, 15, 2], [0, 0, 0, 1]], float)


def kappa_by_rows(pairs, power):
    """Kappa as its definition reads: disagreement of the pairs over that of every first with every second reading."""

    def differ(one, other):
        return abs(one - other) ** power if power else int(one != other)

    seen = sum(differ(*pair) for pair in pairs) / len(pairs)
    chance = sum(differ(one, other) for one, _ in pairs for _, other in pairs) / len(pairs) ** 2
    return 1 - seen / chance if chance else math.nan


@given(READINGS, st.sampled_from([0, 1, 2]))
def test_kappa_is_what_its_definition_says(pairs, power):
    first, second = np.array(pairs).T
    found = kappa(count_pairs(first, second, LABELS), power)
    assert found == pytest.approx(kappa_by_rows(pairs, power), nan_ok=True)


def test_kappa_is_as_published():
    assert kappa(np.array([[20.0, 5], [10, 15]])) == pytest.approx(0.4)
    # Two radiologists, 85 xeromammograms (Altman 1991, pages 404 to 408).
    assert kappa(XEROMAMMOGRAMS) == pytest.approx(0.47, abs=0.005)
    assert kappa(XEROMAMMOGRAMS, 1) == pytest.approx(0.57, abs=0.005)


@given(READINGS, st.sampled_from([0, 1, 2]))
def test_it_does_not_matter_who_reads_first(pairs, power):
    matrix = count_pairs(*np.array(pairs).T, LABELS)
    assert kappa(matrix, power) == pytest.approx(kappa(matrix.T, power), nan_ok=True)
    weighed = count_pairs(*np.array(pairs).T, LABELS, np.full(len(pairs), 3))
    assert kappa(weighed, power) == pytest.approx(kappa(matrix, power), nan_ok=True)


@given(
    st.lists(st.tuples(st.floats(0, 1) | st.sampled_from([0.5, 0.7, 1]), st.booleans()), min_size=1, max_size=60),
    st.integers(1, 12),
)
def test_the_calibration_error_is_the_mean_gap_of_bins_of_equal_mass(rows, bins):
    confidence, right = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    parts = cut_bins(confidence, bins)
    assert sorted(np.concatenate(parts)) == list(range(len(rows)))
    if len(set(confidence)) == len(rows):
        assert [len(part) for part in parts] == [len(part) for part in np.array_split(confidence, bins) if len(part)]
    assert all(confidence[low].max() < confidence[high].min() for low, high in pairwise(parts))
    ordered = sorted(rows, key=lambda row: row[0])
    gap, start = 0.0, 0
    for part in parts:
        own = ordered[start : start + len(part)]
        gap += abs(sum(row[0] for row in own) - sum(row[1] for row in own))
        start += len(part)
    assert calibration_error(confidence, right, bins) == pytest.approx(gap / len(rows))


@given(st.lists(st.tuples(st.sampled_from([0.3, 0.5, 0.7, 0.9, 0.95]), st.booleans()), max_size=60), st.data())
def test_the_calibration_error_is_the_same_in_any_order_of_the_rows(rows, data):
    other = data.draw(st.permutations(rows))
    one, two = ([np.array([row[at] for row in own]) for at in (0, 1)] for own in (rows, other))
    assert calibration_error(*one) == pytest.approx(calibration_error(*two), abs=1e-12, nan_ok=True)


def test_equal_confidences_are_one_bin():
    confidence, right = np.full(100, 0.7), np.arange(100) < 70
    assert len(cut_bins(confidence)) == 1
    assert calibration_error(confidence, right) == pytest.approx(0)


def test_the_error_of_chance_is_that_of_true_confidences_and_shrinks_with_more_rows():
    few, many = np.linspace(0.3, 0.95, 200), np.linspace(0.3, 0.95, 5000)
    chance = np.random.default_rng(3)
    drawn = np.mean([calibration_error(few, chance.random(200) < few) for _ in range(1000)])
    assert chance_error(few) == pytest.approx(drawn, rel=0.06)
    assert chance_error(few[::-1]) == chance_error(few)
    assert chance_error(many) < chance_error(few) / 3
    assert chance_error(np.ones(50)) == 0
    assert chance_error(np.array([0.5])) == 0.5
    assert math.isnan(chance_error(np.array([])))


def draw(rows, labels, seed=7):
    """Probabilities, and labels drawn by them."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(size=(rows, labels)) * 2
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probs, (probs.cumsum(axis=1) < chance.random((rows, 1))).sum(axis=1) + 1


def test_a_temperature_undoes_overconfidence():
    probs, labels = draw(4000, 5)
    boastful = soften(probs, 1 / 3)
    temperature = fit_temperature(boastful, labels)
    assert temperature == pytest.approx(3, rel=0.1)
    assert soften(soften(probs, 2), 0.5) == pytest.approx(probs, abs=1e-3)
    mended = soften(boastful, temperature)
    assert log_loss(mended, labels) < log_loss(boastful, labels)
    errors = [calibration_error(one.max(axis=1), one.argmax(axis=1) + 1 == labels) for one in (mended, boastful)]
    assert errors[0] < 0.04
    assert errors[1] > 0.15


@given(st.integers(2, 25), st.floats(0.05, 0.99), st.integers(0, 5), st.booleans())
def test_conformal_sets_hold_the_truth_as_often_as_asked(rows, coverage, seed, ties):
    """The guarantee itself: of any rows, each judged by the threshold of the others, so many are covered."""
    probs, labels = draw(rows, 3, seed)
    probs = np.round(probs, 1) if ties else probs
    covered = 0
    for row in range(rows):
        rest = np.arange(rows) != row
        sets = predict_sets(probs[[row]], conformal_threshold(probs[rest], labels[rest], coverage))
        covered += sets[0, labels[row] - 1]
    assert covered >= coverage * rows - 1e-6


def test_too_few_rows_give_sets_of_everything():
    probs, labels = draw(5, 3)
    assert predict_sets(probs, conformal_threshold(probs, labels, 0.9)).all()
    assert conformal_threshold(*draw(9, 3), 0.9) < 1  # nine are enough


@given(*[st.lists(st.integers(0, 50), min_size=5, max_size=5)] * 2)
def test_the_chi_square_is_scipys(old, new):
    assume(sum(old) and sum(new))
    seen = [at for at in range(5) if old[at] + new[at]]
    statistic, p_value = compare_counts(old, new)
    assert statistic == pytest.approx(compare_counts(new, old)[0])
    if len(seen) > 1:
        expected = chi2_contingency([[counts[at] for at in seen] for counts in (old, new)], correction=False)
        assert (statistic, p_value) == pytest.approx((expected.statistic, expected.pvalue))
    else:
        assert (statistic, p_value) == (0, 1)


def test_the_effect_of_a_shift_is_cohens():
    assert effect_size(0.5, 0.5) == 0
    assert effect_size(0.25, 0.5) == pytest.approx(math.pi / 6)  # arcsines of 1/2 and of its root
    assert effect_size(0.5, 0.25) == -effect_size(0.25, 0.5)
