"""Tables of JSON Lines: a slice is a byte range of a plain file, or the whole of a compressed one."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice

import orjson
import polars as pl

from miners.formats.json_lines import Lines, cut_file, read_lines
from miners.formats.rows import dtype_of
from miners.formats.streams import DamageError, measure_file, stream_file
from miners.source import Slice

_EXPECTED = "JSON Lines: one object a line"
_PROBED_LINES, _PROBED_BYTES = 1000, 4 << 20
_DEPTH = 8  # deeper, no mapping reaches


def describe(path: str) -> dict[str, pl.DataType]:
    """Say which keys the first lines of a file have; raises InputError.

    What is text here and a list there is a Null: the reader decides line by line.
    """
    measure_file(path, _EXPECTED)
    shape: pl.DataType = pl.Struct([])
    for line in islice(_read_lines(path), _PROBED_LINES):
        try:
            found = _shape(orjson.loads(line))
        except orjson.JSONDecodeError:
            continue
        shape = _merge(shape, found) if isinstance(found, pl.Struct) else shape
    assert isinstance(shape, pl.Struct)
    return {field.name: dtype_of(field.dtype) for field in shape.fields}


def cut(path: str, table: str, slice_bytes: int) -> list[Slice]:
    """Cut a file into byte ranges; raises InputError."""
    return cut_file(path, table, slice_bytes)


def read(part: Slice, fields: Mapping[str, pl.DataType], chunk_bytes: int, max_row_bytes: int) -> Iterator[Lines]:
    """Read the lines that begin in a slice; `offset` is the byte at which a line begins."""
    yield from read_lines(part, fields, chunk_bytes=chunk_bytes, max_line_bytes=max_row_bytes)


def _read_lines(path: str) -> Iterator[bytes]:
    """Read whole lines of the beginning of a file."""
    held = b""
    try:
        with closing(stream_file(path)) as blocks:
            for block in blocks:
                held += block
                if len(held) >= _PROBED_BYTES or held.count(b"\n") >= _PROBED_LINES:
                    yield from held.split(b"\n")[:-1]
                    return
    except DamageError:
        pass  # found again, and told, by the reader
    yield from held.removeprefix(b"\xef\xbb\xbf").split(b"\n")


def _shape(value: object, depth: int = 0) -> pl.DataType:
    if value is None or depth > _DEPTH:
        return pl.Null()
    if isinstance(value, dict):
        return pl.Struct({name: _shape(inner, depth + 1) for name, inner in value.items()})
    if isinstance(value, list):
        return pl.List(_merge_all(_shape(inner, depth + 1) for inner in value))
    return pl.String()


def _merge_all(shapes: Iterable[pl.DataType]) -> pl.DataType:
    merged: pl.DataType | None = None
    for shape in shapes:
        merged = shape if merged is None else _merge(merged, shape)
    return pl.Null() if merged is None else merged


def _merge(left: pl.DataType, right: pl.DataType) -> pl.DataType:
    """Find the shape of which both are; a Null where there is none."""
    if isinstance(left, pl.Null) or isinstance(right, pl.Null):
        return right if isinstance(left, pl.Null) else left
    if isinstance(left, pl.Struct) and isinstance(right, pl.Struct):
        fields = {field.name: dtype_of(field.dtype) for field in left.fields}
        for field in right.fields:
            fields[field.name] = _merge(fields.get(field.name, pl.Null()), dtype_of(field.dtype))
        return pl.Struct(fields)
    if isinstance(left, pl.List) and isinstance(right, pl.List):
        return pl.List(_merge(dtype_of(left.inner), dtype_of(right.inner)))
    return left if left == right else pl.Null()
