"""Parquet: a slice is some row groups, of which only the columns that are wanted are read."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import fsspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from miners.formats.rows import Rows, take_rows
from miners.source import Slice
from schemas.errors import InputError

_EXPECTED = "a whole and undamaged Parquet file"


def describe(path: str) -> dict[str, pl.DataType]:
    """Say which columns a file has; raises InputError."""
    with _open(path) as file:
        names = file.schema_arrow.names
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise InputError(path, f"two columns are named `{twice}`", "columns of different names")
        return dict(pl.DataFrame(file.schema_arrow.empty_table()).schema)


def cut(path: str, table: str, slice_bytes: int) -> list[Slice]:
    """Cut a file between its row groups; a slice's range is that of its rows. Raises InputError."""
    with _open(path) as file:
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    slices: list[Slice] = []
    start = end = size = 0
    for group in groups:
        if size and size + group.total_byte_size > slice_bytes:
            slices.append(Slice(table, path, None, start, end, size))
            start, size = end, 0
        end, size = end + group.num_rows, size + group.total_byte_size
    return [*slices, Slice(table, path, None, start, end, size)]


def read(part: Slice, fields: Mapping[str, pl.DataType], chunk_bytes: int) -> Iterator[Rows]:
    """Read the rows [start, end) of a file, about `chunk_bytes` at a time; `offset` is a row's number in the file."""
    with _open(part.path) as file:
        metadata, known = file.metadata, set(file.schema_arrow.names)
        starts = np.cumsum([0, *(metadata.row_group(number).num_rows for number in range(file.num_row_groups))])
        groups = [number for number, start in enumerate(starts[:-1].tolist()) if part.start <= start < part.end]
        rows = max(part.end - part.start, 1)
        batch_rows = min(max(chunk_bytes * rows // max(part.size, 1), 1), rows)
        columns = [name for name in fields if name in known]
        offset = part.start
        for batch in file.iter_batches(batch_rows, row_groups=groups, columns=columns, use_threads=False):
            numbers = pa.array(np.arange(offset, offset + batch.num_rows))
            offset += batch.num_rows
            yield take_rows(pa.Table.from_batches([batch]).append_column("offset", numbers), fields, part.path)


@contextmanager
def _open(path: str) -> Iterator[pq.ParquetFile]:
    try:
        with fsspec.open(path, "rb") as file, pq.ParquetFile(file) as parquet:
            yield parquet
    except FileNotFoundError:
        raise InputError(path, "there is no such file", _EXPECTED) from None
    except (OSError, pa.ArrowInvalid) as error:  # what pyarrow raises for damaged pages, and for damaged footers
        raise InputError(path, f"cannot be decoded ({' '.join(str(error).split())[:200]})", _EXPECTED) from None
