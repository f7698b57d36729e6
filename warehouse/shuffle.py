"""The release's order: a global shuffle that depends on each row alone, cut into equal shards.

Every row gets a 64-bit number by hash of its uid. Sorted by it, rows stand in the same order whatever the number of
workers, partitions or sources; ranges of it are the buckets from which shards are cut. Rows that come in windows
(see `warehouse.windows`) are cut between windows only.
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


def order_rows(
    rows: pl.DataFrame, splits: Sequence[str], places: int, seed: int, *, together: str = "uid"
) -> pl.DataFrame:
    """Add `order` and `place`. places: ranges a split is divided into, a power of two.

    together: rows that are equal in this column share a place. Shards cannot be cut from such places but of `uid`,
    whose places are ranges of the order; windows can be dealt from any.
    """
    width = 2**63 // places  # of one range of order / 2: 2**64 itself would not fit
    number = pl.col("split").replace_strict({name: at for at, name in enumerate(splits)}, return_dtype=pl.UInt64)
    salt = pl.lit(f"order {seed}")
    return rows.with_columns(
        order=hash64(salt, "uid"), place=(number * places + hash64(salt, together) // 2 // width).cast(pl.UInt32)
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
    counts: Mapping[int, int],
    splits: Sequence[str],
    places: int,
    *,
    files: int | None,
    min_rows: int,
    row_groups: int,
    window: int = 1,
) -> list[Cut]:
    """Cut each split into equal shards and a tail. counts: {place: rows}; files: shards a split, None to choose.

    Every shard of a split has the same number of rows, in equal row groups; what does not divide is the tail.

    window: rows that must stay together, in the order they have. With more than one, every shard and row group is a
        whole number of windows, the last place of each split holds rows of no window, which all go to the tail (a
        split may have nothing but a tail), and `row_groups` is the most, half of it the least, whichever leaves least.
    """
    cuts: list[Cut] = []
    for at, split in enumerate(splits):
        own = {place: counts.get(place, 0) for place in range(at * places, (at + 1) * places)}
        total = sum(own.values())
        units = (total if window == 1 else total - own[(at + 1) * places - 1]) // window
        shards = _choose_files(units, files, -(-min_rows // window), -(-_LARGE_SHARD // window))
        groups = _choose_groups(units // shards, row_groups, window) if shards else 1
        rows = units // shards // groups * groups * window if shards else 0
        rest = total - shards * rows
        cuts += [_place(Cut(split, n, shards, (), n * rows, rows, groups), own) for n in range(shards)]
        if rest:
            cuts.append(_place(Cut(split, 0, 1, (), shards * rows, rest, 1, tail=True), own))
    return cuts


def take_cut(rows: pa.Table, cut: Cut) -> pa.Table:
    """Take a shard's rows out of all the rows of its places."""
    ordered = rows.take(pa.compute.sort_indices(rows, [("order", "ascending"), ("uid", "ascending")]))
    return ordered.slice(cut.start, cut.rows).drop_columns([field.name for field in ORDER_COLUMNS])


def _choose_files(units: int, files: int | None, least: int, large: int) -> int:
    """Choose a count that divides by common numbers of ranks x workers; facts of loaders: README, "Shards".

    units: rows, or windows of rows; least, large: of them in a shard.
    """
    if files is not None:
        return min(files, units)
    for candidate in (1024, 512, 256):  # a shard is held in memory while it is cut
        if units >= candidate * large:
            return candidate
    for candidate in (128, 64, 32, 16, 8):
        if units >= candidate * least:
            return candidate
    return min(8, units)


def _choose_groups(units: int, most: int, window: int) -> int:
    """Choose the row groups of a shard. Windows are few and large, so that what does not divide is worth a look."""
    if window == 1 or units <= most:
        return min(most, units)
    return max(range(-(-most // 2), most + 1), key=lambda groups: (units // groups * groups, groups))


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
