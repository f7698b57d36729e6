"""Components are a partition, decisions are total, and a cluster keeps its id when the corpus grows."""

import random
from datetime import UTC, datetime
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import RecipeError
from warehouse.dedupe.clusters import DECISIONS, KEEP, LABELS, LICENSES, decide, label
from warehouse.dedupe.edges import EDGES

TIME = pa.timestamp("ms", tz="UTC")
MEMBERS = pa.schema(
    [
        ("ref", pa.uint64()),
        ("component", pa.uint64()),
        ("group_id", pa.string()),
        ("text_hash", pa.uint64()),
        ("created_at", TIME),
        ("snapshot_at", TIME),
        ("score", pa.int64()),
        ("chars", pa.int64()),
        ("license", pa.string()),
        ("priority", pa.int32()),
    ]
)


def members(*rows):
    """Members of one component, refs 1, 2, ...; a row names only what matters."""
    known = ({"ref": at, "component": 1, "group_id": f"g{at}"} | row for at, row in enumerate(rows, 1))
    return pa.Table.from_pylist(list(known), schema=MEMBERS)


def survivor(table, *keep):
    return set(decide(table, keep)["survivor"].to_pylist())


def edges(pairs):
    columns = [[left for left, _ in pairs], [right for _, right in pairs], ["near"] * len(pairs), [0.9] * len(pairs)]
    return pa.table(columns, schema=EDGES)


def day(number):
    return datetime(2020, 1, number, tzinfo=UTC)


def components_by_hand(pairs):
    """Merge sets until nothing changes."""
    of = {ref: {ref} for pair in pairs for ref in pair}
    for left, right in pairs:
        merged = of[left] | of[right]
        of |= dict.fromkeys(merged, merged)
    return sorted((ref, min(group)) for ref, group in of.items())


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=25), st.randoms(use_true_random=False))
def test_components_are_those_of_merging_sets_in_any_order(pairs, shuffler):
    pairs = [(left + 2**63, right + 2**63) for left, right in pairs]
    found = label(edges(pairs))
    assert found.schema == LABELS
    assert [tuple(row.values()) for row in found.to_pylist()] == components_by_hand(pairs)
    shuffled = shuffler.sample([pair[:: shuffler.choice([1, -1])] for pair in pairs], len(pairs))
    assert label(edges(shuffled)).equals(found)


@pytest.mark.parametrize(
    ("criterion", "worse", "better"),
    [
        ("score", {"score": 3}, {"score": 4}),
        ("score", {"score": None}, {"score": -4}),
        ("license", {"license": "CC-BY-SA-4.0"}, {"license": "CC-BY-4.0"}),
        ("license", {"license": "Whatever-1.0"}, {"license": "CC-BY-NC-4.0"}),
        ("license", {"license": None}, {"license": "CC-BY-SA-3.0"}),
        ("license", {"license": "Apache-2.0"}, {"license": "CC0-1.0"}),
        ("license", {"license": "ODC-By-1.0"}, {"license": "CC-BY-3.0"}),
        ("license", {"license": "CC-BY-SA-2.5"}, {"license": "ODC-By-1.0"}),
        ("newest", {"snapshot_at": day(1), "created_at": day(9)}, {"snapshot_at": day(2), "created_at": day(1)}),
        ("newest", {"snapshot_at": day(1), "created_at": day(1)}, {"snapshot_at": day(1), "created_at": day(2)}),
        ("newest", {"snapshot_at": None}, {"snapshot_at": day(1)}),
        ("oldest", {"created_at": day(2)}, {"created_at": day(1)}),
        ("oldest", {"created_at": None}, {"created_at": day(1)}),
        ("longest", {"chars": 10}, {"chars": 11}),
        ("priority", {"priority": 1}, {"priority": 0}),
        ("priority", {"priority": None}, {"priority": 7}),
    ],
)
def test_a_criterion_decides_before_ids_do(criterion, worse, better):
    assert survivor(members(worse, better), criterion) == {2}
    assert survivor(members(better, worse), criterion) == {1}


def test_every_criterion_is_a_known_one_and_others_name_the_nearest():
    assert set(KEEP) == {"score", "license", "newest", "oldest", "longest", "priority"}
    with pytest.raises(RecipeError, match=r"`keep` names `licence`; did you mean `license`\?"):
        decide(members({}), ["score", "licence"])


def test_no_license_has_two_ranks():
    known = [
        "CC0-1.0",
        "MIT",
        "Apache-2.0",
        "CC-BY-4.0",
        "ODC-By-1.0",
        "CC-BY-SA-4.0",
        "CC-BY-NC-SA-4.0",
        "CC-BY-ND-4.0",
    ]
    ranks = [pa.compute.match_substring_regex(pa.array(known), pattern).to_pylist() for pattern in LICENSES]
    assert [sum(column) for column in zip(*ranks, strict=True)] == [1] * len(known)


def test_criteria_decide_in_turn_then_the_group_id_then_the_ref():
    table = members({"score": 5, "chars": 1}, {"score": 5, "chars": 2}, {"score": 4, "chars": 9})
    assert survivor(table, "score", "longest") == {2}
    assert survivor(table, "longest", "score") == {3}
    assert survivor(members({"group_id": "b"}, {"group_id": "a"})) == {2}
    assert survivor(members({"group_id": "a"}, {"group_id": "a"})) == {1}


def test_reasons_are_told_by_what_is_shared_with_the_survivor():
    rows = [
        {"group_id": "a", "text_hash": 1},
        {"group_id": "a", "text_hash": 1},
        {"group_id": "b", "text_hash": 1},
        {"group_id": "c", "text_hash": 2},
        {"group_id": "d", "text_hash": None},
    ]
    decisions = decide(members(*rows), ["priority"])
    assert decisions.schema == DECISIONS
    assert decisions["kept"].to_pylist() == [True, False, False, False, False]
    assert decisions["reason"].to_pylist() == [
        None,
        "same_thread",
        "exact_duplicate",
        "near_duplicate",
        "near_duplicate",
    ]


def test_two_texts_without_a_hash_are_not_exact_duplicates():
    assert decide(members({}, {}), [])["reason"].to_pylist() == [None, "near_duplicate"]


rows = st.fixed_dictionaries(
    {
        "component": st.integers(1, 3),
        "group_id": st.sampled_from("abcd"),
        "text_hash": st.none() | st.integers(1, 2),
        "created_at": st.none() | st.integers(1, 3).map(day),
        "snapshot_at": st.none() | st.integers(1, 3).map(day),
        "score": st.none() | st.integers(-1, 1),
        "chars": st.none() | st.integers(0, 2),
        "license": st.none() | st.sampled_from(["MIT", "CC-BY-4.0", "odd"]),
        "priority": st.none() | st.integers(0, 2),
    }
)
policies = st.lists(st.sampled_from(sorted(KEEP)), unique=True)


@settings(deadline=None)
@given(st.lists(rows, max_size=12), policies, st.randoms(use_true_random=False))
def test_each_component_keeps_exactly_one_in_any_order(listed, keep, shuffler):
    table = members(*listed)
    decisions = decide(table, keep)
    assert decisions["ref"].to_pylist() == table["ref"].to_pylist()
    by_component: dict = {}
    for row, decision in zip(table.to_pylist(), decisions.to_pylist(), strict=True):
        by_component.setdefault(row["component"], []).append(decision)
        assert decision["kept"] == (decision["reason"] is None) == (decision["ref"] == decision["survivor"])
    for group in by_component.values():
        assert [row["kept"] for row in group].count(True) == 1
        assert {(row["survivor"], row["cluster_id"], row["cluster_size"]) for row in group} == {
            (group[0]["survivor"], group[0]["cluster_id"], len(group))
        }
    order = shuffler.sample(range(len(listed)), len(listed))
    assert decide(table.take(pa.array(order, pa.int64())), keep).equals(decisions)


def test_newer_duplicates_leave_the_cluster_id_as_it_was():
    first = [{"group_id": "m", "created_at": day(2), "score": 1}, {"group_id": "z", "created_at": day(1), "score": 2}]
    newer = [{"group_id": "a", "created_at": day(3), "score": 9}, {"group_id": "b", "created_at": None, "score": 3}]
    before, after = decide(members(*first), ["score"]), decide(members(*first, *newer), ["score"])
    assert set(before["cluster_id"].to_pylist()) == set(after["cluster_id"].to_pylist()) == {"z"}
    assert set(before["survivor"].to_pylist()) == {2}
    assert set(after["survivor"].to_pylist()) == {3}


def test_a_long_chain_is_one_cluster():
    refs = list(range(5000))
    random.Random(1).shuffle(refs)
    found = label(edges(list(pairwise(refs))))
    assert set(found["component"].to_pylist()) == {0}
