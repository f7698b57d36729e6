"""The published curve is true: of the theory by brute force, and of the code by planted pairs."""

from itertools import product
from math import sqrt

import pyarrow as pa
import pytest

from warehouse.dedupe.bands import band_rows, candidates
from warehouse.dedupe.clusters import label
from warehouse.dedupe.curve import catch_curve, needed
from warehouse.dedupe.edges import attach, verify
from warehouse.dedupe.signatures import Sketch, signature_table

PAIRS = 400
THRESHOLD = 0.7


def by_brute_force(sketch, threshold, jaccard):
    """Add up the probability of every outcome of `num_perm` throws."""
    candidate = caught = 0.0
    for equal in product([0, 1], repeat=sketch.num_perm):
        probability = jaccard ** sum(equal) * (1 - jaccard) ** (sketch.num_perm - sum(equal))
        bands = [equal[at : at + sketch.rows] for at in range(0, sketch.num_perm, sketch.rows)]
        if any(map(all, bands)):
            candidate += probability
            caught += probability * (sum(equal) >= threshold * sketch.num_perm)
    return candidate, caught


@pytest.mark.parametrize(
    ("bands", "rows", "threshold"), [(3, 4, 0.5), (4, 2, 0.7), (1, 6, 0.9), (6, 1, 0.3), (2, 5, 0.0)]
)
def test_the_curve_is_that_of_brute_force(bands, rows, threshold):
    sketch = Sketch(bands=bands, rows=rows)
    for row in catch_curve(sketch, threshold, [0.0, 0.2, 0.5, 0.8, 1.0]).to_pylist():
        assert (row["candidate"], row["caught"]) == pytest.approx(by_brute_force(sketch, threshold, row["jaccard"]))


def test_the_default_bands_are_as_published():
    """Catch probabilities of 14x8 at .6, .7, .8, .9, as datatrove's documentation has them."""
    curve = catch_curve(Sketch(), 0.0, [0.6, 0.7, 0.8, 0.9])
    assert [round(value, 3) for value in curve["candidate"].to_pylist()] == [0.211, 0.565, 0.924, 1.0]
    assert curve["caught"].to_pylist() == pytest.approx(curve["candidate"].to_pylist())


@pytest.mark.parametrize(
    ("num_perm", "threshold", "least"), [(112, 0.7, 79), (100, 0.55, 55), (10, 0.7, 7), (8, 1.0, 8)]
)
def test_the_threshold_is_reached_by_equality(num_perm, threshold, least):
    assert needed(num_perm, threshold) == least


def planted(jaccard, first):
    """Texts in pairs with exactly that Jaccard similarity: of their N shingles, c differ, and J = (N - c) / (N + c).

    All words are unique, so a text of n words has N = n - 4, and a run of w replaced words changes c = w + 4.
    """
    shingles, changed = round(100 * (1 + jaccard)), round(100 * (1 - jaccard))
    length, run = shingles + 4, changed - 4
    texts = []
    for pair in range(first, first + PAIRS):
        words = [f"w{pair}x{place}" for place in range(length)]
        start = 10 + pair % 40
        others = [f"v{pair}x{place}" for place in range(run)]
        texts += [" ".join(words), " ".join([*words[:start], *others, *words[start + run :]])]
    return texts


def test_planted_pairs_are_exactly_as_alike_as_they_say():
    for jaccard in (0.5, 0.95):
        left, right = (text.split() for text in planted(jaccard, 0)[:2])
        one, two = ({tuple(words[at : at + 5]) for at in range(len(words) - 4)} for words in (left, right))
        assert len(one & two) / len(one | two) == pytest.approx(jaccard)


@pytest.mark.parametrize("jaccard", [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95])
def test_planted_pairs_are_caught_as_often_as_the_curve_says(jaccard):
    sketch = Sketch()
    texts = planted(jaccard, round(jaccard * 100_000))
    groups = pa.table({"ref": pa.array(range(len(texts)), pa.uint64()), "text": texts})
    signatures = signature_table(groups, sketch)
    found = candidates(band_rows(signatures, sketch))
    edges = verify(attach(found, signatures), signatures, THRESHOLD).kept
    for table in (found, edges):  # pair by pair, or nothing: the texts of different pairs share no word
        assert [right - left for left, right in zip(*table.select([0, 1]).to_pydict().values(), strict=True)] == [
            1
        ] * len(table)
    curve = catch_curve(sketch, THRESHOLD, [jaccard]).to_pylist()[0]
    for column, caught in (("candidate", found.num_rows), ("caught", edges.num_rows)):
        expected = curve[column]
        assert abs(caught / PAIRS - expected) <= 4 * sqrt(expected * (1 - expected) / PAIRS) + 1 / PAIRS
    assert label(edges).num_rows == 2 * edges.num_rows


def test_no_cluster_holds_an_unverified_edge():
    """Loose bands propose many pairs that are unlike; their texts must not be in any cluster."""
    sketch = Sketch(bands=16, rows=2)
    texts = [text for jaccard in (0.5, 0.6, 0.7) for text in planted(jaccard, round(jaccard * 10))]
    groups = pa.table({"ref": pa.array(range(len(texts)), pa.uint64()), "text": texts})
    signatures = signature_table(groups, sketch)
    outcome = verify(attach(candidates(band_rows(signatures, sketch)), signatures), signatures, THRESHOLD)
    assert outcome.dropped.num_rows > 100
    assert min(outcome.kept["jaccard"].to_pylist()) >= THRESHOLD
    assert label(outcome.kept).num_rows == len({*outcome.kept["left"].to_pylist(), *outcome.kept["right"].to_pylist()})
