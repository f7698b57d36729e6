"""No pair joins a cluster unverified, and none is lost."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import PartitionError
from warehouse.dedupe.bands import CANDIDATES
from warehouse.dedupe.edges import EDGES, attach, verify

WIDTH = 10


def signed(values):
    """{ref: ten values, or None} as a signature table."""
    signatures = [None if row is None else np.array(row, "<u4").tobytes() for row in values.values()]
    return pa.table({"ref": pa.array(values, pa.uint64()), "signature": pa.array(signatures, pa.binary(4 * WIDTH))})


def pairs(*triples):
    columns = zip(*triples, strict=True) if triples else ([], [], [])
    return pa.table([*columns], schema=CANDIDATES)


def sharing(count):
    """Values of which `count` are those of the zero signature."""
    return [0] * count + [1] * (WIDTH - count)


def check(candidates, signatures, threshold=0.7):
    return verify(attach(candidates, signatures), signatures, threshold)


def test_a_near_pair_is_kept_from_the_threshold_on():
    signatures = signed({1: sharing(10), 2: sharing(7), 3: sharing(6)})
    outcome = check(pairs((1, 2, "near"), (1, 3, "near"), (2, 3, "near")), signatures)
    assert outcome.kept.schema == EDGES
    assert outcome.kept.to_pylist() == [
        {"left": 1, "right": 2, "kind": "near", "jaccard": pytest.approx(0.7)},
        {"left": 2, "right": 3, "kind": "near", "jaccard": pytest.approx(0.9)},
    ]
    assert outcome.dropped.to_pylist() == [
        {"reason": "unverified", "ref": "0000000000000001-0000000000000003", "jaccard": pytest.approx(0.6)}
    ]
    assert outcome.tally().dropped == {"unverified": 1}


@pytest.mark.parametrize("kind", ["text", "thread"])
def test_the_same_text_or_thread_is_kept_whatever_the_estimate(kind):
    signatures = signed({1: sharing(10), 2: sharing(0), 3: None})
    outcome = check(pairs((1, 2, kind), (1, 3, kind)), signatures)
    assert outcome.kept["jaccard"].to_pylist() == [0.0, None]
    assert outcome.dropped.num_rows == 0


def test_a_near_pair_without_an_estimate_is_dropped():
    signatures = signed({1: None, 2: None})
    assert check(pairs((1, 2, "near")), signatures).dropped["jaccard"].to_pylist() == [None]


def test_the_reference_holds_both_ids_in_full():
    top = 2**64 - 1
    outcome = check(pairs((0xABC, top, "near")), signed({0xABC: sharing(10), top: sharing(0)}))
    assert outcome.dropped["ref"].to_pylist() == ["0000000000000abc-ffffffffffffffff"]


values = st.lists(st.lists(st.integers(0, 1), min_size=WIDTH, max_size=WIDTH), min_size=2, max_size=6)


@settings(deadline=None)
@given(values, st.data(), st.sampled_from([0.3, 0.55, 0.7, 1.0]))
def test_every_pair_is_judged_by_its_share_of_equal_values(rows, data, threshold):
    refs = data.draw(st.lists(st.integers(0, 2**64 - 1), min_size=len(rows), max_size=len(rows), unique=True))
    index = st.integers(0, len(rows) - 1)
    chosen = data.draw(st.lists(st.tuples(index, index, st.sampled_from(["near", "text"])), max_size=10))
    signatures = signed(dict(zip(refs, rows, strict=True)))
    outcome = check(pairs(*((refs[a], refs[b], kind) for a, b, kind in chosen)), signatures, threshold)
    shares = [sum(x == y for x, y in zip(rows[a], rows[b], strict=True)) for a, b, _ in chosen]
    passed = [
        share >= round(threshold * WIDTH, 6) or kind == "text"
        for share, (_, _, kind) in zip(shares, chosen, strict=True)
    ]
    assert outcome.kept["jaccard"].to_pylist() == pytest.approx(
        [share / WIDTH for share, good in zip(shares, passed, strict=True) if good]
    )
    assert outcome.tally().rows_in == len(chosen)
    assert outcome.dropped.num_rows == passed.count(False)


@pytest.mark.parametrize("signatures", [signed({1: sharing(1), 3: sharing(1)}), signed({})])
def test_a_missing_signature_stops_the_partition(signatures):
    with pytest.raises(
        PartitionError, match="1 pairs name a `left` that has no signature here, such as 00000000000000ff"
    ):
        attach(pairs((0xFF, 0x100, "near")), signatures)


def test_no_candidates_give_no_edges():
    outcome = check(pairs(), signed({}))
    assert outcome.kept.schema == EDGES
    assert outcome.tally().rows_in == 0
