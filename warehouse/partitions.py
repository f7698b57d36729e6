"""Partitions on disk: tables bucketed by a hash for the next stage, with their counts and their dropped rows.

A partition is an Arrow IPC file (zstd) whose record batches are hash buckets: batch `run * buckets + b` holds bucket b
of the rows of one run, and a run is as much as its writer held in memory at once. The stage that wants bucket b reads
just those batches of every file, so memory is bounded by a bucket, not by the dump. Row groups of Parquet would serve
as well, but their footers grow with buckets x columns and are parsed again for every bucket of every file.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import polars_hash as plh
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.drops import DROP
from schemas.errors import CorruptError
from schemas.fingerprints import Json, fingerprint
from schemas.manifest import Partition
from schemas.outcome import Outcome, Tally
from warehouse.root import Root

_IPC = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 1))
_ROW_CHARS = 1 << 16  # a dropped row is kept up to 64 Ki characters


@dataclass(frozen=True, slots=True)
class Shape:
    """How a stage's output is laid.

    key, buckets: bucketed by `key % buckets` where the column holds integers, else by the key's hash.
    row_groups: a shard: Parquet with so many equal row groups, instead of Arrow IPC for the next stage.
    """

    key: str | None = None
    buckets: int = 1
    row_groups: int | None = None

    def as_json(self) -> Json:
        """Give what belongs into a fingerprint."""
        return {"key": self.key, "buckets": self.buckets, "row_groups": self.row_groups}


PLAIN = Shape()


def write_partition(
    root: Root, stage: str, print_: str, outcomes: Iterable[Outcome], shape: Shape, kept_drops: int
) -> Partition:
    """Write what a stage function made: data, dropped rows, and the record last, which makes it exist."""
    base = f"stages/{stage}/{print_[:2]}/{print_}"
    drops = _Drops(kept_drops)
    file = f"{base}.{'parquet' if shape.row_groups else 'arrow'}"
    with root.staged(file) as path:
        write = _write_shard if shape.row_groups else _write_runs
        rows, tally, columns = write(path, outcomes, shape, drops)
        size, digest = path.stat().st_size, hash_file(path)
    drops_file = drops.write(root, f"{base}.drops.parquet")
    partition = Partition(
        stage=stage,
        fingerprint=print_,
        file=file,
        bytes=size,
        sha256=digest,
        rows=int(rows.sum()),
        columns_hash=columns,
        bucket_rows=tuple(rows.tolist()),
        rows_in=tally.rows_in,
        rows_out=tally.rows_out,
        dropped=dict(tally.dropped),
        produced=tally.produced,
        drops_file=drops_file,
    )
    root.write_record(record_key(stage, print_), partition)
    return partition


def record_key(stage: str, print_: str) -> str:
    """Say where the record of a partition lies."""
    return f"stages/{stage}/{print_[:2]}/{print_}.json"


def find_partition(root: Root, stage: str, print_: str) -> Partition | None:
    """Look a partition up; None where it is missing, cut short or has a broken record, and so must be made."""
    try:
        partition = root.read_record(record_key(stage, print_), Partition)
    except CorruptError:
        return None
    if partition is None or root.size(partition.file) != partition.bytes:
        return None
    return partition


def read_bucket(
    root: Root, partitions: Iterable[Partition], bucket: int, columns: Sequence[str] | None = None
) -> pa.Table:
    """Read one bucket of all partitions, in their order. Raises CorruptError naming the partition at fault."""
    tables = [pa.Table.from_batches(*_batches(root, part, bucket, columns)) for part in partitions]
    return pa.concat_tables(tables) if tables else pa.table({})


def read_partition(root: Root, partition: Partition, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a whole partition."""
    if partition.file.endswith(".parquet"):
        return _read_parquet(root, partition, columns)
    batches, schema = _batches(root, partition, None, columns)
    return pa.Table.from_batches(batches, schema)


def read_drops(root: Root, partition: Partition) -> pa.Table:
    """Read the dropped rows that were kept."""
    if partition.drops_file is None:
        return DROP.empty_table()
    with root.open_arrow(partition.drops_file) as file:
        return pq.read_table(file)


def hash_file(path: Path) -> str:
    """SHA-256 of a local file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _batches(
    root: Root, part: Partition, bucket: int | None, columns: Sequence[str] | None
) -> tuple[list[pa.RecordBatch], pa.Schema]:
    try:
        with root.open_arrow(part.file) as file, pa.ipc.open_file(file) as whole:
            schema = whole.schema
            if columns is None:
                reader = whole
            else:
                indices = [schema.get_field_index(name) for name in columns]
                reader = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=sorted(indices)))
            buckets = max(len(part.bucket_rows), 1)
            wanted = (
                range(reader.num_record_batches)
                if bucket is None
                else range(bucket, reader.num_record_batches, buckets)
            )
            return [reader.get_batch(number) for number in wanted], reader.schema
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
        raise CorruptError(root.locate(part.file), f"cannot be read ({error})", part.fingerprint) from error


def _read_parquet(root: Root, part: Partition, columns: Sequence[str] | None) -> pa.Table:
    try:
        with root.open_arrow(part.file) as file:
            return pq.ParquetFile(file).read(columns=None if columns is None else list(columns))
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
        raise CorruptError(root.locate(part.file), f"cannot be read ({error})", part.fingerprint) from error


def _write_shard(
    path: Path, outcomes: Iterable[Outcome], shape: Shape, drops: "_Drops"
) -> tuple[np.ndarray, Tally, str]:
    """Write one table as Parquet: zstd, page index, content-defined chunks so that a changed release uploads little."""
    [outcome] = outcomes
    drops.add(outcome.dropped)
    table = outcome.kept
    groups = shape.row_groups or 1
    with pq.ParquetWriter(
        path, table.schema, compression="zstd", write_page_index=True, use_content_defined_chunking=True
    ) as writer:
        writer.write_table(table, row_group_size=max(-(-table.num_rows // groups), 1))
    columns = pq.read_schema(path).to_string()  # as readers see them: Parquet calls a list's `item` an `element`
    return np.array([table.num_rows]), outcome.tally(), fingerprint(columns)


def _write_runs(
    path: Path, outcomes: Iterable[Outcome], shape: Shape, drops: "_Drops"
) -> tuple[np.ndarray, Tally, str]:
    rows = np.zeros(shape.buckets, np.int64)
    tally: Tally | None = None
    writer: pa.RecordBatchFileWriter | None = None
    schema: pa.Schema | None = None
    try:
        for outcome in outcomes:
            tally = outcome.tally() if tally is None else tally + outcome.tally()
            drops.add(outcome.dropped)
            if writer is None:
                schema = outcome.kept.schema.remove_metadata()
                writer = pa.ipc.new_file(str(path), schema, options=_IPC)
            for number, batch in enumerate(_cut(outcome.kept.cast(schema), shape)):
                writer.write_batch(batch)
                rows[number] += batch.num_rows
    finally:
        if writer is not None:
            writer.close()
    if tally is None or schema is None:
        raise ValueError("a stage function must yield at least one outcome, were it empty")
    return rows, tally, fingerprint(schema.to_string())


def _cut(table: pa.Table, shape: Shape) -> Iterator[pa.RecordBatch]:
    """Give one record batch a bucket, in their order, empty ones included; rows keep their order within a bucket."""
    if shape.buckets == 1:
        yield _one_batch(table)
        return
    numbers = bucket_numbers(table[shape.key], shape.buckets)
    order = np.argsort(numbers, kind="stable")  # radix sort: the numbers are uint16
    ends = np.cumsum(np.bincount(numbers, minlength=shape.buckets))
    whole = _one_batch(table.take(pa.array(order)))
    for start, end in zip(np.concatenate([[0], ends[:-1]]).tolist(), ends.tolist(), strict=True):
        yield whole.slice(start, end - start)


def bucket_numbers(keys: pa.ChunkedArray, buckets: int) -> np.ndarray:
    """Say for each key in which bucket it belongs, as uint16. Null keys are spread evenly: no join asks for them."""
    series = pl.Series("key", pl.from_arrow(keys))
    if not series.dtype.is_integer():
        series = pl.DataFrame({"key": series}).select(plh.col("key").nchash.xxh3_64()).to_series()
    spread = pl.int_range(pl.len(), dtype=pl.UInt64, eager=False)
    column = pl.DataFrame({"key": series}).select(pl.col("key").cast(pl.UInt64).fill_null(spread) % buckets)
    return column.to_series().to_numpy().astype(np.uint16)


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    combined = table.combine_chunks().to_batches()
    return combined[0] if combined else pa.RecordBatch.from_pylist([], schema=table.schema)


@dataclass
class _Drops:
    """Dropped rows on their way to their file: of each reason the `limit` rows with the smallest hash."""

    limit: int
    kept: list[pa.Table] = field(default_factory=list)

    def add(self, dropped: pa.Table) -> None:
        if dropped.num_rows and self.limit:
            self.kept = [self._trim(pa.concat_tables([*self.kept, _as_drop_rows(self._trim(dropped))]))]

    def _trim(self, dropped: pa.Table) -> pa.Table:
        frame = pl.DataFrame(
            {"reason": pl.from_arrow(dropped["reason"]), "ref": pl.from_arrow(dropped["ref"])}
        ).with_row_index("at")
        chosen = (
            frame.with_columns(order=plh.concat_str("reason", pl.col("ref").fill_null("")).nchash.xxh3_64())
            .sort("reason", "order", "at")
            .group_by("reason", maintain_order=True)
            .head(self.limit)
        )
        return dropped.take(chosen["at"].sort().to_arrow())

    def write(self, root: Root, key: str) -> str | None:
        if not self.kept:
            return None
        with root.staged(key) as path:
            pq.write_table(self.kept[0], path, compression="zstd")
        return key


def _as_drop_rows(dropped: pa.Table) -> pa.Table:
    """Bring any columns into the schema DROP: those it does not name become `row`, as JSON."""
    have = set(dropped.column_names)
    columns = {name: dropped[name] for name in DROP.names if name in have}
    if "row" not in have:
        frame = pl.DataFrame(dropped.drop_columns([name for name in DROP.names if name in have]))
        encoded = frame.select(pl.struct(pl.all()).struct.json_encode()) if frame.width else None
        if encoded is not None:
            columns["row"] = pa.chunked_array([encoded.to_series().to_arrow()])
    if "row" in columns:
        columns["row"] = pc.utf8_slice_codeunits(columns["row"].cast(pa.string()), 0, _ROW_CHARS)
    rows = dropped.num_rows
    return pa.table(
        {
            name: columns[name].cast(DROP.field(name).type)
            if name in columns
            else pa.nulls(rows, DROP.field(name).type)
            for name in DROP.names
        },
        schema=DROP,
    )
