"""What must hold of the windows of a release of continuations, read off its shards and nothing else."""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pyarrow as pa

from schemas.manifest import ReleaseManifest, Shard
from warehouse._conflicts import find_alike_within, sign_suffixes
from warehouse._hard_negatives import are_apart
from warehouse.root import Root
from warehouse.shards import read_columns

COLUMNS = ("group_id", "cluster_id", "suffix_key", "suffix", "start", "end", "host", "hard")
"""What the checks read."""


def check_shard_windows(root: Root, manifest: ReleaseManifest, shard: Shard, size: int) -> Iterator[str]:
    """Say what is wrong with the windows of one shard of a release; a shard of the tail has none."""
    if shard.tail:
        return
    if shard.rows // shard.row_groups % size:
        yield f"has row groups of {shard.rows // shard.row_groups} rows, which are no whole windows of {size}"
    yield from check_windows(read_columns(root, manifest, shard, COLUMNS).to_arrow(), size)


def check_windows(rows: pa.Table, size: int) -> Iterator[str]:
    """Say what is wrong with the windows of `size` rows that one file holds. rows: COLUMNS, in the file's order.

    Wrong are a window that is not full; two rows of a window that are of one document, but for blocks that lie apart
    and say that they are meant as hard negatives; of one cluster; or with equal or nearly equal suffixes; and a row
    that says it has hard negatives, and has none. Of each fault the number of windows and the first one are told.
    """
    if rows.num_rows % size:
        yield f"has {rows.num_rows} rows, which are no whole windows of {size}"
    frame = pl.DataFrame(rows.drop_columns(["suffix"])).with_columns(window=pl.int_range(pl.len()) // size)
    clusters = frame.unique(["window", "group_id", "cluster_id"], maintain_order=True)
    faults = {
        "two rows of document": (_too_close(frame), "group_id"),
        "two documents of cluster": (_twice(clusters, "cluster_id"), "cluster_id"),
        "two rows with the suffix of key": (_twice(frame, "suffix_key"), "suffix_key"),
        "a row without the hard negatives that it claims, of document": (_lonely(frame), "group_id"),
    }
    for fault, (found, column) in faults.items():
        yield from _tell(found["window"].to_numpy(), fault, found[column])
    alike = find_alike_within(sign_suffixes(rows["suffix"]), frame["window"].to_numpy())
    yield from _tell(
        alike[0] // size, "two rows with nearly equal suffixes; one is of document", frame["group_id"][alike[0]]
    )


def _tell(windows: np.ndarray, fault: str, names: pl.Series) -> Iterator[str]:
    if len(windows):
        first = int(windows.argmin())
        yield f"{len(np.unique(windows))} windows hold {fault}, such as window {windows[first]}: {names[first]}"


def _twice(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    return frame.filter(pl.len().over("window", column) > 1)


def _too_close(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows that follow one of their document in their window, and are not both far apart and meant to be there."""
    key = ["window", "group_id"]
    near = frame.sort(*key, "start", maintain_order=True).with_columns(
        pl.col("start", "end", "hard").shift(1).over(key).name.prefix("last_"),
        later=pl.int_range(pl.len()).over(key) > 0,
    )
    meant = ((pl.col("hard") == "same_document") & (pl.col("last_hard") == "same_document")).fill_null(value=False)
    return near.filter(pl.col("later") & ~(meant & are_apart(*map(pl.col, ("last_start", "last_end", "start", "end")))))


def _lonely(frame: pl.DataFrame) -> pl.DataFrame:
    company = pl.when(pl.col("hard") == "same_host").then("host").otherwise("group_id")
    hard = frame.filter(pl.col("hard").is_not_null()).with_columns(company=company)
    return hard.filter(pl.len().over("window", "hard", "company") == 1)
