"""Groups meet exactly where they share a thread, a text or a band, and a giant key stays linear."""

from itertools import combinations, pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse.dedupe.bands import CANDIDATES, ROWS, WHOLE, band_rows, candidates, distinct
from warehouse.dedupe.signatures import Sketch

SKETCH = Sketch(bands=3, rows=2)
STRENGTH = ["thread", "text", "near"]


def signature_rows(values, **columns):
    """A signature table from lists of six values, null for None."""
    signatures = [None if row is None else np.array(row, "<u4").tobytes() for row in values]
    refs = columns.pop("ref", range(len(values)))
    return pa.table(
        {
            "ref": pa.array(refs, pa.uint64()),
            "text_hash": pa.array(columns.pop("text_hash", [None] * len(values)), pa.uint64()),
            "signature": pa.array(signatures, pa.binary(24)),
            **{name: pa.array(column, pa.uint64()) for name, column in columns.items()},
        }
    )


def rows_of(*triples):
    keys, refs, kinds = zip(*triples, strict=True) if triples else ((), (), ())
    return pa.table([keys, refs, pa.array(kinds, pa.string())], schema=ROWS)


def pairs_of(table):
    return [(row["left"], row["right"], row["kind"]) for row in table.to_pylist()]


values = st.lists(st.none() | st.lists(st.integers(0, 1), min_size=6, max_size=6), max_size=6)


@settings(deadline=None)
@given(values)
def test_two_groups_share_a_key_where_they_share_a_band(rows):
    expected = {
        (left, right)
        for left, right in combinations([at for at, row in enumerate(rows) if row], 2)
        for band in (slice(0, 2), slice(2, 4), slice(4, 6))
        if rows[left][band] == rows[right][band]
    }
    found = candidates(band_rows(signature_rows(rows), SKETCH))
    assert {pair[:2] for pair in pairs_of(found)} == expected
    assert found.schema == CANDIDATES


def test_a_group_has_a_key_for_each_band_and_one_for_its_text_and_thread():
    table = signature_rows([[1] * 6, None], text_hash=[5, 5], group_key=[9, 8])
    rows = band_rows(table, SKETCH)
    assert rows.schema == ROWS
    assert rows["kind"].to_pylist() == ["near"] * 3 + ["text"] * 2 + ["thread"] * 2
    assert rows["ref"].to_pylist() == [0, 0, 0, 0, 1, 0, 1]
    assert len(rows["key"].unique()) == 6  # only the text is shared


def test_the_same_number_as_band_text_and_thread_gives_different_keys():
    numbers = list(range(2000))
    table = signature_rows([[number] * 6 for number in numbers], text_hash=numbers, group_key=numbers)
    rows = band_rows(table, SKETCH)
    assert len(rows["key"].unique()) == rows.num_rows == 5 * 2000


def test_keys_use_all_their_bits():
    """They are bucketed by their value: every bit must be set in about half of them."""
    numbers = list(range(4000))
    keys = band_rows(signature_rows([[number] * 6 for number in numbers], text_hash=numbers), SKETCH)["key"].to_numpy()
    ones = ((keys[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)).mean(axis=0)
    assert np.all(np.abs(ones - 0.5) < 0.02)  # 5 standard deviations of 16,000 throws


@settings(deadline=None)
@given(st.sets(st.integers(0, 2**64 - 1), max_size=12), st.sampled_from(STRENGTH))
def test_up_to_six_members_give_all_pairs_and_more_a_star_and_a_chain(refs, kind):
    members = sorted(refs)
    star_and_chain = {*((members[0], ref) for ref in members[1:]), *pairwise(members)} if members else set()
    expected = set(combinations(members, 2)) if len(members) <= WHOLE else star_and_chain
    found = pairs_of(candidates(rows_of(*((3, ref, kind) for ref in refs))))
    assert found == [(*pair, kind) for pair in sorted(expected)]


rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8), st.sampled_from(STRENGTH)), max_size=30)


@settings(deadline=None)
@given(rows, st.integers(1, 3))
def test_pairs_of_several_buckets_are_those_of_one(triples, buckets):
    parts = [rows_of(*(triple for triple in triples if triple[0] % buckets == at)) for at in range(buckets)]
    together = pa.concat_tables([candidates(part) for part in parts])
    assert distinct(together).equals(candidates(rows_of(*triples)))


@settings(deadline=None)
@given(rows)
def test_candidates_are_those_of_brute_force_whatever_the_order(triples):
    expected: dict = {}
    for key in {(key, kind) for key, _, kind in triples}:
        members = sorted({ref for at, ref, kind in triples if (at, kind) == key})
        whole = len(members) <= WHOLE
        pairs = combinations(members, 2) if whole else {*pairwise(members), *((members[0], ref) for ref in members[1:])}
        for pair in pairs:
            expected[pair] = min(expected.get(pair, "near"), key[1], key=STRENGTH.index)
    found = pairs_of(candidates(rows_of(*triples)))
    assert found == [(*pair, kind) for pair, kind in sorted(expected.items())]
    assert candidates(rows_of(*reversed(triples))).equals(candidates(rows_of(*triples)))


def test_a_pair_found_twice_keeps_its_strongest_kind():
    found = candidates(
        rows_of((1, 4, "near"), (1, 2, "near"), (5, 4, "text"), (5, 2, "text"), (9, 2, "near"), (9, 3, "near"))
    )
    assert pairs_of(found) == [(2, 3, "near"), (2, 4, "text")]


def test_a_key_of_a_million_members_gives_two_pairs_a_member():
    many = 1_000_000
    kinds = pa.DictionaryArray.from_arrays(np.zeros(many, np.int8), ["near"]).cast(pa.string())
    giant = pa.table([np.zeros(many, np.uint64), np.arange(many, dtype=np.uint64), kinds], schema=ROWS)
    found = candidates(giant)
    assert found.num_rows == 2 * many - 3
    assert found["left"].to_numpy()[:many].tolist()[:3] == [0, 0, 0]


def test_nothing_gives_nothing():
    assert candidates(band_rows(signature_rows([]), SKETCH)).num_rows == 0
    assert candidates(rows_of()).schema == CANDIDATES
