"""Conversations out of tables: what the sources of the chats route share.

A table is Parquet, a data set of the Hub, JSON Lines, or one JSON array (as ShareGPT is published), or a folder of such
files; of Parquet only the columns that are wanted are read. A source of them is a `Form`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from fsspec.core import url_to_fs
from pydantic import BaseModel

from miners.columns import Column, epoch_time, iso_time, make_rows
from miners.documents import PARQUET, check_columns, find_tables, has_ending, list_tables
from miners.formats import hub, parquet
from miners.formats.json_arrays import holds_array, split_elements
from miners.formats.json_lines import cut_file, read_lines
from miners.formats.rows import Batch, shape_texts, spell_columns
from miners.formats.streams import compression_of, measure_file
from miners.source import Reading, Slice, Source
from schemas.errors import InputError
from schemas.inputs import CONVERSATION, Route
from schemas.outcome import Outcome

TABLE = "conversations"
"""The one table of every source of conversations."""

ENDINGS = (*PARQUET, ".jsonl", ".ndjson", ".json")
"""Endings of the names of files that are read, before that of their compression."""

MOMENT = pl.Datetime("ms", "UTC")
"""Times, as forms ask for them."""

Columns = Mapping[str, Column | pl.Expr]

_UNKNOWN_END = 1 << 62  # an array is read as one stream
_RATIO = 8  # how much a compressed file unpacks to, roughly
_HEAD_BYTES, _HEAD_BATCHES = 1 << 20, 4
_PLACE = "place"
_REAL = r"^-?[0-9]+(?:\.[0-9]+)?(?:[eE]\+?[0-9]+)?$"
_FAR_SECONDS = 10**11  # after 1970: what is more is no number of seconds, see `epoch_time`
_MESSAGE: Mapping[str, pl.DataType] = {
    "turn_id": pl.String(),
    "role": pl.String(),
    "content": pl.String(),
    "created_at": MOMENT,
    "toxic": pl.Boolean(),
    "redacted": pl.Boolean(),
}


@dataclass(frozen=True, slots=True)
class Form:
    """How the rows of a table tell of conversations.

    name: of the source. looks: its rows in words, for messages.
    fields: options -> the columns that are read, and as what; those that a table does not have are null.
    needed: options -> those without which a table is none of this form.
    columns: reading -> columns of CONVERSATION, as expressions over the fields; `place` names a row where nothing else
        does: its file inside the input, and where it stands in that. Left out, `source` is the name and `part` is 0.
    """

    name: str
    looks: str
    fields: Callable[[BaseModel], Mapping[str, pl.DataType]]
    needed: Callable[[BaseModel], Sequence[str]]
    columns: Callable[[Reading], Columns]

    def plan(self, path: str, options: BaseModel, slice_bytes: int) -> list[Slice]:
        """Cut all files, and look into each; raises InputError where one is not of this form."""
        if path.startswith(hub.PREFIX):
            self._check(path, hub.describe(path), options)
            return hub.cut(path, TABLE)
        slices: list[Slice] = []
        for file in list_tables(path, ENDINGS):
            if has_ending(file, PARQUET):
                self._check(file, parquet.describe(file), options)
            cut = [replace(part, member=_name_inside(path, file)) for part in _cut(file, slice_bytes)]
            self._try_out(cut[0], options)
            slices += cut
        return slices

    def read(self, part: Slice, reading: Reading) -> Iterator[Outcome]:
        """Read the rows of a slice, about `chunk_bytes` at a time."""
        given: Columns = {"source": pl.lit(self.name), "part": pl.lit(0, pl.Int32), **self.columns(reading)}
        columns = {name: column if isinstance(column, Column) else Column(column) for name, column in given.items()}
        ref = columns["conversation_id"].value
        place = pl.format("{}:{}", pl.lit(part.member or f"shard-{part.start}"), "offset").alias(_PLACE)
        for batch in _read(part, self.fields(reading.options), reading.chunk_bytes):
            kept, refused = make_rows(batch.frame.with_columns(place), columns, ref, CONVERSATION)
            gone = pa.concat_tables([batch.broken, batch.quarantine(refused)]).sort_by("offset")
            yield Outcome(kept, gone, kept.num_rows + gone.num_rows)

    def source(self, summary: str, sample: Callable[[Path, int], Path], options: type[BaseModel]) -> Source:
        """Make the source of it."""
        return Source(
            name=self.name,
            route=Route.CHATS,
            summary=summary,
            tables={TABLE: CONVERSATION},
            plan=self.plan,
            read=self.read,
            find=_find,
            sample=sample,
            options=options,
            version=2,
        )

    def _check(self, path: str, found: Mapping[str, pl.DataType], options: BaseModel) -> None:
        fields = self.fields(options)
        listed = {name: found.get(name, fields[name]) for name in self.needed(options)}
        lists = {name: fields[name] for name in listed if isinstance(fields[name], pl.List)}
        check_columns(path, {**listed, **lists}, found, f"{self.name}'s columns")

    def _try_out(self, part: Slice, options: BaseModel) -> None:
        """Refuse a file of whose first rows none is a conversation: that is no dirty data."""
        heads = list(islice(self.read(part, Reading("", "", options, _HEAD_BYTES)), _HEAD_BATCHES))
        rows_in, kept = sum(head.rows_in for head in heads), sum(head.kept.num_rows for head in heads)
        if not heads:  # a file of no rows
            return
        if rows_in and not kept:
            detail = next(iter(heads)).dropped["detail"][0].as_py()
            raise InputError(part.path, f"none of its first {rows_in} rows is a conversation ({detail})", self.looks)
        said = pc.list_flatten(pa.concat_tables([head.kept.select(["messages"]) for head in heads])["messages"])
        if len(said) and pc.struct_field(said, "role").null_count == len(said):
            raise InputError(part.path, f"no message of its first {rows_in} rows says whose it is", self.looks)
        if len(said) and pc.struct_field(said, "content").null_count == len(said):
            self._refuse_misnamed(part, options)

    def _refuse_misnamed(self, part: Slice, options: BaseModel) -> None:
        """Refuse a file whose messages all lack a member that is read; one that is null, or no text, is there."""
        lists = {name: dtype for name, dtype in self.fields(options).items() if isinstance(dtype, pl.List)}
        written = dict.fromkeys(lists, pl.List(pl.String()))  # as JSON, in which a member's name shows
        frames = [batch.frame for batch in islice(_read(part, written, _HEAD_BYTES), _HEAD_BATCHES)]
        for name, dtype in lists.items():
            said = pl.concat(frames)[name].explode()
            for member in cast("pl.Struct", dtype.inner).fields:
                if not said.str.contains(f'"{member.name}"', literal=True).any():
                    raise InputError(part.path, f"no message of its beginning has `{member.name}`", self.looks)


def list_messages(items: pl.Expr, **made: pl.Expr) -> pl.Expr:
    """Make CONVERSATION.messages of a list; what is not made is null.

    made: by name of a message's field, as expressions over `pl.element()`.
    """
    return items.list.eval(make_message(**made))


def make_message(**made: pl.Expr) -> pl.Expr:
    """Make one of CONVERSATION.messages."""
    return pl.struct(made.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in _MESSAGE.items())


def pick(field: str) -> pl.Expr:
    """Name a field of a list's item."""
    return pl.element().struct.field(field)


def read_time(raw: pl.Expr) -> Column:
    """Read a time in ISO 8601, or as a number of seconds to nanoseconds after 1970; seconds may have a fraction."""
    real = pl.when(raw.str.contains(_REAL)).then(raw).cast(pl.Float64, strict=False)
    whole = real.floor()
    fraction = pl.when(whole < _FAR_SECONDS).then(((real - whole) * 1000).round().cast(pl.Int64)).otherwise(0)
    broken = epoch_time(whole.cast(pl.Int64, strict=False)).value + pl.duration(milliseconds=fraction, time_unit="ms")
    value = pl.when(raw.str.contains(r"^-?[0-9]+$")).then(epoch_time(raw).value).when(real.is_not_null()).then(broken)
    return Column(value.otherwise(iso_time(raw).value), raw, "a time, in ISO 8601 or as a number after 1970")


def texts(*names: str) -> pl.Struct:
    """Make the shape of a group of columns that are read as texts."""
    return pl.Struct(dict.fromkeys(names, pl.String()))


def _find(path: str) -> dict[str, str]:
    return find_tables(path, ENDINGS)


def _name_inside(path: str, file: str) -> str:
    """Name a file of an input the same wherever the input lies."""
    _, root = url_to_fs(path)
    _, inner = url_to_fs(file)
    return inner[len(root) :].strip("/") or PurePosixPath(inner).name


def _cut(file: str, slice_bytes: int) -> list[Slice]:
    if has_ending(file, PARQUET):
        return parquet.cut(file, TABLE, slice_bytes)
    size = measure_file(file, f"a file that ends in {', '.join(ENDINGS)}")
    if not holds_array(file):
        return cut_file(file, TABLE, slice_bytes)
    return [Slice(TABLE, file, None, 0, _UNKNOWN_END, size * _RATIO if compression_of(file) else size)]


def _read(part: Slice, fields: Mapping[str, pl.DataType], chunk_bytes: int) -> Iterator[Batch]:
    if part.path.startswith(hub.PREFIX):
        yield from hub.read(part, fields, chunk_bytes)
    elif has_ending(part.path, PARQUET):
        yield from parquet.read(part, fields, chunk_bytes)
    else:
        reshape = split_elements if part.start == 0 and holds_array(part.path) else None
        said = {name: shape_texts(dtype) for name, dtype in fields.items()}
        for lines in read_lines(part, said, chunk_bytes=chunk_bytes, reshape=reshape):
            yield replace(lines, frame=spell_columns(lines.frame, fields))
