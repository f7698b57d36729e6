"""Samples: whole batches of a release, drawn by hash, as a trainer would see them."""

import numpy as np
import polars as pl

from schemas.errors import FatalError
from schemas.identity import hash64
from schemas.inputs import Route
from schemas.manifest import ReleaseManifest, Shard
from schemas.recipe import Windows
from warehouse.root import Root
from warehouse.shards import canonical_shards, open_shard, shard_key

COLUMNS = ["uid", "group_id", "host", "mode", "prefix", "suffix", "suffix_key"]
"""What an audit of continuations reads."""


def window_size(manifest: ReleaseManifest) -> int:
    """Say of how many rows the release's windows are; raises FatalError where its route has none."""
    if manifest.route != Route.WEB:
        raise FatalError(
            f"{manifest.name} is a release of the route `{manifest.route}`; expected one of continuations, "
            f"of the route `{Route.WEB}`"
        )
    return Windows.model_validate(manifest.recipe.get("windows", {})).size


def draw_batches(root: Root, manifest: ReleaseManifest, *, rows: int, batch: int, seed: int = 0) -> pl.DataFrame:
    """Draw about so many rows in whole batches -> COLUMNS, batch by batch, in an order that does not change.

    A batch is a run of `batch` rows of one shard, counted from its first: with the release's own window size, one of
    its windows. Shards of the tail have no windows and are left out. Only row groups with drawn batches are read.
    Raises FatalError where no shard holds a whole batch.
    """
    shards = [shard for shard in canonical_shards(manifest) if not shard.tail]
    listed = pl.DataFrame({"shard": range(len(shards)), "sha256": [shard.sha256 for shard in shards]}).with_columns(
        number=pl.int_ranges(0, pl.Series([shard.rows // batch for shard in shards], dtype=pl.Int64))
    )
    batches = listed.explode("number", empty_as_null=False)
    if batches.is_empty():
        most = max((shard.rows for shard in shards), default=0)
        raise FatalError(
            f"{manifest.name} ({manifest.build}): no shard holds a batch of {batch} rows, the largest has {most}; "
            "ask for a smaller `--batch`"
        )
    drawn = batches.sort(hash64(pl.lit(f"audit {seed}"), "sha256", "number")).head(-(-rows // batch))
    taken = drawn.group_by("shard", maintain_order=True).agg("number").sort("shard")
    read = (_read(root, manifest, shards[shard], numbers, batch) for shard, numbers in taken.iter_rows())
    return pl.concat(read)


def _read(root: Root, manifest: ReleaseManifest, shard: Shard, numbers: list[int], batch: int) -> pl.DataFrame:
    """Read some batches of a shard, in the order of the file."""
    wanted = np.add.outer(np.array(sorted(numbers)) * batch, np.arange(batch)).ravel()
    with open_shard(root, shard_key(manifest, shard)) as file:
        sizes = np.array([file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)])
        groups = np.unique(np.searchsorted(np.cumsum(sizes), wanted, "right"))
        table = file.read_row_groups(groups.tolist(), columns=COLUMNS)
    read = np.concatenate([np.arange(sizes[group]) + sizes[:group].sum() for group in groups])
    return pl.DataFrame(table.take(np.searchsorted(read, wanted)))
