"""Parquet: a slice is some row groups, of which only the columns that are wanted are read."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import fsspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from miners.formats.rows import Rows, dtype_of, take_rows
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
        metadata = file.metadata
        starts = np.cumsum([0, *(metadata.row_group(number).num_rows for number in range(file.num_row_groups))])
        groups = [number for number, start in enumerate(starts[:-1].tolist()) if part.start <= start < part.end]
        rows = max(part.end - part.start, 1)
        batch_rows = min(max(chunk_bytes * rows // max(part.size, 1), 1), rows)
        columns = _choose_columns(file, fields)
        offset = part.start
        for batch in file.iter_batches(batch_rows, row_groups=groups, columns=columns, use_threads=False):
            numbers = pa.array(np.arange(offset, offset + batch.num_rows))
            offset += batch.num_rows
            yield take_rows(pa.Table.from_batches([batch]).append_column("offset", numbers), fields, part.path)


def _choose_columns(file: pq.ParquetFile, fields: Mapping[str, pl.DataType]) -> list[str]:
    """List what must be read for these fields: of groups of columns only the members that are wanted.

    The file's own columns are the leaves of its Arrow schema, in the same order.
    """
    leaves = [leaf for field in file.schema_arrow for leaf in _list_leaves(field.type, (field.name,))]
    if len(leaves) != len(file.schema):  # a type that is stored otherwise: whole columns are read
        known = set(file.schema_arrow.names)
        return [name for name in fields if name in known]
    wanted = pl.Struct(dict(fields))
    return [file.schema.column(at).path for at, leaf in enumerate(leaves) if _is_wanted(wanted, leaf)]


def _list_leaves(kind: pa.DataType, way: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """List the ways to the columns inside one; lists have no name of their own."""
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _list_leaves(field.type, (*way, field.name))
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _list_leaves(kind.value_type, way)
    elif pa.types.is_map(kind):
        yield from _list_leaves(kind.key_type, way)
        yield from _list_leaves(kind.item_type, way)
    else:
        yield way


def _is_wanted(shape: pl.DataType, way: tuple[str, ...]) -> bool:
    while isinstance(shape, pl.List):
        shape = dtype_of(shape.inner)
    if not way or not isinstance(shape, pl.Struct):
        return True
    inner = {field.name: dtype_of(field.dtype) for field in shape.fields}
    return way[0] in inner and _is_wanted(inner[way[0]], way[1:])


@contextmanager
def _open(path: str) -> Iterator[pq.ParquetFile]:
    try:
        opened = fsspec.open(path, "rb")
        is_far = not isinstance(opened.fs, LocalFileSystem)  # from near, all of a slice at once is memory and time lost
        with opened as file, pq.ParquetFile(file, pre_buffer=is_far) as parquet:
            yield parquet
    except FileNotFoundError:
        raise InputError(path, "there is no such file", _EXPECTED) from None
    except (OSError, pa.ArrowInvalid) as error:  # what pyarrow raises for damaged pages, and for damaged footers
        raise InputError(path, f"cannot be decoded ({' '.join(str(error).split())[:200]})", _EXPECTED) from None
