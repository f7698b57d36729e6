"""Whether a partition is what its record says."""

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.drops import DROP
from schemas.fingerprints import fingerprint
from schemas.manifest import Partition
from schemas.outcome import BalanceError
from warehouse.partitions import record_key
from warehouse.root import Root

_SHOWN_DIGITS = 12


def find_fault(root: Root, partition: Partition, key: str) -> str | None:
    """Say what is wrong with a partition whose record lies under `key`; None where all is as recorded."""
    if record_key(partition.stage, partition.fingerprint) != key:
        return f"its record lies under {key}, which is another partition's place"
    try:
        partition.tally()
    except BalanceError as error:
        return f"its record does not balance: {error}"
    fault = compare_bytes(root, partition.file, partition.bytes, partition.sha256)
    try:
        return fault or _compare_layout(root, partition) or _read_drops(root, partition)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
        return f"cannot be read ({error})"


def compare_bytes(root: Root, key: str, size: int, sha256: str) -> str | None:
    """Say how a file differs from the size and the SHA-256 it was recorded with."""
    found = root.size(key)
    if found is None:
        return "is missing"
    if found != size:
        return f"has {found:,} bytes, and was written with {size:,}"
    with root.open_arrow(key) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        return (
            f"has other content than was written (SHA-256 {digest[:_SHOWN_DIGITS]}..., was {sha256[:_SHOWN_DIGITS]}...)"
        )
    return None


def _compare_layout(root: Root, partition: Partition) -> str | None:
    rows, columns = _shard_layout(root, partition) if partition.file.endswith(".parquet") else _layout(root, partition)
    if columns != partition.columns_hash:
        return "has other columns than its record says"
    if rows != partition.bucket_rows or sum(rows) != partition.rows:
        return f"holds {sum(rows):,} rows, in other buckets or numbers than its record says ({partition.rows:,})"
    return None


def _layout(root: Root, partition: Partition) -> tuple[tuple[int, ...], str]:
    """Count the rows of each bucket, reading one column."""
    buckets = max(len(partition.bucket_rows), 1)
    rows = [0] * buckets
    with root.open_arrow(partition.file) as file:
        schema = pa.ipc.open_file(file).schema
        reader = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=[0]))
        for number in range(reader.num_record_batches):
            rows[number % buckets] += reader.get_batch(number).num_rows
    return tuple(rows), fingerprint(schema.to_string())


def _shard_layout(root: Root, partition: Partition) -> tuple[tuple[int, ...], str]:
    with root.open_arrow(partition.file) as file, pq.ParquetFile(file) as shard:
        return (shard.metadata.num_rows,), fingerprint(shard.schema_arrow.to_string())


def _read_drops(root: Root, partition: Partition) -> str | None:
    """Look at the file of dropped rows, which is kept for reading and has no hash of its own."""
    if partition.drops_file is None:
        return None
    path = root.locate(partition.drops_file)
    if not root.exists(partition.drops_file):
        return f"its dropped rows ({path}) are missing"
    with root.open_arrow(partition.drops_file) as file, pq.ParquetFile(file) as drops:
        if not drops.schema_arrow.equals(DROP):
            return f"its dropped rows ({path}) have other columns than {', '.join(DROP.names)}"
    return None
