"""The release's order: a global shuffle that depends on each row alone, cut into equal shards.

Every row gets a 64-bit number by hash of its uid. Sorted by it, rows stand in the same order whatever the number of
workers, partitions or sources; ranges of it are the buckets from which shards are cut.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl
import pyarrow as pa

from schemas.identity import hash64

_LARGE_SHARD = 25_000
"""Rows from which more than 128 shards are worth it: about 200 MB of forum pairs, uncompressed."""

ORDER_COLUMNS = (
    pa.field("order", pa.uint64(), nullable=False),
    pa.field("place", pa.uint32(), nullable=False),  # split * places + range of the order
)


def order_rows(rows: pl.DataFrame, splits: Sequence[str], places: int, seed: int) -> pl.DataFrame:
    """Add `order` and `place`. places: ranges a split is divided into, a power of two."""
    width = 2**63 // places  # of one range of order / 2: 2**64 itself would not fit
    number = pl.col("split").replace_strict({name: at for at, name in enumerate(splits)}, return_dtype=pl.UInt64)
    return rows.with_columns(order=hash64(pl.lit(f"order {seed}"), "uid")).with_columns(
        place=(number * places + pl.col("order") // 2 // width).cast(pl.UInt32)
    )


@dataclass(frozen=True, slots=True)
class Cut:
    """One shard: `rows` rows from position `start` of the ordered rows of some consecutive places."""

    split: str
    number: int
    of: int
    places: tuple[int, ...]
    start: int
    rows: int
    row_groups: int
    tail: bool = False


def plan_cuts(
    counts: Mapping[int, int], splits: Sequence[str], places: int, *, files: int | None, min_rows: int, row_groups: int
) -> list[Cut]:
    """Cut each split into equal shards and a tail. counts: {place: rows}; files: shards a split, None to choose.

    Every shard of a split has the same number of rows, in equal row groups; what does not divide is the tail.
    """
    cuts: list[Cut] = []
    for at, split in enumerate(splits):
        own = {place: counts.get(place, 0) for place in range(at * places, (at + 1) * places)}
        total = sum(own.values())
        if not total:
            continue
        shards = _choose_files(total, files, min_rows)
        groups = min(row_groups, total // shards)
        rows = total // shards // groups * groups
        rest = total - shards * rows
        cuts += [_place(Cut(split, n, shards, (), n * rows, rows, groups), own) for n in range(shards)]
        if rest:
            cuts.append(_place(Cut(split, 0, 1, (), shards * rows, rest, 1, tail=True), own))
    return cuts


def take_cut(rows: pa.Table, cut: Cut) -> pa.Table:
    """Take a shard's rows out of all the rows of its places."""
    ordered = rows.take(pa.compute.sort_indices(rows, [("order", "ascending"), ("uid", "ascending")]))
    return ordered.slice(cut.start, cut.rows).drop_columns([field.name for field in ORDER_COLUMNS])


def _choose_files(total: int, files: int | None, min_rows: int) -> int:
    """Choose a count that divides by common numbers of ranks x workers; facts of loaders: README, "Shards"."""
    if files is not None:
        return min(files, total)
    for candidate in (1024, 512, 256):  # a shard is held in memory while it is cut
        if total >= candidate * _LARGE_SHARD:
            return candidate
    for candidate in (128, 64, 32, 16, 8):
        if total >= candidate * min_rows:
            return candidate
    return min(8, total)


def _place(cut: Cut, own: Mapping[int, int]) -> Cut:
    """Find the places of its split in which a shard's rows lie, and count its start from the first of them."""
    needed: list[int] = []
    before = offset = 0
    for place, count in sorted(own.items()):
        if count and before + count > cut.start and before < cut.start + cut.rows:
            if not needed:
                offset = cut.start - before
            needed.append(place)
        before += count
    return replace(cut, places=tuple(needed), start=offset)
