"""Whether the batches that a training job reads are windows: rows that may be each other's negatives.

A window is rows `k * size` to `(k + 1) * size` of a file, so that a loader gives windows where it reads files, or row
groups, from their start and in their order, and batches `size` rows (or a divisor of it). Two ways do:

    stream = load_dataset(FOLDER, split="train", streaming=True)
    stream.batch(size)                   first of all: now a window is an example, and nothing later can break it
    split_dataset_by_node(stream, rank, world), batches of `size`   where `world` divides the number of files

The first holds for every number of ranks, workers and files, for shuffling, and for data sets that are not streamed
(`DataLoader(..., batch_size=None)`). Without it, these break windows, and tests below hold that as well: a number of
ranks that does not divide the files (`datasets` then gives each rank every n-th row; `strategy="shards"` or
`reshard()` help), shuffled rows, and a sampler that deals rows to ranks.

Workers of a rank break nothing, for each reads files of its own; those without a file are idle. All ranks have equally
many batches where ranks divide the files, or after `batch` the windows, and no more workers read than divide a rank's.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from datasets import load_dataset
from datasets.distributed import split_dataset_by_node

from schemas.fingerprints import fingerprint
from schemas.identity import digest, hash64
from schemas.outcome import NOTHING_DROPPED, Outcome
from schemas.recipe import Windows
from schemas.signals import CONTINUATION
from warehouse.partitions import Shape, read_partition, write_partition
from warehouse.root import Root
from warehouse.shuffle import ORDER_COLUMNS, order_rows, plan_cuts, take_cut
from warehouse.windows import deal_windows, plan_deals

SIZE, FILES, ROWS, PLACES = 8, 16, 600, 4
UNFIT = [3, 5, 12]  # numbers of ranks that do not divide the files
SHUFFLE = {"buffer_size": 20, "max_buffer_input_shards": 1}  # of several at once, `datasets` ends with a sleep of 5 s


@dataclass(frozen=True)
class Shards:
    """The shards of one split as a release has them: their files, and the uids of each window."""

    files: list[str]
    windows: list[tuple[str, ...]]
    owners: dict[str, tuple[str, str]]  # {uid: (document, cluster)}
    groups: int  # row groups of all files

    def stream(self):
        return load_dataset("parquet", data_files=self.files, split="train", streaming=True, columns=["uid"])


def continuations():
    """Make rows of documents of one to seven blocks, two documents to a cluster, all suffixes different."""
    document = np.random.default_rng(1).integers(0, 150, ROWS)
    frame = pl.DataFrame({"doc_id": document.astype(str), "cluster_id": (document // 2).astype(str)}).with_columns(
        group_id="doc_id", start=pl.int_range(pl.len()).over("doc_id") * 1000, split=pl.lit("train"), host=pl.lit("a")
    )
    words = pl.concat_str([pl.format(f"{{}}-{{}}-{word}", "doc_id", "start") for word in range(12)], separator=" ")
    frame = frame.with_columns(cut=pl.col("start") + 300, end=pl.col("start") + 1000, suffix=words)
    frame = frame.with_columns(uid=digest("doc_id", "start"), suffix_key=hash64("suffix"))
    return order_rows(frame, ["train"], PLACES, 0)


def complete(frame):
    schema = pa.schema([*CONTINUATION, *ORDER_COLUMNS])
    fill = {pa.string(): "", pa.float32(): 1.0, pa.int32(): 0}
    missing = {f.name: pl.lit(None if f.nullable else fill[f.type]) for f in schema if f.name not in frame.columns}
    return frame.with_columns(**missing).select(schema.names).to_arrow().cast(schema)


def deal():
    """Deal the rows as a build does; answers them, and how they are cut."""
    rows = continuations()
    counts = dict(rows.group_by("place").len().iter_rows())
    parts = [
        deal_windows(complete(rows.filter(pl.col("place").is_in(one.places))), one, Windows(size=SIZE)).kept
        for one in plan_deals(counts, ["train"], PLACES)
    ]
    dealt = pa.concat_tables(parts)
    counts = dict(pl.DataFrame(dealt.select(["place"])).group_by("place").len().iter_rows())
    cuts = plan_cuts(counts, ["train"], PLACES + 1, files=FILES, min_rows=1, row_groups=4, window=SIZE)
    return dealt, [cut for cut in cuts if not cut.tail]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    root = Root(str(tmp_path_factory.mktemp("root")))
    dealt, cuts = deal()
    files, windows, owners = [], [], {}
    for cut in cuts:
        own = take_cut(dealt.filter(pa.compute.is_in(dealt["place"], pa.array(cut.places, pa.uint32()))), cut)
        outcome = Outcome(own, NOTHING_DROPPED, own.num_rows)
        shape = Shape(row_groups=cut.row_groups)
        part = write_partition(root, "shards", fingerprint("shard", cut.number), [outcome], shape, kept_drops=0)
        files.append(root.path(part.file))
        rows = pl.DataFrame(read_partition(root, part, ("uid", "group_id", "cluster_id")))
        owners |= {uid: (group, cluster) for uid, group, cluster in rows.iter_rows()}
        windows += [tuple(rows["uid"][at : at + SIZE]) for at in range(0, rows.height, SIZE)]
    assert len(files) == FILES
    return Shards(files, windows, owners, sum(cut.row_groups for cut in cuts))


def check(shards, *ranks):
    """Hold what all ranks read, each a list of batches of uids, against the windows: all of them, each once."""
    batches = [tuple(batch) for rank in ranks for batch in rank]
    assert Counter(batches) == Counter(shards.windows)
    for batch in batches:
        for one, other in combinations((shards.owners[uid] for uid in batch), 2):
            assert one[0] != other[0]
            assert one[1] != other[1]


def are_broken(shards, *ranks):
    """Whether some batch is no window, and holds two rows of one document or cluster."""
    batches = [tuple(batch) for rank in ranks for batch in rank]
    assert sorted(uid for batch in batches for uid in batch) == sorted(shards.owners)
    mixed = [batch for batch in batches if batch not in set(shards.windows)]
    return any(len({shards.owners[uid][1] for uid in batch}) < len(batch) for batch in mixed)


def read_rows(stream, size=SIZE):
    return [batch["uid"] for batch in stream.iter(size)]


def read_windows(stream):
    return [window["uid"] for window in stream]


@pytest.mark.parametrize("world", [1, 2, 8])
def test_a_rank_that_reads_whole_files_reads_windows(shards, world):
    ranks = [read_rows(split_dataset_by_node(shards.stream(), rank, world)) for rank in range(world)]
    check(shards, *ranks)
    assert len(set(map(len, ranks))) == 1  # no rank waits for another


@pytest.mark.parametrize("world", [1, 8])
def test_a_batch_of_a_part_of_a_window_stays_in_it(shards, world):
    for rank in range(world):
        halves = read_rows(split_dataset_by_node(shards.stream(), rank, world), SIZE // 2)
        assert {(*one, *other) for one, other in zip(halves[::2], halves[1::2], strict=True)} <= set(shards.windows)


@pytest.mark.parametrize("world", UNFIT)
def test_ranks_that_do_not_divide_the_files_break_windows_unless_windows_are_batched_first(shards, world):
    stream = shards.stream()
    assert are_broken(shards, *(read_rows(split_dataset_by_node(stream, rank, world)) for rank in range(world)))
    ranks = [read_windows(split_dataset_by_node(stream.batch(SIZE), rank, world)) for rank in range(world)]
    check(shards, *ranks)
    assert max(map(len, ranks)) - min(map(len, ranks)) <= 1


@pytest.mark.parametrize("world", UNFIT)
def test_ranks_that_do_not_divide_the_files_may_have_whole_files_or_row_groups(shards, world):
    ranks = range(world)
    stream = shards.stream()
    check(shards, *(read_rows(split_dataset_by_node(stream, rank, world, strategy="shards")) for rank in ranks))
    groups = stream.reshard()
    assert groups.num_shards == shards.groups > FILES
    check(shards, *(read_rows(split_dataset_by_node(groups, rank, world, strategy="shards")) for rank in ranks))


def test_more_ranks_than_files_read_windows_that_are_batched_first(shards):
    world = FILES + 3
    ranks = [read_windows(split_dataset_by_node(shards.stream().batch(SIZE), rank, world)) for rank in range(world)]
    check(shards, *ranks)


def test_windows_that_are_batched_first_can_be_shuffled_and_rows_cannot(shards):
    stream = shards.stream()
    assert are_broken(shards, read_rows(stream.shuffle(seed=0, **SHUFFLE)))
    orders = []
    for epoch in (0, 1):
        parts = [split_dataset_by_node(stream.batch(SIZE).shuffle(seed=0, **SHUFFLE), rank, 2) for rank in (0, 1)]
        for part in parts:
            part.set_epoch(epoch)
        orders.append([read_windows(part) for part in parts])
        check(shards, *orders[-1])
    assert orders[0] != orders[1]


def test_a_data_set_that_is_not_streamed_is_batched_first_too(shards, tmp_path):
    rows = load_dataset("parquet", data_files=shards.files, split="train", cache_dir=str(tmp_path))
    windows = rows.batch(SIZE)
    shuffled = windows.shuffle(seed=0)
    assert [tuple(one) for one in windows["uid"]] == shards.windows
    check(shards, *([one["uid"] for one in split_dataset_by_node(shuffled, rank, 3)] for rank in range(3)))
    dealt = [read_rows(rows.select(range(rank, rows.num_rows, 2))) for rank in (0, 1)]  # as samplers deal rows
    assert are_broken(shards, *dealt)


@pytest.mark.parametrize("workers", [0, 2, 4])
@pytest.mark.parametrize("world", [1, 2, 8])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning", "ignore:This DataLoader will create:UserWarning")
def test_workers_of_a_loader_read_windows(shards, world, workers):
    data = pytest.importorskip("torch.utils.data", reason="torch is not installed: no loader of it can be asked")
    stream = shards.stream()
    options = {"num_workers": workers, "timeout": 60 if workers else 0}
    parts = [split_dataset_by_node(stream, rank, world) for rank in range(world)]
    ranks = [[batch["uid"] for batch in data.DataLoader(part, batch_size=SIZE, **options)] for part in parts]
    check(shards, *ranks)
    assert len(set(map(len, ranks))) == 1


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning", "ignore:This DataLoader will create:UserWarning")
def test_workers_read_windows_that_are_batched_first_whatever_the_numbers(shards, workers):
    data = pytest.importorskip("torch.utils.data", reason="torch is not installed: no loader of it can be asked")
    windows = shards.stream().batch(SIZE).shuffle(seed=0, **SHUFFLE)
    options = {"batch_size": None, "num_workers": workers, "timeout": 60 if workers else 0}
    parts = [split_dataset_by_node(windows, rank, 5) for rank in range(5)]
    check(shards, *([window["uid"] for window in data.DataLoader(part, **options)] for part in parts))
