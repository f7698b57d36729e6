"""Shards as a release holds them: where they lie, and how a few of their columns are read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import CorruptError
from schemas.manifest import ReleaseManifest, Shard
from warehouse.layouts import layout_of
from warehouse.publication import release_folder
from warehouse.root import Root


def canonical_shards(manifest: ReleaseManifest) -> tuple[Shard, ...]:
    """List the shards that hold every column, those in `tail/` included: each row of the release once."""
    canonical = layout_of(manifest.route).canonical
    return tuple(shard for shard in manifest.shards if shard.config == canonical)


def shard_key(manifest: ReleaseManifest, shard: Shard) -> str:
    """Say where a shard lies under the root."""
    return f"{release_folder(manifest)}/{shard.path}"


@contextmanager
def open_shard(root: Root, key: str) -> Iterator[pq.ParquetFile]:
    """Open a shard; raises CorruptError where it is missing or cannot be read."""
    try:
        with root.open_arrow(key) as file, pq.ParquetFile(file) as shard:
            yield shard
    except FileNotFoundError:
        raise CorruptError(root.locate(key), "is missing") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise CorruptError(root.locate(key), f"cannot be read ({error})") from error


def read_columns(root: Root, manifest: ReleaseManifest, shard: Shard, columns: Sequence[str]) -> pl.DataFrame:
    """Read some columns of a whole shard."""
    with open_shard(root, shard_key(manifest, shard)) as file:
        return pl.DataFrame(file.read(columns=list(columns)))
