"""What must hold of a build's manifest, of each of its shards, and of all its rows together."""

from collections.abc import Iterator, Sequence

import polars as pl

from schemas.errors import CorruptError
from schemas.fingerprints import fingerprint
from schemas.identity import hash64
from schemas.manifest import ReleaseManifest, Shard
from warehouse._window_checks import check_shard_windows
from warehouse.layouts import layout_of
from warehouse.root import Root
from warehouse.shards import open_shard, read_columns, shard_key

_SHOWN = 3


def check_plan(manifest: ReleaseManifest) -> Iterator[str]:
    """Hold a manifest against itself: equal shards, the splits' sums, and projections beside the canonical shards."""
    canonical = layout_of(manifest.route).canonical
    for name, split in manifest.splits.items():
        own = [shard for shard in manifest.shards if shard.split == name and shard.config == canonical]
        even = [shard.rows for shard in own if not shard.tail]
        tail = sum(shard.rows for shard in own if shard.tail)
        if set(even) - {split.rows_per_shard}:
            yield f"split {name}: the shards are not equal: {min(even, default=0)} to {max(even, default=0)} rows"
        if (sum(even), len(even), tail) != (split.rows, split.shards, split.tail_rows):
            yield (
                f"split {name}: {len(even)} shards of {sum(even)} rows and {tail} in the tail; "
                f"its summary says {split.shards}, {split.rows} and {split.tail_rows}"
            )
    unknown = {shard.split for shard in manifest.shards} - manifest.splits.keys()
    if unknown:
        yield f"there are shards of splits that it does not list: {', '.join(sorted(unknown))}"
    places = {config: _places(manifest, config) for config in {shard.config for shard in manifest.shards}}
    for config, own_places in sorted(places.items()):
        if own_places != places.get(canonical):
            yield f"config {config}: its shards are not row by row those of `{canonical}`"


def _places(manifest: ReleaseManifest, config: str) -> list[tuple[str, bool, int]]:
    return [(shard.split, shard.tail, shard.rows) for shard in manifest.shards if shard.config == config]


def check_shard(root: Root, manifest: ReleaseManifest, shard: Shard) -> str | None:
    """Say how a shard whose bytes are as written differs from the manifest; None where it does not."""
    try:
        with open_shard(root, shard_key(manifest, shard)) as file:
            groups = [file.metadata.row_group(at).num_rows for at in range(file.metadata.num_row_groups)]
            columns = fingerprint(file.schema_arrow.to_string())
    except CorruptError as error:
        return error.problem
    if sum(groups) != shard.rows:
        return f"has {sum(groups):,} rows; the manifest says {shard.rows:,}"
    if len(groups) != shard.row_groups or len(set(groups)) > 1:
        return f"has row groups of {groups} rows; the manifest says {shard.row_groups} equal ones"
    if columns != manifest.columns_hash.get(shard.config):
        return f"has other columns than the manifest says of config {shard.config}"
    return None


def check_content(root: Root, manifest: ReleaseManifest, sound: Sequence[Shard]) -> Iterator[tuple[str, str]]:
    """Look over all rows: each in its split, no uid twice, no group or cluster in two splits. Gives path and fault.

    Groups and clusters are of one split, and so is what else the layout names: users, say. Where rows come in windows,
    these are looked over as well.

    sound: shards that can be read. Columns are read one at a time and kept as 64-bit hashes, so that of ten million
    rows' uids two are taken for one with a chance of 3 in a million.
    """
    layout = layout_of(manifest.route)
    shards = [shard for shard in sound if shard.config == layout.canonical]
    size = _window_size(manifest) if layout.windows else 0
    for shard in shards:
        faults = check_shard_windows(root, manifest, shard, size) if size else ()
        yield from ((shard_key(manifest, shard), fault) for fault in faults)
        splits = read_columns(root, manifest, shard, ["split"])["split"].unique().to_list()
        if splits != [shard.split]:
            yield shard_key(manifest, shard), f"has rows of {', '.join(sorted(splits))} in split {shard.split}"
    folder = f"releases/{manifest.name}/{manifest.build}"
    uids = _hashes(root, manifest, shards, "uid")
    twice = uids.filter(pl.col("hash").is_duplicated())["hash"].unique()
    if len(twice):
        yield folder, f"{len(twice)} uids stand in it twice: {_name(root, manifest, shards, 'uid', twice)}"
    for column in ("group_id", "cluster_id", *layout.whole):
        owners = _hashes(root, manifest, shards, column).unique()
        torn = owners.filter(pl.col("hash").is_duplicated())["hash"].unique()
        if len(torn):
            names = _name(root, manifest, shards, column, torn)
            yield folder, f"{len(torn)} values of {column} stand in more than one split: {names}"


def _window_size(manifest: ReleaseManifest) -> int:
    windows = manifest.recipe["windows"]
    assert isinstance(windows, dict)
    return int(windows["size"])


def _hashes(root: Root, manifest: ReleaseManifest, shards: Sequence[Shard], column: str) -> pl.DataFrame:
    """Give hash and split (as a number) of every row that has a value."""
    numbers = {name: at for at, name in enumerate(sorted({shard.split for shard in shards}))}
    parts = [
        read_columns(root, manifest, shard, [column])
        .drop_nulls()
        .select(hash=hash64(column), split=pl.lit(numbers[shard.split], pl.UInt8))
        for shard in shards
    ]
    return pl.concat(parts) if parts else pl.DataFrame(schema={"hash": pl.UInt64, "split": pl.UInt8})


def _name(root: Root, manifest: ReleaseManifest, shards: Sequence[Shard], column: str, hashes: pl.Series) -> str:
    """Find the text behind some hashes."""
    wanted = hashes.sort().head(_SHOWN).implode()
    found: set[str] = set()
    for shard in shards:
        rows = read_columns(root, manifest, shard, [column])
        found |= set(rows.filter(hash64(column).is_in(wanted))[column].to_list())
    return ", ".join(sorted(found)) + (", ..." if len(hashes) > _SHOWN else "")
