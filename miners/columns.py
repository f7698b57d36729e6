"""Columns: one declared column each from rows whose values are texts; faults are found, named and quarantined.

A source declares its fields as text and gives them their types here, so that a number that comes as text is one, and
a value that is none is reported with its own words.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from schemas.drops import DropReason

_EXACT = 2.0**53  # beyond it a float no longer tells whole numbers apart
_FIRST_YEAR, _LAST_YEAR = 1970, 2100
_FAR_SECONDS = 10**11  # after 1970: the year 5138
_SHOWN_CHARS = 80  # of a wrong value, in a message


@dataclass(frozen=True, slots=True)
class Column:
    """How one column is made.

    value: an expression over rows whose values are texts.
    raw: what it was read from: where `raw` is there and `value` is null, the row is quarantined as BAD_ATTRIBUTE.
    expected: what would be right, for the message.
    required: a missing `raw` is a fault too.
    """

    value: pl.Expr
    raw: pl.Expr | None = None
    expected: str = ""
    required: bool = False


def number(field: str | pl.Expr, *, required: bool = False) -> Column:
    """Read whole numbers of 64 bits, written as JSON numbers or as text; `5.0` is 5, NaN and 1e30 are faults."""
    raw = _text_of(field)
    real = raw.cast(pl.Float64, strict=False)
    rounded = pl.when((real.abs() < _EXACT) & (real == real.round())).then(real).cast(pl.Int64, strict=False)
    return Column(pl.coalesce(raw.cast(pl.Int64, strict=False), rounded), raw, "a whole number of 64 bits", required)


def decimal(field: str | pl.Expr, *, required: bool = False) -> Column:
    """Read numbers, written as JSON numbers or as text; NaN and infinity are faults."""
    raw = _text_of(field)
    real = raw.cast(pl.Float64, strict=False)
    return Column(pl.when(real.is_finite()).then(real), raw, "a number", required)


def unix_time(field: str | pl.Expr, *, required: bool = False) -> Column:
    """Read seconds after 1970, whole or not, as numbers or as text; years outside 1970 to 2100 are faults."""
    raw = _text_of(field)
    millis = (raw.cast(pl.Float64, strict=False) * 1000).round()
    time = millis.cast(pl.Int64, strict=False).cast(pl.Datetime("ms")).dt.replace_time_zone("UTC")
    return Column(_within_years(time), raw, "seconds after 1970, of a year up to 2100", required)


def epoch_time(field: str | pl.Expr) -> Column:
    """Read a time after 1970 as a whole number of seconds, milli-, micro- or nanoseconds, told by their magnitude.

    What would be a year beyond 5000 in one unit is read in the next finer one, in which it lies after 1973.
    """
    raw = _text_of(field)
    value = raw.cast(pl.Int64, strict=False)
    steps = [pl.when(value < _FAR_SECONDS * 1000**step).then(_scale(value, step)) for step in range(3)]
    time = pl.coalesce(*steps, _scale(value, 3)).cast(pl.Datetime("ms")).dt.replace_time_zone("UTC")
    return Column(_within_years(time), raw, "a time after 1970 as a whole number, of a year up to 2100")


def iso_time(field: str | pl.Expr, *, required: bool = False) -> Column:
    """Read times of ISO 8601, UTC where they name no zone; years outside 1970 to 2100 are faults."""
    raw = _text_of(field)
    zoned = pl.when(raw.str.contains(r"(?:[Zz]|[+-]\d{2}:?\d{2})$")).then(raw).otherwise(raw + "Z")
    plain = zoned.str.replace(r"^(\d{4}-\d{2}-\d{2})[ t]", "${1}T").str.replace(r"[Zz]$", "+0000")
    written = pl.when(plain.str.contains(r"^\d{4}-")).then(plain)
    time = written.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="ms", time_zone="UTC", strict=False)
    return Column(_within_years(time), raw, "a time like 2014-01-21T20:26:05Z, of a year from 1970 to 2100", required)


def text(field: str | pl.Expr, *, required: bool = False) -> Column:
    """Take text as it is."""
    raw = _text_of(field)
    return Column(raw, raw, "text", required)


def flag(field: str | pl.Expr) -> Column:
    """Read true and false, written so or as 1 and 0."""
    raw = _text_of(field)
    word = raw.str.to_lowercase()
    value = pl.when(word.is_in(["true", "1"])).then(pl.lit(value=True)).when(word.is_in(["false", "0"]))
    return Column(value.then(pl.lit(value=False)), raw, "true or false")


def make_rows(
    rows: pl.DataFrame, made: Mapping[str, Column], ref: pl.Expr, schema: pa.Schema
) -> tuple[pa.Table, pl.DataFrame]:
    """Make the columns of a schema -> (the sound rows; `offset`, `reason`, `ref` and `detail` of those with a fault).

    rows: texts, and `offset`, by which a row is found again. made: by name; those left out are null. ref: a row's id.
    A column that the schema wants and that comes out null is a fault, too.
    """
    frame = rows.select(column.value.alias(name) for name, column in made.items())
    fault = _find_faults(rows, frame, made, {field.name for field in schema if not field.nullable})
    refused = rows.select("offset", reason=pl.lit(str(DropReason.BAD_ATTRIBUTE)), ref=ref, detail=fault)
    sound = frame.filter(fault.is_null())
    values = [pl.col(name) if name in made else pl.lit(None).alias(name) for name in schema.names]
    kept = sound.select(values).to_arrow(compat_level=pl.CompatLevel.newest()).cast(schema)
    return kept, refused.filter(fault.is_not_null())


def _find_faults(
    rows: pl.DataFrame, frame: pl.DataFrame, made: Mapping[str, Column], wanted: Collection[str]
) -> pl.Series:
    """Say in words what is wrong with each row, null where nothing is. wanted: columns that must not be null."""
    none = pl.Series([None], dtype=pl.String).new_from_index(0, rows.height)
    found = (_find_fault(name, column, frame[name], rows, wanted) for name, column in made.items())
    return pl.select(pl.coalesce([*(fault for fault in found if fault is not None), none])).to_series()


def _find_fault(
    name: str, column: Column, value: pl.Series, rows: pl.DataFrame, wanted: Collection[str]
) -> pl.Series | None:
    if column.raw is None and not column.required and not (name in wanted and value.null_count()):
        return None  # of a value that was read from nothing else, only its absence is a fault
    raw = value if column.raw is None else rows.with_columns(column.raw.alias(name))[name]
    wrong = raw.is_not_null() & value.is_null()
    missing = raw.is_null() if column.required else value.is_null() & (name in wanted)
    if not (wrong.any() or missing.any()):
        return None
    words = raw.cast(pl.String) if wrong.any() else ""  # what is never wrong may be lists, which have no words
    shown = pl.format(f"`{name}` is `{{}}`, not {column.expected}", pl.lit(words).str.head(_SHOWN_CHARS))
    return pl.select(pl.when(wrong).then(shown).when(missing).then(pl.lit(f"`{name}` is missing"))).to_series()


def _scale(value: pl.Expr, step: int) -> pl.Expr:
    """Make milliseconds of seconds (step 0), milli- (1), micro- (2) or nanoseconds (3)."""
    return value * 1000 if step == 0 else value // 1000 ** (step - 1)


def _text_of(field: str | pl.Expr) -> pl.Expr:
    return (pl.col(field) if isinstance(field, str) else field).cast(pl.String)


def _within_years(time: pl.Expr) -> pl.Expr:
    return pl.when(time.dt.year().is_between(_FIRST_YEAR, _LAST_YEAR)).then(time)
