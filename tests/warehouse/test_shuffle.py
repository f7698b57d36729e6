import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.identity import digest
from warehouse.shuffle import order_rows, plan_cuts, take_cut
from warehouse.splits import assign_split

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


def rows(count):
    frame = pl.DataFrame({"n": range(count)}).select(uid=digest(pl.col("n").cast(pl.String)))
    return frame.with_columns(cluster_id=pl.col("uid")).with_columns(split=assign_split(SHARES, 0))


def cut_all(frame, places, **options):
    placed = order_rows(frame, list(SHARES), places, 0)
    counts = dict(placed.group_by("place").len().iter_rows())
    cuts = plan_cuts(counts, list(SHARES), places, **{"files": None, "min_rows": 50, "row_groups": 10} | options)
    shards = [take_cut(placed.filter(pl.col("place").is_in(cut.places)).to_arrow(), cut) for cut in cuts]
    return cuts, shards


@given(count=st.integers(1, 3000), places=st.sampled_from([1, 2, 16]), files=st.sampled_from([None, 1, 3, 8]))
@settings(max_examples=30, deadline=None)
def test_shards_are_equal_and_lose_no_row(count, places, files):
    frame = rows(count)
    cuts, shards = cut_all(frame, places, files=files)
    found = pa.concat_tables(shards)["uid"].to_pylist()
    assert sorted(found) == sorted(frame["uid"])
    for split in set(frame["split"]):
        own = [cut for cut in cuts if cut.split == split and not cut.tail]
        assert len({cut.rows for cut in own}) == 1
        assert all(cut.rows % cut.row_groups == 0 for cut in own)
        assert sum(cut.rows for cut in cuts if cut.split == split and cut.tail) < own[0].of * own[0].row_groups
    for cut, shard in zip(cuts, shards, strict=True):
        assert shard.num_rows == cut.rows
        assert set(shard["split"].to_pylist()) == {cut.split}


def test_the_order_does_not_depend_on_places_or_on_the_order_of_arrival():
    frame = rows(2000)
    _, few = cut_all(frame, 1)
    _, many = cut_all(frame.reverse(), 32)
    assert [shard["uid"].to_pylist() for shard in few] == [shard["uid"].to_pylist() for shard in many]


def test_neighbours_in_the_input_are_not_neighbours_in_the_release():
    frame = rows(2000).with_row_index("n")
    _, shards = cut_all(frame, 4, files=1)
    arrived = pl.Series(shards[0]["n"].to_pylist())
    assert (arrived.diff().abs().drop_nulls() == 1).mean() < 0.01


def test_file_counts_divide_by_common_numbers_of_ranks():
    for count, files in [(10, 8), (799, 8), (8000, 64), (100_000, 128), (6_000_000, 128), (15_000_000, 512)]:
        cuts = plan_cuts({0: count}, ["train"], 1, files=None, min_rows=100, row_groups=10)
        assert sum(not cut.tail for cut in cuts) == files
    assert [cut.rows for cut in plan_cuts({0: 3}, ["train"], 1, files=None, min_rows=100, row_groups=10)] == [1, 1, 1]


def test_splits_have_their_shares_and_rows_never_move():
    small, large = rows(5000), rows(20_000)
    shares = dict(large.group_by("split").agg(pl.len() / large.height).iter_rows())
    assert all(abs(shares[name] - share) < 0.01 for name, share in SHARES.items())
    assert small.join(large, on="uid", suffix="_later").filter(pl.col("split") != pl.col("split_later")).is_empty()


def test_a_cluster_stays_together():
    frame = pl.DataFrame({"cluster_id": ["a", "b", "a", "c", "b", "a"] * 50})
    frame = frame.with_columns(split=assign_split(SHARES, 3))
    assert frame.group_by("cluster_id").agg(pl.col("split").n_unique())["split"].to_list() == [1, 1, 1]


def test_a_split_without_a_share_gets_no_row():
    frame = rows(1000).with_columns(split=assign_split({"train": 1.0, "validation": 0.0, "test": 0.0}, 0))
    assert set(frame["split"]) == {"train"}
