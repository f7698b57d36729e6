"""Inspection: one row of a release by the first digits of its uid, or why a row is not in it."""

from dataclasses import dataclass

import polars as pl

from schemas.drops import describe
from schemas.errors import FatalError
from schemas.manifest import Partition, ReleaseManifest, Shard, Snapshot
from warehouse.partitions import find_partition, read_drops
from warehouse.root import Root
from warehouse.shards import canonical_shards, open_shard, read_columns, shard_key

_UID_DIGITS = 32
_SHORTEST_UID = 6  # digits from which a reference is taken for the beginning of a uid
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One row with every column. shard: key of its file under the root; number: of the row in that file, from 0."""

    shard: str
    number: int
    values: dict[str, object]


@dataclass(frozen=True, slots=True)
class Dropped:
    """One dropped row that was kept for reading. words: what the reason means; row: the row itself, JSON or raw."""

    stage: str
    source: str
    reason: str
    words: str
    ref: str | None
    file: str | None
    offset: int | None
    detail: str | None
    row: str | None


def find_row(root: Root, manifest: ReleaseManifest, uid_prefix: str) -> Row | None:
    """Find the row whose uid begins so, reading first nothing but uids; raises FatalError where several do."""
    prefix = uid_prefix.lower()
    found: list[tuple[str, Shard, int]] = []
    for shard in canonical_shards(manifest):
        uids = read_columns(root, manifest, shard, ["uid"]).with_row_index("at")
        hits = uids.filter(pl.col("uid").str.starts_with(prefix)).head(_SHOWN)
        found += [(uid, shard, at) for at, uid in hits.rows()]  # at most five
        if len(found) >= (1 if len(prefix) == _UID_DIGITS else _SHOWN):
            break
    if len(found) > 1:
        examples = ", ".join(uid for uid, _, _ in found[:_SHOWN])
        raise FatalError(f"`{prefix}` begins more than one uid; expected more digits: {examples}")
    return read_row(root, manifest, *found[0][1:]) if found else None


def read_row(root: Root, manifest: ReleaseManifest, shard: Shard, number: int) -> Row:
    """Read one row of a shard, and no more than the row group it stands in."""
    key = shard_key(manifest, shard)
    before = number
    with open_shard(root, key) as file:
        for group in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if before < rows:
                [values] = file.read_row_group(group).slice(before, 1).to_pylist()
                return Row(key, number, values)
            before -= rows
    raise FatalError(f"{root.locate(key)}: has no row {number}; expected one below {shard.rows}")


def find_dropped(root: Root, manifest: ReleaseManifest, ref: str) -> list[Dropped]:
    """Look a reference up among the dropped rows that the build kept, in the order of its stages.

    ref: whole (`stackexchange/beer.stackexchange.com/123`, also a thread's group_id), its end from a slash on
    (`beer.stackexchange.com/123`), or the first digits of a pair's uid. Drops beyond the recipe's `limits.kept_drops`
    were counted, not kept, and cannot be found.
    """
    snapshot = root.read_record(f"snapshots/{manifest.name}/{manifest.build}.json", Snapshot)
    if snapshot is None:
        return []
    return [
        dropped
        for stage, sources in snapshot.partitions.items()
        for source, prints in sources.items()
        for print_ in prints
        for part in [find_partition(root, stage, print_)]
        if part is not None and part.drops_file is not None
        for dropped in _search(root, part, source, ref)
    ]


def _search(root: Root, part: Partition, source: str, ref: str) -> list[Dropped]:
    meant = (pl.col("ref") == ref) | pl.col("ref").str.ends_with(f"/{ref}")
    if len(ref) >= _SHORTEST_UID:
        meant |= pl.col("ref").str.starts_with(ref) & ~pl.col("ref").str.contains("/", literal=True)
    hits = pl.DataFrame(read_drops(root, part)).filter(meant)
    return [
        Dropped(part.stage, source, words=describe(row["reason"]), **row)
        for row in hits.rows(named=True)  # the few that were asked for
    ]
