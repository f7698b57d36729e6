"""Rows of a table as expressions want them: every value as text, in lists and groups as is wanted; others as JSON.

A source whose columns have types may ask for times and truth values as such: what is none becomes null.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import polars as pl
import pyarrow as pa

from miners.columns import flag, iso_time
from schemas.drops import DROP, DropReason

EXCERPT_CHARS = 1 << 16
"""How much of a refused row is kept in the quarantine."""


class Batch(Protocol):
    """Some rows of a table.

    frame: the columns that were asked for, and `offset`, by which a row is found again in the file. broken (DROP): rows
    that could not be decoded. file: its name in messages and in the quarantine.
    """

    @property
    def frame(self) -> pl.DataFrame: ...  # noqa: D102 - the class says it
    @property
    def broken(self) -> pa.Table: ...  # noqa: D102
    @property
    def file(self) -> str: ...  # noqa: D102

    def quarantine(self, refused: pl.DataFrame) -> pa.Table:
        """Make DROP rows of `refused`: the columns `offset`, `reason`, `ref` and `detail`."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A Batch of a file whose rows have no text of their own: the quarantine shows what was read of them, as JSON."""

    frame: pl.DataFrame
    broken: pa.Table
    file: str

    def quarantine(self, refused: pl.DataFrame) -> pa.Table:
        """Make DROP rows of `refused`: the columns `offset`, `reason`, `ref` and `detail`."""
        named = self.frame.join(refused, on="offset", how="semi")
        shown = named.select("offset", row=pl.struct(pl.exclude("offset")).struct.json_encode().str.head(EXCERPT_CHARS))
        found = refused.join(shown, on="offset", how="left", maintain_order="left")
        return found.with_columns(file=pl.lit(self.file)).select(DROP.names).to_arrow().cast(DROP)


def take_rows(table: pa.Table, fields: Mapping[str, pl.DataType], file: str) -> Rows:
    """Make rows of a table with an `offset`, as text throughout; rows that are not UTF-8 are set apart."""
    sound, broken = _set_apart(table)
    frame = pl.DataFrame(pl.from_arrow(sound))
    return Rows(spell_columns(frame, fields), _describe(broken, file), file)


def spell_columns(frame: pl.DataFrame, fields: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Give the columns of a table, and its `offset`, the types that are wanted of them."""
    columns = [_spell(pl.col(name), frame.schema.get(name), dtype).alias(name) for name, dtype in fields.items()]
    return frame.select(pl.col("offset").cast(pl.Int64), *columns)


def shape_texts(shape: pl.DataType) -> pl.DataType:
    """Make the shape of the same groups and lists of texts."""
    if isinstance(shape, pl.Struct):
        return pl.Struct({field.name: shape_texts(dtype_of(field.dtype)) for field in shape.fields})
    return pl.List(shape_texts(dtype_of(shape.inner))) if isinstance(shape, pl.List) else pl.String()


def _set_apart(table: pa.Table) -> tuple[pa.Table, list[int]]:
    """Part the rows whose texts are UTF-8 from the offsets of those where one is not: files need not keep it."""
    sound: list[pa.Table] = []
    broken: list[int] = []
    todo = [table]
    while todo:
        part = todo.pop()
        try:
            part.validate(full=True)
            sound.append(part)
        except pa.ArrowInvalid:
            if part.num_rows == 1:
                broken.append(part["offset"][0].as_py())
            else:
                middle = part.num_rows // 2
                todo += [part.slice(middle), part.slice(0, middle)]
    return pa.concat_tables(sound) if sound else table.schema.empty_table(), broken


def _describe(broken: list[int], file: str) -> pa.Table:
    fault = {"reason": DropReason.INVALID_UTF8, "file": file, "detail": "a text of the row is not UTF-8", "row": ""}
    return pa.Table.from_pylist([{**fault, "offset": offset} for offset in broken], schema=DROP)


def dtype_of(dtype: object) -> pl.DataType:
    """Make an instance of what polars hands out as a type's class or as an instance."""
    return dtype if isinstance(dtype, pl.DataType) else dtype()  # type: ignore[operator]


def _tell_time(value: pl.Expr, found: pl.DataType) -> pl.Expr:
    """Take what knows no time zone for UTC, and texts for ISO 8601."""
    if not isinstance(found, pl.Datetime):
        return iso_time(value).value
    return value.dt.convert_time_zone("UTC") if found.time_zone else value.dt.replace_time_zone("UTC")


def _spell(value: pl.Expr, found: pl.DataType | None, wanted: pl.DataType) -> pl.Expr:
    """Spell a column of one type in texts of the same shape; null where there is no such column."""
    if found is None or isinstance(found, pl.Null):
        return pl.lit(None, wanted)
    if isinstance(wanted, pl.Struct) and isinstance(found, pl.Struct):
        inner = {field.name: dtype_of(field.dtype) for field in found.fields}
        fields = [(field.name, dtype_of(field.dtype)) for field in wanted.fields]
        parts = ((name, value.struct.field(name) if name in inner else value, dtype) for name, dtype in fields)
        return pl.struct(_spell(part, inner.get(name), dtype).alias(name) for name, part, dtype in parts)
    if isinstance(wanted, pl.List) and isinstance(found, pl.List | pl.Array):
        items = value.arr.to_list() if isinstance(found, pl.Array) else value
        item = _spell(pl.element(), dtype_of(found.inner), dtype_of(wanted.inner))
        return items if found == wanted else items.list.eval(item)
    if isinstance(wanted, pl.Datetime):
        return _tell_time(value, found).cast(wanted)
    return _tell_truth(value, found) if isinstance(wanted, pl.Boolean) else _write_text(value, found)


def _tell_truth(value: pl.Expr, found: pl.DataType) -> pl.Expr:
    return value if isinstance(found, pl.Boolean) else flag(_write_text(value, found)).value


def _write_text(value: pl.Expr, found: pl.DataType) -> pl.Expr:
    if isinstance(found, pl.Struct):
        return value.struct.json_encode()
    if isinstance(found, pl.List):  # which only a group can write
        return pl.when(value.is_not_null()).then(pl.struct(_=value).struct.json_encode().str.slice(5).str.head(-1))
    if isinstance(found, pl.Date | pl.Datetime):
        time = value.cast(pl.Datetime("ms")) if isinstance(found, pl.Date) else value
        return time.dt.to_string("iso:strict")
    return value.cast(pl.String)
