import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import CorruptError
from schemas.outcome import NOTHING_DROPPED, BalanceError, Outcome
from warehouse.partitions import (
    PLAIN,
    Shape,
    bucket_numbers,
    find_partition,
    read_bucket,
    read_drops,
    read_partition,
    write_partition,
)
from warehouse.root import Root

PRINT = "ab" * 16


def outcome(ids, dropped=0, extra_in=0):
    table = pa.table({"id": pa.array(ids, pa.string()), "at": pa.array(range(len(ids)), pa.int64())})
    drops = pa.table(
        {
            "reason": pa.array(["empty_body"] * dropped, pa.string()),
            "ref": pa.array([f"d{n}" for n in range(dropped)], pa.string()),
            "score": pa.array(range(dropped), pa.int64()),
        }
    )
    return Outcome(table, drops, table.num_rows + dropped + extra_in)


def write(root, outcomes, shape=PLAIN, kept_drops=10):
    return write_partition(root, "stage", PRINT, outcomes, shape, kept_drops)


@given(
    runs=st.lists(st.lists(st.text(max_size=4) | st.none(), max_size=30), min_size=1, max_size=4),
    buckets=st.sampled_from([1, 2, 8, 64]),
)
@settings(max_examples=40, deadline=None)
def test_buckets_part_the_rows_and_keep_their_order(tmp_path_factory, runs, buckets):
    root = Root(str(tmp_path_factory.mktemp("root")))
    part = write(root, [outcome(ids) for ids in runs], Shape("id", buckets))
    tables = [read_bucket(root, [part], number) for number in range(buckets)]
    assert [table.num_rows for table in tables] == list(part.bucket_rows)
    found = sorted((row["id"] or "", row["at"]) for table in tables for row in table.to_pylist())
    assert found == sorted((ident or "", at) for ids in runs for at, ident in enumerate(ids))
    homes = {}
    for number, table in enumerate(tables):
        for ident in table["id"].to_pylist():
            assert ident is None or homes.setdefault(ident, number) == number


def test_integers_name_their_bucket():
    keys = pa.chunked_array([pa.array([0, 1, 2, 7, 8], pa.uint64())])
    assert bucket_numbers(keys, 4).tolist() == [0, 1, 2, 3, 0]


def test_a_string_always_falls_into_the_same_bucket():
    # A golden: partitions written by an earlier version must still be read right.
    keys = pa.chunked_array([pa.array(["1", "2", "thread", "köln"])])
    assert bucket_numbers(keys, 256).tolist() == bucket_numbers(keys.combine_chunks(), 256).tolist()
    assert bucket_numbers(keys, 256).tolist() == GOLDEN_BUCKETS


GOLDEN_BUCKETS = [88, 20, 61, 22]


def test_null_keys_are_spread():
    numbers = bucket_numbers(pa.chunked_array([pa.nulls(1000, pa.string())]), 8)
    assert set(numbers.tolist()) == set(range(8))


def test_drops_are_all_counted_and_kept_up_to_the_limit(tmp_path):
    root = Root(str(tmp_path))
    part = write(root, [outcome(["a"], dropped=30), outcome(["b"], dropped=30)], kept_drops=7)
    assert part.dropped == {"empty_body": 60}
    kept = read_drops(root, part).to_pylist()
    assert len(kept) == 7
    assert kept[0].keys() == {"reason", "ref", "file", "offset", "detail", "row"}
    assert kept[0]["row"].startswith('{"score":')


def test_which_drops_are_kept_does_not_depend_on_runs(tmp_path):
    one, many = Root(str(tmp_path / "1")), Root(str(tmp_path / "2"))
    whole = outcome([], dropped=50)
    cut = [Outcome(whole.kept, whole.dropped.slice(at, 10), 10) for at in range(0, 50, 10)]
    first, second = write(one, [whole], kept_drops=5), write(many, cut, kept_drops=5)
    kept = [sorted(read_drops(*drops)["ref"].to_pylist()) for drops in ((one, first), (many, second))]
    assert kept[0] == kept[1]


def test_a_stage_that_loses_a_row_fails(tmp_path):
    root = Root(str(tmp_path))
    with pytest.raises(BalanceError, match="2 rows came in, 1 went on"):
        write(root, [outcome(["a"], extra_in=1)])
    assert root.keys("stages") == {}


def test_a_partition_without_its_whole_file_does_not_exist(tmp_path):
    root = Root(str(tmp_path))
    part = write(root, [outcome(["a", "b"])])
    assert find_partition(root, "stage", PRINT) == part
    root.write(part.file, root.read(part.file)[:-1])
    assert find_partition(root, "stage", PRINT) is None


@pytest.mark.parametrize("shape", [PLAIN, Shape(row_groups=2)], ids=["arrow", "parquet"])
def test_a_damaged_file_is_named_with_its_fingerprint(tmp_path, shape):
    root = Root(str(tmp_path))
    part = write(root, [outcome(["a", "b"])], shape)
    root.write(part.file, b"\0" * part.bytes)
    with pytest.raises(CorruptError) as caught:
        read_partition(root, part)
    assert caught.value.fingerprint == PRINT
    assert "makes it again" in str(caught.value)


def test_columns_can_be_read_alone(tmp_path):
    root = Root(str(tmp_path))
    part = write(root, [outcome(["a", "b"])])
    assert read_partition(root, part, ["at"]).column_names == ["at"]


def test_shards_have_equal_row_groups(tmp_path):
    import pyarrow.parquet as pq

    root = Root(str(tmp_path))
    part = write(root, [outcome([str(n) for n in range(100)])], Shape(row_groups=10))
    meta = pq.ParquetFile(root.path(part.file)).metadata
    assert [meta.row_group(n).num_rows for n in range(meta.num_row_groups)] == [10] * 10


def test_a_stage_function_must_answer(tmp_path):
    with pytest.raises(ValueError, match="at least one outcome"):
        write(Root(str(tmp_path)), [])


def test_an_empty_outcome_is_a_partition(tmp_path):
    root = Root(str(tmp_path))
    empty = Outcome(outcome([]).kept, NOTHING_DROPPED, 0)
    part = write(root, [empty], Shape("id", 4))
    assert part.bucket_rows == (0, 0, 0, 0)
    assert read_bucket(root, [part], 3).schema.names == ["id", "at"]
